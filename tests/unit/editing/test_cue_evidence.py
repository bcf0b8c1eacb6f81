"""Whether a sample suffices for a cue's direction: by hand, against the twin, and the laws of the agreement."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neuroinspect.editing.comparison import compare_edits
from neuroinspect.editing.cue_erasure import cue_erasure_tries
from neuroinspect.editing.cue_evidence import (
    centred_presence,
    direction_agreement,
    draw_half,
    effective_samples,
    weigh_evidence,
)
from neuroinspect.editing.edit import as_linear
from neuroinspect.editing.problem import EditProblem, make_problem
from neuroinspect.errors import EvidenceError
from neuroinspect.settings import EditSettings, EvidenceSettings
from tests.reference import pooled_difference, whitened_cosine

Make = Callable[..., EditProblem]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cue_samples(count: int, *, strength: float, seed: int, width: int = 8) -> tuple[Tensor, Tensor]:
    """Features (count, width) float64 in which neuron 0 rises by `strength` where the cue shows, every other sample."""
    present = torch.arange(count) % 2 == 0
    features = torch.randn(count, width, generator=seeded(seed), dtype=torch.float64)
    features[:, 0] += strength * present
    return features, present


def agreement_of(features: Tensor, present: Tensor, *, labels: Tensor | None = None, halvings: int = 20) -> float:
    return direction_agreement(
        features,
        torch.zeros(len(features), dtype=torch.int64) if labels is None else labels,
        present,
        factor=torch.eye(features.shape[1], dtype=torch.float64),
        halvings=halvings,
        generator=seeded(0),
    )


def test_effective_samples_by_hand() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
    present = torch.tensor([True, False, False, True, True, True, True, False, False])
    assert effective_samples(labels, present) == pytest.approx(2 / 3 + 0 + 1)


def test_halves_that_find_the_same_direction_agree_wholly() -> None:
    features, present = torch.tensor([[2.0, 1.0], [0.0, 0.0]]).double().repeat(4, 1), torch.tensor([True, False] * 4)
    assert agreement_of(features, present) == pytest.approx(1.0)


def test_a_half_without_a_direction_agrees_with_nothing() -> None:
    features, present = torch.randn(6, 3, generator=seeded(0)).double(), torch.tensor([True, False] * 3)
    assert agreement_of(features, present, labels=torch.arange(6)) == 0.0


@given(seed=st.integers(0, 1000))
def test_the_weights_give_the_direction_of_the_twin_up_to_its_length(seed: int) -> None:
    features = torch.randn(30, 4, generator=seeded(seed), dtype=torch.float64)
    labels, present, rows = (torch.randint(high, (30,), generator=seeded(seed + high)) for high in (4, 2, 3))
    found = centred_presence(labels, present.bool(), rows > 0) @ features
    kept = (rows > 0).numpy()
    expected = pooled_difference(features.numpy()[kept], labels.numpy()[kept], present.bool().numpy()[kept])
    length = effective_samples(labels[rows > 0], present.bool()[rows > 0])
    assert found.numpy() == pytest.approx(length * expected, abs=1e-9)


@given(seed=st.integers(0, 1000))
def test_the_agreement_is_the_mean_of_the_twins_cosines(seed: int) -> None:
    features, present = cue_samples(20, strength=1.0, seed=seed, width=5)
    labels = torch.arange(20) % 3
    mixing = torch.randn(5, 5, generator=seeded(seed + 1), dtype=torch.float64)
    covariance = mixing @ mixing.T + torch.eye(5, dtype=torch.float64)
    found = direction_agreement(
        features, labels, present, factor=torch.linalg.cholesky(covariance), halvings=2, generator=seeded(seed + 2)
    )
    halves, cosines = seeded(seed + 2), []
    for _ in range(2):
        half = draw_half(2 * labels + present, halves).numpy()
        directions = [
            pooled_difference(features.numpy()[rows], labels.numpy()[rows], present.numpy()[rows])
            for rows in (half, ~half)
        ]
        cosines.append(whitened_cosine(*directions, covariance.numpy()))
    assert found == pytest.approx(np.mean(cosines), abs=1e-9)


@given(seed=st.integers(0, 1000), strength=st.floats(0, 3))
def test_mixing_the_neurons_linearly_leaves_the_agreement(seed: int, strength: float) -> None:
    features, present = cue_samples(24, strength=strength, seed=seed, width=4)
    mixing = torch.randn(4, 4, generator=seeded(seed + 1), dtype=torch.float64) + 3 * torch.eye(4, dtype=torch.float64)
    labels = torch.arange(24) % 3

    def agreement(values: Tensor, covariance: Tensor) -> float:
        factor = torch.linalg.cholesky(covariance)
        return direction_agreement(values, labels, present, factor=factor, halvings=3, generator=seeded(2))

    plain = agreement(features, torch.eye(4, dtype=torch.float64))
    assert agreement(features @ mixing.T, mixing @ mixing.T) == pytest.approx(plain, abs=1e-5)
    assert -1 - 1e-9 <= plain <= 1 + 1e-9


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_every_stratum_is_halved_to_within_one_sample(sizes: list[int], seed: int) -> None:
    strata = torch.tensor([k for k, size in enumerate(sizes) for _ in range(size)])
    half = draw_half(strata, seeded(seed))
    for stratum, size in enumerate(sizes):
        assert int(half[strata == stratum].sum()) in {size // 2, (size + 1) // 2}


def test_the_odd_sample_falls_on_either_side() -> None:
    generator = seeded(0)
    drawn = {int(draw_half(torch.zeros(3, dtype=torch.int64), generator).sum()) for _ in range(20)}
    assert drawn == {1, 2}


def test_more_samples_and_a_stronger_cue_agree_more_and_noise_does_not_agree() -> None:
    few, many = (agreement_of(*cue_samples(count, strength=1.0, seed=0, width=64)) for count in (40, 1200))
    strong = agreement_of(*cue_samples(40, strength=6.0, seed=0, width=64))
    noise = [agreement_of(*cue_samples(40, strength=0.0, seed=seed, width=64)) for seed in range(20)]
    assert many > 0.7 > 0.3 > few
    assert strong > few + 0.2
    assert abs(np.mean(noise)) < 0.05


def test_the_evidence_of_a_problem_counts_its_mistakes_and_is_always_the_same(make: Make) -> None:
    problem = make()
    labels = problem.validation_labels
    present = problem.validation_features[:, 2] > 1.5
    given_to = {
        "present": present,
        "factor": torch.eye(8, dtype=torch.float64),
        "settings": EvidenceSettings(),
    }
    evidence = weigh_evidence(problem, 0, **given_to)
    decided = (problem.validation_features @ problem.weight.T + problem.bias).argmax(1)
    assert evidence == weigh_evidence(problem, 0, **given_to)
    assert evidence.mistakes == sum(
        d != 0 for d, label in zip(decided.tolist(), labels.tolist(), strict=True) if label == 0
    )
    assert evidence.mistakes > 0
    assert evidence.samples == len(labels)
    assert evidence.effective_samples == effective_samples(labels, present)
    assert evidence.agreement > 0.9


def few_samples(problem: EditProblem, count: int) -> EditProblem:
    return make_problem(
        (problem.features, problem.labels),
        (problem.validation_features[:count], problem.validation_labels[:count]),
        as_linear(problem.weight, problem.bias),
        neurons=problem.neurons,
    )


def test_too_few_samples_are_refused_with_the_reason_and_the_way_out(make: Make, settings: EditSettings) -> None:
    few = few_samples(make(), 12)
    with pytest.raises(EvidenceError, match=r"two halves of the 12 agree by .*0\.9 is needed.* mistakes.*Label more"):
        cue_erasure_tries(few, settings.model_copy(update={"evidence": EvidenceSettings(min_agreement=0.9)}))


def test_samples_of_one_look_only_are_refused_and_minus_one_never_refuses(make: Make, settings: EditSettings) -> None:
    one_of_each = few_samples(make(), 3)
    with pytest.raises(EvidenceError, match=r"agree by 0\.000, at least 0\.05"):
        cue_erasure_tries(one_of_each, settings)
    never = settings.model_copy(update={"evidence": EvidenceSettings(min_agreement=-1)})
    assert len(cue_erasure_tries(one_of_each, never)) == len(never.cue_directions)


def test_enough_samples_pass(make: Make, settings: EditSettings) -> None:
    assert len(cue_erasure_tries(make(), settings)) == len(settings.cue_directions)


def test_a_comparison_goes_on_without_the_refused_method(make: Make, settings: EditSettings) -> None:
    quick = settings.model_copy(update={"methods": ("cue_erasure", "bias")})
    compared = compare_edits(few_samples(make(), 3), candidates=[2, 3], settings=quick, seed=0)
    assert "too few validation samples" in compared.refused["cue_erasure"]
    assert compared.edits.keys() == {"retrain", "bias"}
