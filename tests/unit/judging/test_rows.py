"""Figures of decision layers on a split."""

import numpy as np
import pytest
import torch

from neuroinspect.judging.rows import Judge, JudgedSplit
from neuroinspect.settings import EvaluateSettings

SETTINGS = EvaluateSettings(bootstrap=200)
Layer = tuple[torch.Tensor, torch.Tensor]


def split(groups: list[str | None] | None = None) -> JudgedSplit:
    rng = np.random.default_rng(0)
    targets = np.arange(90) % 3
    features = torch.from_numpy(np.eye(3)[targets] + 0.8 * rng.normal(size=(90, 3))).float()
    named = groups or [("snow", "sand")[k % 2] for k in range(90)]
    sizes = {(k, g): 10 for k in range(3) for g in ("snow", "sand")}
    return JudgedSplit(features, targets, named, ("cat", "dog", "owl"), 0, "snow", sizes)


@pytest.fixture
def identity() -> Layer:
    return torch.eye(3), torch.zeros(3)


def test_figures_by_hand(identity: Layer) -> None:
    judged = split()
    row = Judge(judged, settings=SETTINGS, seed=0).row([identity])
    right = judged.features.argmax(1).numpy() == judged.targets
    assert row["average"]["value"] == pytest.approx(right.mean(), abs=1e-6)
    assert row["class_accuracy"]["value"] == pytest.approx(right[judged.targets == 0].mean(), abs=1e-6)
    worst = min(right[judged.targets == k].mean() for k in range(3))
    assert row["worst_class"]["value"] == pytest.approx(worst, abs=1e-6)
    assert row["per_class"][row["worst_class_name"]]["value"] == pytest.approx(worst)
    assert row["worst_group"]["value"] <= row["worst_class"]["value"]


def test_an_interval_holds_its_value(identity: Layer) -> None:
    row = Judge(split(), settings=SETTINGS, seed=0).row([identity])
    for name in ("average", "class_accuracy", "class_auroc", "cross_cue_auroc", "worst_group"):
        assert row[name]["low"] <= row[name]["value"] <= row[name]["high"]


def test_without_groups_the_group_figures_are_missing(identity: Layer) -> None:
    row = Judge(split([None] * 90), settings=SETTINGS, seed=0).row([identity])
    assert row["cross_cue_auroc"] is None
    assert row["worst_group"] is None
    assert row["class_auroc"] is not None


def test_a_bias_moves_accuracy_and_never_the_auroc_of_the_class(identity: Layer) -> None:
    judge = Judge(split(), settings=SETTINGS, seed=0)
    shifted = (identity[0], torch.tensor([1.5, 0.0, 0.0]))
    before, after = judge.row([identity]), judge.row([shifted])
    assert after["class_accuracy"]["value"] > before["class_accuracy"]["value"]
    assert after["class_auroc"]["value"] == before["class_auroc"]["value"]


def test_several_layers_give_their_mean_and_range(identity: Layer) -> None:
    judge = Judge(split(), settings=SETTINGS, seed=0)
    other = (torch.eye(3), torch.tensor([3.0, 0.0, 0.0]))
    row = judge.row([identity, other])["class_accuracy"]
    alone = [judge.row([one])["class_accuracy"]["value"] for one in (identity, other)]
    assert row["value"] == pytest.approx(np.mean(alone), abs=1e-6)
    assert [row["low"], row["high"]] == pytest.approx(sorted(alone), abs=1e-6)


def test_a_placebo_of_one_draw_is_that_draw_and_no_interval(identity: Layer) -> None:
    row = Judge(split(), settings=SETTINGS, seed=0).row([identity], placebo=True)
    assert row["class_auroc"]["low"] == row["class_auroc"]["value"] == row["class_auroc"]["high"]


def test_differences_to_oneself_are_zero_and_to_a_worse_layer_positive(identity: Layer) -> None:
    judge = Judge(split(), settings=SETTINGS, seed=0)
    blind = (torch.zeros(3, 3), torch.zeros(3))
    layers = {"original": [identity], "retrain": [identity], "ratio": [identity], "placebo.ratio": [blind, blind]}
    found = {
        (one["name"], one["against"], one["metric"]): one
        for one in judge.differences(layers, controls=("original", "retrain", "placebo"))
    }
    same = found["ratio", "retrain", "class_auroc"]
    assert (same["value"], same["low"], same["high"]) == (0.0, 0.0, 0.0)
    assert found["ratio", "placebo", "class_auroc"]["low"] > 0
    assert ("retrain", "retrain", "average") not in found


def test_the_same_seed_gives_the_same_intervals(identity: Layer) -> None:
    first, again = (Judge(split(), settings=SETTINGS, seed=3).row([identity]) for _ in range(2))
    assert first == again
