"""What may be claimed, and what may not."""

from typing import Any

import pytest

from neuroinspect.judging.verdict import Verdict, nothing_to_explain, reach_verdict


def row(auroc: float, *, high: float = 0.0, accuracy: float = 0.5) -> dict[str, Any]:
    figure = {"value": auroc, "low": auroc, "high": high or auroc}
    other = {"value": accuracy, "low": accuracy, "high": accuracy}
    return {"class_auroc": figure, "class_accuracy": other, "average": other}


def gain(against: str, value: float, low: float, metric: str = "class_auroc") -> dict[str, Any]:
    return {
        "name": "cue_erasure", "against": against, "metric": metric, "value": value, "low": low, "high": value * 2 - low
    }  # fmt: skip


def judge(
    retrain: tuple[float, float] = (0.05, 0.03),
    placebo: tuple[float, float] = (0.05, 0.03),
    best_draw: float = 0.93,
    accuracy: tuple[float, float] = (0.3, 0.2),
) -> Verdict:
    rows = {"original": row(0.92), "cue_erasure": row(0.98, accuracy=0.8)}
    rows["placebo.cue_erasure"] = row(0.92, high=best_draw)
    differences = [
        gain("retrain", *retrain),
        gain("placebo", *placebo),
        gain("original", *accuracy, metric="class_accuracy"),
    ]
    return reach_verdict(rows, differences, class_name="fish", recommended="cue_erasure", minimum_effect=0.005)


def test_a_gain_beyond_every_control_that_also_helps_is_claimed() -> None:
    verdict = judge()
    assert verdict.status == "found_and_helped"
    assert "fish" in verdict.sentence
    assert len(verdict.details) == 3


@pytest.mark.parametrize(
    "figures",
    [
        {"retrain": (0.05, -0.01)},
        {"placebo": (0.05, -0.01)},
        {"retrain": (0.004, 0.002)},
        {"best_draw": 0.985},
    ],
)
def test_a_gain_that_any_control_could_explain_is_not_claimed(figures: dict[str, Any]) -> None:
    assert judge(**figures).status == "nothing_found"


def test_a_cause_without_a_sure_gain_in_accuracy_is_said_so() -> None:
    verdict = judge(accuracy=(0.02, -0.05))
    assert verdict.status == "found_no_gain"
    assert not verdict.surely_better
    assert "keep the original" in verdict.details[-1]


def test_no_neuron_based_edit_means_no_claim() -> None:
    rows = {"original": row(0.9), "bias": row(0.9)}
    verdict = reach_verdict(rows, [], class_name="fish", recommended="bias", minimum_effect=0.005)
    assert verdict.status == "nothing_found"
    assert "not tested" in verdict.sentence


def test_an_estimate_that_was_refused_is_said_with_its_reason() -> None:
    verdict = reach_verdict(
        {"original": row(0.9), "bias": row(0.9)},
        [],
        class_name="fish",
        recommended="bias",
        minimum_effect=0.005,
        refused={"cue_erasure": "3 samples show the cue, 8 are needed."},
    )
    assert verdict.status == "nothing_found"
    assert "too few or too alike" in verdict.sentence
    assert verdict.details[0] == "Cue erasure refused: 3 samples show the cue, 8 are needed."


def test_without_any_placebo_nothing_is_claimed() -> None:
    rows = {"original": row(0.92), "cue_erasure": row(0.98, accuracy=0.8)}
    differences = [gain("retrain", 0.05, 0.03), gain("original", 0.3, 0.2, metric="class_accuracy")]
    verdict = reach_verdict(rows, differences, class_name="fish", recommended="cue_erasure", minimum_effect=0.005)
    assert verdict.status == "nothing_found"
    assert "no placebo could be made" in verdict.sentence


def test_a_rejected_review_is_not_said_to_have_been_tested() -> None:
    verdict = reach_verdict({"original": row(0.9)}, [], class_name="fish", recommended="original", minimum_effect=0.005)
    assert verdict.status == "nothing_found"
    assert "no more than the controls" not in verdict.sentence


def test_a_recommended_bias_shift_mends_nothing_though_it_raises_the_accuracy() -> None:
    rows = {"original": row(0.92), "bias": row(0.92, accuracy=0.9), "cue_erasure": row(0.98)}
    rows["placebo.cue_erasure"] = row(0.92)
    bias = {"name": "bias", "low": 0.2, "value": 0.3, "high": 0.4}
    differences = [
        gain("retrain", 0.05, 0.03),
        gain("placebo", 0.05, 0.03),
        {**bias, "against": "retrain", "metric": "class_auroc"},
        {**bias, "against": "original", "metric": "class_accuracy"},
    ]
    verdict = reach_verdict(rows, differences, class_name="fish", recommended="bias", minimum_effect=0.005)
    assert verdict.status == "found_no_gain"
    assert verdict.surely_better
    assert "not shown to take the cue away" in verdict.sentence


def test_a_class_without_mistakes_has_nothing_to_explain() -> None:
    assert nothing_to_explain("fish").status == "nothing_to_explain"
    assert "any class" in nothing_to_explain(None).sentence
