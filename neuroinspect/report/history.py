"""The worst class over time: one point a night, with marks where the model or the data changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from neuroinspect.report.svg import CONTROL, EDIT, GRID, INK, RANGE, styled, to_svg
from neuroinspect.report.words import shortened

_WIDTH: Final = 640.0  # points
_HEIGHT: Final = 330.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 84.0, 62.0, 58.0
_LETTER: Final = 6.2  # points, about; only to keep marks from covering each other
_FEW: Final = 40  # nights up to which each has a dot
_LABELLED: Final = 8  # nights up to which each has its date
_A_YEAR: Final = timedelta(days=300)


@dataclass(frozen=True, slots=True)
class NightPoint:
    """One night.

    Attributes:
        at: when it was planned, with a time zone.
        worst_class: the class with the lowest accuracy.
        worst: its accuracy in [0, 1].
        low: lower end of its interval.
        high: upper end of its interval.
        average: accuracy over all samples.
        model: version of the model, short.
        data: version of the data, short.
    """

    at: datetime
    worst_class: str
    worst: float
    low: float
    high: float
    average: float
    model: str
    data: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was another before: what it became at the point of this place."""

    place: int
    became: str


def changes(values: Sequence[str]) -> list[Change]:
    """Where a series changes; its beginning is no change."""
    return [Change(place, values[place]) for place in range(1, len(values)) if values[place] != values[place - 1]]


def history_plot(points: Sequence[NightPoint], *, name: str) -> str:
    """The history as SVG text.

    Args:
        points: at least one, by time.
        name: of the model, for the title.
    """
    with styled(f"history-{name}"):
        return to_svg(history_figure(points, name=name))


def history_figure(points: Sequence[NightPoint], *, name: str) -> Figure:
    """The history as a figure, to be drawn under `styled`."""
    figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
    box = (_LEFT / _WIDTH, _BOTTOM / _HEIGHT, 1 - (_LEFT + _RIGHT) / _WIDTH, 1 - (_TOP + _BOTTOM) / _HEIGHT)
    axes = figure.add_axes(box)
    times = [float(date2num(point.at.astimezone(UTC))) for point in points]
    _lines(axes, times, points)
    _axes(axes, points)
    models, data = [point.model for point in points], [point.data for point in points]
    _marks(axes, times, [Change(0, models[0]), *changes(models)], height=17, colour=EDIT, dashes=(4, 3))
    _marks(axes, times, [Change(0, data[0]), *changes(data)], height=4, colour=RANGE, dashes=(1, 2))
    _ends(axes, points)
    _title(figure, points, name=name)
    return figure


def _lines(axes: Axes, times: Sequence[float], points: Sequence[NightPoint]) -> None:
    marker = "o" if len(points) <= _FEW else ""
    low, high = [point.low for point in points], [point.high for point in points]
    if len(points) > 1:
        axes.fill_between(times, low, high, color=EDIT, alpha=0.18, linewidth=0, zorder=1)
    else:
        axes.plot([times[0]] * 2, [low[0], high[0]], color=EDIT, linewidth=2, zorder=1)
    average = [point.average for point in points]
    axes.plot(times, average, color=CONTROL, linewidth=1.4, marker=marker, markersize=3.5, zorder=2)
    axes.plot(times, [point.worst for point in points], color=EDIT, linewidth=2, marker=marker, markersize=5, zorder=3)


def _axes(axes: Axes, points: Sequence[NightPoint]) -> None:
    first, last = (point.at.astimezone(UTC) for point in (points[0], points[-1]))
    room = max((last - first) * 0.03, timedelta(hours=12))
    axes.set_xlim(float(date2num(first - room)), float(date2num(last + room)))
    low, high = min(point.low for point in points), max(max(point.high, point.average) for point in points)
    axes.set_ylim(max(0.0, low - 0.05), min(1.0, high + 0.03) + 0.005)
    if len(points) <= _LABELLED:
        axes.xaxis.set_major_locator(FixedLocator([float(date2num(point.at)) for point in points]))
    else:
        axes.xaxis.set_major_locator(AutoDateLocator(minticks=4, maxticks=8, tz=UTC))
    axes.xaxis.set_major_formatter(DateFormatter("%d %b" if last - first < _A_YEAR else "%b %Y", tz=UTC))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.0f} %"))
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.7, alpha=0.45, zorder=0)
    axes.set_axisbelow(True)


def _marks(
    axes: Axes, times: Sequence[float], found: Sequence[Change], *, height: float, colour: str, dashes: tuple[int, int]
) -> None:
    """A line through the plot where something changed, and above it what it became, unless that would cover another."""
    left, right = axes.get_xlim()
    scale = (_WIDTH - _LEFT - _RIGHT) / (right - left)
    free = -_LEFT
    for change in found:
        at = times[0]
        if change.place:
            at = (times[change.place] + times[change.place - 1]) / 2
            axes.axvline(at, color=colour, linewidth=1.1, linestyle=(0, dashes), alpha=0.9, zorder=1)
        text = shortened(change.became, 12)
        place, half = (at - left) * scale, len(text) * _LETTER / 2
        if place - half < free:
            continue
        free = place + half + _LETTER
        axes.annotate(
            text,
            (at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, height),
            textcoords="offset points",
            ha="center",
            color=colour,
            fontsize=9,
            annotation_clip=False,
        )


def _ends(axes: Axes, points: Sequence[NightPoint]) -> None:
    """What the lines are at last, beside their ends and never over each other."""
    last = points[-1]
    bottom, top = axes.get_ylim()
    gap = max(0.0, 28 * (top - bottom) / (_HEIGHT - _TOP - _BOTTOM) - (last.average - last.worst)) / 2
    for value, shift, colour, words in (
        (last.average, gap, CONTROL, "average"),
        (last.worst, -gap, EDIT, shortened(last.worst_class, 12)),
    ):
        axes.annotate(
            f"{words}\n{100 * value:.1f} %",
            (1, value + shift),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=10,
            annotation_clip=False,
        )


def _title(figure: Figure, points: Sequence[NightPoint], *, name: str) -> None:
    first, last = (f"{point.at.astimezone(UTC):%d %b %Y}" for point in (points[0], points[-1]))
    nights = f"1 night, {first}" if len(points) == 1 else f"{len(points)} nights, {first} to {last}"
    figure.text(6 / _WIDTH, 1 - 16 / _HEIGHT, f"Worst class of {shortened(name, 56)}", fontweight="bold", fontsize=12)
    figure.text(1 - 6 / _WIDTH, 1 - 16 / _HEIGHT, nights, ha="right", fontsize=9)
    place = 6 / _WIDTH
    for colour, line, words in (
        (EDIT, "-", "worst class, 95 % interval"),
        (CONTROL, "-", "average"),
        (EDIT, (0, (4, 3)), "model changed"),
        (RANGE, (0, (1, 2)), "data changed"),
    ):
        height, width = 12 / _HEIGHT, 20 / _WIDTH
        figure.add_artist(_line((place, place + width), height, colour=colour, style=line))
        figure.text(place + width + 5 / _WIDTH, height - 4 / _HEIGHT, words, fontsize=9, color=INK)
        place += width + (5 + len(words) * 5.2 + 16) / _WIDTH


def _line(places: tuple[float, float], height: float, *, colour: str, style: object) -> Line2D:
    return Line2D(places, (height, height), color=colour, linestyle=style, linewidth=1.6)  # type: ignore[arg-type]
