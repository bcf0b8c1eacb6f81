import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.report.words import (
    change,
    change_interval,
    interval,
    method_title,
    metric_value,
    shortened,
    split_title,
)


def test_accuracies_are_percent_and_aurocs_are_not():
    assert metric_value("average", 0.8423) == "84.2\N{NO-BREAK SPACE}%"
    assert metric_value("class_auroc", 0.8423) == "0.842"
    assert metric_value("class_auroc", None) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("class_auroc", 0.0361, "+0.036"),
        ("class_auroc", -0.0361, "\N{MINUS SIGN}0.036"),
        ("class_auroc", -0.0004, "±0.000"),
        ("average", 0.065, "+6.5\N{NO-BREAK SPACE}points"),
        ("average", None, "\N{EN DASH}"),
    ],
)
def test_a_difference_shows_its_sign_and_its_unit(metric, value, expected):
    assert change(metric, value) == expected


def test_the_unit_of_an_interval_is_said_once():
    assert interval("average", {"low": 0.78, "high": 0.816}) == "78.0 to 81.6\N{NO-BREAK SPACE}%"
    assert change_interval("average", -0.01, 0.02) == "\N{MINUS SIGN}1.0 to +2.0\N{NO-BREAK SPACE}points"
    assert change_interval("class_auroc", -0.01, 0.02) == "\N{MINUS SIGN}0.010 to +0.020"


@pytest.mark.parametrize("figure", [None, {}, {"low": None, "high": 1.0}])
def test_an_unknown_interval_is_left_out(figure):
    assert interval("average", figure) == ""


def test_a_placebo_is_named_after_its_edit():
    assert method_title("placebo.cue_erasure") == "Placebo: Cue erasure"


def test_a_method_from_outside_keeps_its_own_title():
    assert method_title("mine", "My edit") == "My edit"
    assert method_title("ratio", "The paper's edit") == "The paper's edit"
    assert method_title("mine") == "mine"


def test_a_single_picture_is_not_plural():
    assert split_title("judge", 1) == "Judge split, 1 picture"
    assert split_title("judge", 1200) == "Judge split, 1,200 pictures"


@given(st.text(max_size=80), st.integers(2, 40))
def test_a_shortened_text_is_one_line_and_fits(text, length):
    short = shortened(text, length)
    assert len(short) <= length
    assert "\n" not in short
