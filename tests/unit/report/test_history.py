"""The series behind the history plot, and what is drawn of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from matplotlib.dates import num2date
from matplotlib.figure import Figure

from neuroinspect.report.history import Change, NightPoint, changes, history_figure, history_plot
from neuroinspect.report.svg import styled


def night(day: int, *, worst: float = 0.5, model: str = "v1", data: str = "aaaa", name: str = "fish") -> NightPoint:
    at = datetime(2026, 11, 1, 2, tzinfo=UTC) + timedelta(days=day)
    return NightPoint(at, name, worst, worst - 0.1, worst + 0.1, 0.9, model, data)


def figure_of(points: Sequence[NightPoint]) -> Figure:
    with styled("test"):
        return history_figure(points, name="net")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["a"], []),
        (["a", "a", "b", "b", "a"], [Change(2, "b"), Change(4, "a")]),
        ([], []),
    ],
)
def test_changes_are_found_where_they_are(values, found):
    assert changes(values) == found


def test_both_lines_hold_the_figures_at_their_nights():
    points = [night(0, worst=0.4), night(1, worst=0.6), night(4, worst=0.7)]
    average, worst = figure_of(points).axes[0].lines[:2]
    assert list(worst.get_ydata()) == [0.4, 0.6, 0.7]
    assert list(average.get_ydata()) == [0.9, 0.9, 0.9]
    assert [num2date(float(x)) for x in worst.get_xdata()] == [point.at for point in points]


def test_the_band_is_the_interval():
    (band,) = figure_of([night(0, worst=0.4), night(1, worst=0.6)]).axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.3, 0.7))


def test_one_night_has_its_interval_as_a_bar():
    figure = figure_of([night(0)])
    assert list(figure.axes[0].lines[0].get_ydata()) == [0.4, 0.6]
    assert "1 night, 01 Nov 2026" in texts(figure)


def test_changes_are_marked_between_the_nights_and_say_what_came():
    points = [night(0), night(1), night(2, model="v2"), night(3, model="v2", data="bbbb")]
    figure = figure_of(points)
    marks = list(figure.axes[0].lines[2:])
    places = [num2date(float(line.get_xdata()[0])) for line in marks]
    assert places == [points[1].at + timedelta(hours=12), points[2].at + timedelta(hours=12)]
    assert {"v1", "v2", "aaaa", "bbbb"} <= set(texts(figure))


def test_names_of_marks_never_cover_each_other():
    points = [night(day, data=f"data{day:04d}") for day in range(60)]
    figure = figure_of(points)
    named = [text for text in texts(figure) if text.startswith("data0")]
    assert len(figure.axes[0].lines) == 2 + 59
    assert 3 <= len(named) <= 9


def test_the_ends_say_what_the_lines_are_apart_from_each_other_also_where_they_meet():
    point = NightPoint(datetime(2026, 11, 1, tzinfo=UTC), "fish", 0.9, 0.85, 0.93, 0.9, "v1", "a")
    figure = figure_of([point])
    ends = {text.get_text(): text.xy[1] for text in figure.axes[0].texts if "%" in text.get_text()}
    assert set(ends) == {"average\n90.0 %", "fish\n90.0 %"}
    low, high = figure.axes[0].get_ylim()
    assert ends["average\n90.0 %"] - ends["fish\n90.0 %"] >= 0.1 * (high - low)


def test_a_night_of_another_time_zone_stands_at_its_moment():
    tokyo = datetime(2026, 11, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    point = NightPoint(tokyo, "fish", 0.5, 0.4, 0.6, 0.9, "v1", "a")
    assert num2date(float(figure_of([point]).axes[0].lines[1].get_xdata()[0])) == datetime(2026, 11, 1, tzinfo=UTC)


def test_the_same_nights_give_the_same_bytes_without_a_clock():
    points = [night(day) for day in range(5)]
    first, second = history_plot(points, name="net"), history_plot(points, name="net")
    assert first == second
    assert "<dc:date>" not in first


def test_a_class_name_is_text_whatever_it_holds():
    assert "&lt;b&gt;$x$" in history_plot([night(0, name="<b>$x$")], name="net")
