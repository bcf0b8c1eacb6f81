"""What the default policy refuses, each with rule and figure; and that a figure that is not known never passes."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from neuroinspect.errors import PromotionRefusedError
from neuroinspect.promotion import Bound, Policy, Version
from tests.unit.promotion.shelves import APPROVED, BASE, EDIT, NAME, desk, difference, metrics

Spoil = Callable[[dict[str, Any]], None]
FIGURES = [
    ("worst_class_over_parent", "worst_class", "original"),
    ("worst_class_over_placebo", "worst_class", "placebo"),
    ("class_auroc_over_parent", "class_auroc", "original"),
    ("class_auroc_over_retrain", "class_auroc", "retrain"),
    ("class_auroc_over_placebo", "class_auroc", "placebo"),
    ("average_over_parent", "average", "original"),
]


def refusal(version: Version = EDIT, *, found: Any = None, policy: Policy | None = None) -> str:
    """What is said where it is refused; the champion stays."""
    made, book, shelf = desk(version, found=found, policy=policy)
    with pytest.raises(PromotionRefusedError) as refused:
        made.promote(made.judge(NAME, str(version.number)), by="bob")
    assert (len(book.entries), shelf.aliases) == (1, {"champion": 1})
    return str(refused.value)


def broken(version: Version = EDIT, *, found: Any = None, policy: Policy | None = None) -> list[str]:
    made, _, _ = desk(version, found=found, policy=policy)
    return [rule.name for rule in made.judge(NAME, str(version.number)).broken]


def spoilt(spoil: Spoil) -> dict[str, Any]:
    found = metrics()
    spoil(found)
    return found


def test_an_edit_that_helps_beyond_its_controls_passes_every_rule():
    made, _, _ = desk()
    judged = made.judge(NAME, "2")
    assert judged.holds
    assert len(judged.rules) == 10
    beside = {rule.name: rule.bias for rule in judged.rules if rule.bias}
    assert beside == {
        "worst_class_over_parent": "+25.0% (+12.5% to +25.0%)",
        "class_auroc_over_parent": "+0.000 (+0.000 to +0.000)",
        "average_over_parent": "+1.0% (+0.5% to +1.0%)",
        "largest_class_loss": "boat goes from 95.0% to 85.0%",
    }


def test_an_edit_no_better_than_placebo_is_refused():
    found = spoilt(lambda m: difference(m, "worst_class", "placebo").update(value=0.005, low=-0.02, high=0.03))
    said = refusal(found=found)
    assert "1 of 10 rules do not hold" in said
    assert "worst_class_over_placebo: asked at least +1.0%, interval above +0.0%; came +0.5% (-2.0% to +3.0%)" in said


def test_a_gain_whose_interval_reaches_the_bound_is_refused():
    found = spoilt(lambda m: difference(m, "worst_class", "original").update(value=0.3, low=0.0, high=0.6))
    assert broken(found=found) == ["worst_class_over_parent"]


def test_an_edit_on_other_data_is_refused():
    said = refusal(replace(EDIT, data_version="dvc:other"))
    assert "same_data: asked judged on the champion's data, dvc:one; came judged on dvc:other" in said


def test_data_that_differ_late_in_their_hash_are_shown_whole():
    base, other = (f"dvc:{'0' * 31}{end}" for end in "12")
    made, _, shelf = desk(replace(EDIT, data_version=other))
    shelf.versions[1] = replace(BASE, data_version=base)
    (rule,) = [one for one in made.judge(NAME, "2").rules if one.name == "same_data"]
    assert (rule.holds, base in rule.asked, other in rule.came) == (False, True, True)


def test_a_champion_that_is_compared_on_new_data_takes_edits_judged_on_them():
    made, _, shelf = desk(replace(EDIT, data_version="dvc:new"))
    assert not made.judge(NAME, "2").holds
    shelf.versions[1] = replace(BASE, compared_on="dvc:new")
    assert made.judge(NAME, "2").holds


def test_an_edit_that_drops_a_class_too_far_is_refused():
    def drop(found: dict[str, Any]) -> None:
        found["splits"]["judge"]["rows"][1]["per_class"]["boat"]["value"] = 0.89

    said = refusal(found=spoilt(drop))
    assert "largest_class_loss: asked no class loses more than 5.0%; came boat goes from 95.0% to 89.0%" in said


def test_a_class_below_the_least_accuracy_is_refused_where_one_is_asked():
    policy = Policy(least_class_accuracy=0.75)
    said = refusal(policy=policy)
    assert "least_class_accuracy: asked every class at 75.0% or above; came fish at 70.0%" in said


@pytest.mark.parametrize(
    ("change", "came"),
    [
        ({"review": "rejected"}, "rejected by ada; decided otherwise since: approved by ada"),
        ({"review": None}, "no review by ada; decided otherwise since: approved by ada"),
        ({"reviewer": None}, "approved by ada"),
        ({"neurons": None}, "approved by ada; decided otherwise since: approved by ada"),
        ({"pictures": None}, "approved by ada, says the version; its review asks about another model, other pictures"),
        ({"request": None}, "approved by ada, says the version; the review store has no answer to no review"),
    ],
)
def test_an_edit_that_no_person_approved_is_refused(change, came):
    said = refusal(replace(EDIT, **change))
    assert "1 of 10 rules" in said
    assert f"came {came}" in said


@pytest.mark.parametrize(
    ("now", "came"),
    [
        ({"verdict": "rejected", "by": "bob", "neurons": ()}, "decided otherwise since: rejected by bob"),
        ({"by": "bob", "neurons": (3,)}, "decided otherwise since: approved by bob"),
        ({"by": "auto", "unverified": True}, "approved by auto, unverified"),
        ({"model": "another"}, "its review asks about another model, other pictures or another class"),
        ({"pictures": "manifest:other"}, "another model, other pictures or another class"),
        ({"class_name": "boat"}, "another model, other pictures or another class (boat)"),
        (None, "the review store has no answer to review q: name the store it was decided in"),
    ],
)
def test_what_stands_on_the_review_now_counts(now, came):
    made, book, _ = desk()
    assert made.judge(NAME, "2").holds
    book.answers = {} if now is None else {"q": replace(APPROVED, **now)}
    (rule,) = made.judge(NAME, "2").broken
    assert rule.name == "person"
    assert came in rule.came


def test_an_edit_of_another_model_is_refused():
    said = refusal(replace(EDIT, parent_fingerprint="another", parent_version=7))
    assert "made_from_champion: asked an edit of the champion, version 1; came an edit of version 7" in said
    assert "of which the weights differ" in refusal(replace(EDIT, parent_fingerprint="another"))


def test_without_a_champion_nothing_is_promoted_and_the_way_out_is_named():
    made, _, _ = desk(first=False)
    with pytest.raises(PromotionRefusedError, match="`neuroinspect register` makes the untouched model the first"):
        made.promote(made.judge(NAME, "2"), by="bob")


@pytest.mark.parametrize(("rule", "metric", "against"), FIGURES)
@pytest.mark.parametrize("value", [math.nan, math.inf, None, "0.3", True, 7.0])
@pytest.mark.parametrize("end", ["value", "low", "high"])
def test_a_figure_that_is_none_does_not_pass(rule, metric, against, value, end):
    found = spoilt(lambda m: difference(m, metric, against).update({end: value}))
    assert broken(found=found) == [rule]


@pytest.mark.parametrize(("rule", "metric", "against"), FIGURES)
def test_a_figure_that_is_missing_does_not_pass(rule, metric, against):
    found = metrics()
    found["splits"]["judge"]["differences"].remove(difference(found, metric, against))
    made, _, _ = desk(found=found)
    (missing,) = made.judge(NAME, "2").broken
    assert (missing.name, missing.figure) == (rule, None)
    assert missing.came.startswith("not known: no difference of cue_erasure to ")


@pytest.mark.parametrize("value", [math.nan, None, "0.9", 1.5, -0.1])
def test_an_accuracy_of_a_class_that_is_none_does_not_pass(value):
    def spoil(found: dict[str, Any]) -> None:
        found["splits"]["judge"]["rows"][1]["per_class"]["boat"]["value"] = value

    assert broken(found=spoilt(spoil)) == ["largest_class_loss"]


@pytest.mark.parametrize(
    ("classes", "says"), [(3, "not known of 3 classes, of which 2 have a picture"), (None, "not known of all classes")]
)
def test_a_class_without_a_picture_to_judge_by_does_not_pass(classes, says):
    policy = Policy(least_class_accuracy=0.1)
    made, _, _ = desk(replace(EDIT, classes=classes), policy=policy)
    broken = made.judge(NAME, "2").broken
    assert [rule.name for rule in broken] == ["largest_class_loss", "least_class_accuracy"]
    assert all(says in rule.came for rule in broken)


def test_a_class_that_is_missing_on_one_side_does_not_pass():
    for row in (0, 1):
        found = metrics()
        del found["splits"]["judge"]["rows"][row]["per_class"]["boat"]
        assert broken(found=found) == ["largest_class_loss"]


@pytest.mark.parametrize("found", [{}, [], {"splits": {"judge": {"rows": 3, "differences": {"name": 1}}}}, "text"])
def test_damaged_metrics_pass_no_rule_that_has_a_figure(found):
    assert broken(found=found) == [rule for rule, _, _ in FIGURES] + ["largest_class_loss"]


def test_a_bound_that_is_not_asked_is_not_shown():
    policy = Policy(worst_class_over_placebo=None, largest_class_loss=None, same_data=False, person=False)
    made, _, _ = desk(policy=policy)
    names = {rule.name for rule in made.judge(NAME, "2").rules}
    assert not names & {"worst_class_over_placebo", "largest_class_loss", "same_data", "person"}
    assert len(names) == 6


def test_a_bound_may_allow_a_loss():
    found = spoilt(lambda m: difference(m, "average", "original").update(value=-0.01, low=-0.02, high=0.0))
    assert broken(found=found) == []
    strict = Policy(average_over_parent=Bound(least=0.0, low=-0.5))
    assert broken(found=found, policy=strict) == ["average_over_parent"]


def test_a_bound_without_a_low_end_asks_of_the_value_alone():
    found = spoilt(lambda m: difference(m, "worst_class", "original").update(value=0.3, low=-0.9, high=0.6))
    assert broken(found=found) == ["worst_class_over_parent"]
    assert broken(found=found, policy=Policy(worst_class_over_parent=Bound(least=0.3, low=None))) == []
    assert broken(found=found, policy=Policy(worst_class_over_parent=Bound(least=0.4, low=None)))
