import pytest

from neuroinspect.report.figures import (
    class_pairs,
    difference_rows,
    forest_dots,
    key_figures,
    method_rows,
    ordered_rows,
    performance_row,
    reading,
    recommended_row,
)


def row(name, value, *, kind="edit", auroc=None):
    return {
        "name": name,
        "kind": kind,
        "title": name,
        "average": {"value": value, "low": value - 0.1, "high": value + 0.1},
        "class_auroc": None if auroc is None else {"value": auroc, "low": auroc, "high": auroc},
        "worst_class": {"name": "boat", "value": value, "low": value, "high": value},
        "per_class": {"boat": {"value": value, "low": value, "high": value, "count": 9}},
    }


ROWS = [
    row("cue_erasure", 0.9),
    row("placebo.ratio", 0.6, kind="control"),
    row("ratio", 0.7),
    row("retrain", 0.6, kind="control"),
    row("original", 0.5, kind="original"),
    row("placebo.cue_erasure", 0.6, kind="control"),
]


def test_each_placebo_stands_under_its_edit():
    names = [found["name"] for found in ordered_rows(ROWS)]
    assert names == ["original", "retrain", "cue_erasure", "placebo.cue_erasure", "ratio", "placebo.ratio"]


def test_a_metric_that_no_row_has_gets_no_tile_no_plot_and_no_column():
    assert [tile.title for tile in key_figures(ROWS[4], ROWS[0], [])] == ["Worst class", "Average accuracy"]
    assert forest_dots(ROWS, "class_auroc", recommended=None) == []
    assert method_rows(ROWS, recommended=None)[0] == ["Average accuracy", "Worst class"]


def test_a_tile_takes_the_paired_difference_where_there_is_one():
    found = {"name": "ratio", "against": "original", "metric": "average", "value": 0.19, "low": 0.1, "high": 0.3}
    worst, average = key_figures(ROWS[4], ROWS[2], [found])
    assert worst.change == "+20.0\N{NO-BREAK SPACE}points"
    assert (average.change, average.change_interval) == (
        "+19.0\N{NO-BREAK SPACE}points",
        "+10.0 to +30.0\N{NO-BREAK SPACE}points",
    )


@pytest.mark.parametrize("recommended", [None, "original"])
def test_no_edit_is_shown_where_the_original_is_recommended(recommended):
    assert recommended_row(ROWS, recommended) is None


@pytest.mark.parametrize(
    ("low", "high", "trend"),
    [(0.01, 0.02, "up"), (-0.02, -0.01, "down"), (-0.1, 0.1, "unclear"), (None, None, "unclear")],
)
def test_a_difference_is_clear_only_where_its_interval_leaves_out_zero(low, high, trend):
    found = {"name": "ratio", "against": "retrain", "metric": "average", "value": 0.0, "low": low, "high": high}
    _, lines = difference_rows([found], recommended="ratio", titles={})
    assert lines[0].cells[0][2] == trend


def test_the_recommended_edit_leads_the_differences():
    found = [
        {"name": name, "against": "retrain", "metric": "average", "value": 0.1} for name in ("ratio", "cue_erasure")
    ]
    _, lines = difference_rows(found, recommended="cue_erasure", titles={"ratio": "The paper's edit"})
    assert [line.recommended for line in lines] == [True, False]
    assert [line.title for line in lines] == ["Cue erasure", "The paper's edit"]


@pytest.mark.parametrize("more", [{"worst_class": {"name": "boat", "value": 0.5}}, {"worst_class_name": "boat"}])
def test_the_worst_class_is_named(more):
    figures = {"worst_class": {"value": 0.5}, **more}
    assert reading("worst_class", figures).cell == "boat"


def test_classes_come_worst_first_and_those_without_pictures_last():
    before = {"per_class": {"a": {"value": 0.9}, "b": {"value": None, "count": 0}, "c": {"value": 0.2}}}
    pairs, lines = class_pairs(before, None)
    assert [pair.label for pair in pairs] == ["c", "a"]
    assert [line[0] for line in lines] == ["c", "a", "b"]


def test_what_extract_measured_reads_like_a_row_of_evaluate():
    split = {
        "count": 20,
        "accuracy": 0.75,
        "per_class": {"a": {"count": 10, "accuracy": 0.5, "low": 0.3, "high": 0.7}},
        "worst_class": {"name": "a", "accuracy": 0.5, "count": 10},
    }
    found = performance_row({"splits": {"judge": split}}, "judge")
    worst, average = key_figures(found, None, [])
    assert (worst.before.value, worst.before.interval, worst.before.cell) == (
        "50.0\N{NO-BREAK SPACE}%",
        "30.0 to 70.0\N{NO-BREAK SPACE}%",
        "a",
    )
    assert (average.before.value, average.before.interval) == ("75.0\N{NO-BREAK SPACE}%", "")
