"""Against the outputs of the authors' released code; tolerances as in the README the arrays came with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neuroinspect import CounterfactualSettings, explain_mistakes, probability_ratio, rank_neurons
from neuroinspect.ranking import vote_shares
from tests.reference import linear

HERE = Path(__file__).parent
FILES = ("counterfactual", "counterfactual_hard")


def load(name: str) -> dict[str, Any]:
    with np.load(HERE / f"{name}.npz") as arrays:
        return dict(arrays)


def explain(arrays: dict[str, Any], solver: str) -> Any:
    return explain_mistakes(
        torch.from_numpy(arrays["features"]),
        torch.from_numpy(arrays["targets"]),
        linear(torch.from_numpy(arrays["weight"]), torch.from_numpy(arrays["bias"])),
        settings=CounterfactualSettings(solver=solver),
    )


@pytest.mark.parametrize("name", FILES)
def test_sgd_repeats_the_released_shifts_and_step_counts(name: str) -> None:
    arrays = load(name)
    found = explain(arrays, "sgd")
    np.testing.assert_allclose(found.shifts.numpy(), arrays["shifts"], atol=1e-4)
    assert (found.steps.numpy() == arrays["steps"]).mean() >= 0.95
    assert np.abs(found.steps.numpy() - arrays["steps"]).max() <= 1
    assert found.converged.all()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("direction", ["insufficient", "excessive"])
def test_voting_on_our_shifts_gives_the_released_shares(name: str, direction: str) -> None:
    arrays = load(name)
    found = explain(arrays, "sgd")
    released = arrays[f"vote_share_{direction}"]
    shares = getattr(vote_shares(found.shifts, strict_sign=False), direction)
    shares = np.where(shares >= 0.03, shares, 0)
    np.testing.assert_allclose(shares, released, atol=1 / len(arrays["targets"]))

    ranked = getattr(rank_neurons(found.shifts, strict_sign=False), direction)["neuron"].head(10)
    tenth = np.sort(released)[-10]
    assert np.isin(ranked, np.flatnonzero(released >= tenth)).sum() >= 9


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("sign", [1, -1])
def test_proximal_votes_for_the_released_neurons(name: str, sign: int) -> None:
    arrays = load(name)
    found = explain(arrays, "proximal")
    assert found.converged.all()
    ours, theirs = (np.argsort(-sign * s, axis=1)[:, :5] for s in (found.shifts.numpy(), arrays["shifts"]))
    overlap = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(ours, theirs, strict=True)])
    assert overlap >= 0.97


def test_the_probability_ratio_of_every_neuron_is_the_released_one() -> None:
    arrays = load("ratio")
    layer = linear(torch.from_numpy(arrays["weight"]), torch.from_numpy(arrays["bias"]))
    features = torch.from_numpy(arrays["mean_features"])[None]
    alone = torch.eye(features.shape[1], dtype=torch.bool)
    index = int(arrays["class_index"])
    ratios = [probability_ratio(features, layer, class_index=index, silenced=one).item() for one in alone]
    np.testing.assert_allclose(ratios, arrays["probability_ratio"], rtol=1e-4)
