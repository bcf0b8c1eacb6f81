import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroinspect.report.plots import Dot, Pair, accuracy_plot, forest_plot, mistakes_plot

DOTS = [
    Dot("Original", 0.8, 0.78, 0.82, "original"),
    Dot("Retrain only", 0.81, None, None, "control"),
    Dot("Cue erasure", 0.9, 0.88, 0.92, "edit", recommended=True),
    Dot("its placebo", 0.8, 0.75, 0.84, "placebo"),
]


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_forest_plot_names_and_numbers_every_row():
    shown = texts(forest_plot(DOTS, name="a", percent=True))
    assert {"Original", "Retrain only", "Cue erasure", "its placebo", "80.0 %", "81.0 %", "90.0 %"} <= set(shown)


def test_an_auroc_is_written_from_0_to_1():
    assert "0.900" in texts(forest_plot(DOTS, name="a", percent=False))


def test_only_the_recommended_row_is_bold():
    svg = forest_plot(DOTS, name="a", percent=False)
    bold = re.findall(r"<text[^>]*font-weight: (?:bold|700)[^>]*>([^<]*)", svg)
    bold += re.findall(r"<text[^>]*font: (?:bold|700)[^>]*>([^<]*)", svg)
    assert sorted(bold) == ["0.900", "Cue erasure"]


def test_the_same_plot_gives_the_same_bytes():
    assert forest_plot(DOTS, name="a", percent=True) == forest_plot(DOTS, name="a", percent=True)


def test_bars_carry_their_class_and_count():
    assert {"house", "20", "mug", "3"} <= set(texts(mistakes_plot([("house", 20), ("mug", 3)], name="a")))


def test_a_name_with_markup_stays_text():
    assert "<script>" not in mistakes_plot([("<script>", 2)], name="a")


def test_classes_are_drawn_with_and_without_an_edit():
    before, after = (0.5, 0.4, 0.6), (0.7, 0.6, 0.8)
    assert "70.0 %" in texts(accuracy_plot([Pair("boat", before, after)], name="a"))
    assert "50.0 %" in texts(accuracy_plot([Pair("boat", before, None)], name="a"))


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 1), st.sampled_from(["original", "control", "placebo", "edit"]))
def test_any_single_row_can_be_drawn(value, role):
    assert f"{value:.3f}" in texts(forest_plot([Dot("row", value, value, value, role)], name="a", percent=False))


@pytest.mark.parametrize("count", [1, 8])
def test_a_plot_grows_with_its_rows(count):
    svg = mistakes_plot([(f"class {index}", 1) for index in range(count)], name="a")
    height = float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg).group(1))
    assert height == pytest.approx(12 + 23 * count, abs=0.01)
