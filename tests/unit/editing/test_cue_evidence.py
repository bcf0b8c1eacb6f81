"""Whether a sample suffices for a cue's direction: by hand, against the twin, and the laws of the agreement."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neuroinspect.editing.cue_evidence import (
    CueEvidence,
    direction_agreement,
    draw_half,
    effective_samples,
    require_evidence,
    weigh_evidence,
)
from neuroinspect.editing.problem import EditProblem
from neuroinspect.errors import EvidenceError
from neuroinspect.settings import EvidenceSettings
from tests.reference import whitened_cosine


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cue_samples(count: int, *, strength: float, seed: int, width: int = 8) -> tuple[Tensor, Tensor]:
    """Features (count, width) float64 in which neuron 0 rises by `strength` where the cue shows, every other sample."""
    present = torch.arange(count) % 2 == 0
    features = torch.randn(count, width, generator=seeded(seed), dtype=torch.float64)
    features[:, 0] += strength * present
    return features, present


def difference_of(features: Tensor, present: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda rows: features[rows & present].mean(0) - features[rows & ~present].mean(0)


def agreement_of(features: Tensor, present: Tensor, *, halvings: int = 20) -> float:
    return direction_agreement(
        difference_of(features, present),
        present.long(),
        covariance=torch.eye(features.shape[1], dtype=torch.float64),
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


def test_halves_that_find_opposite_directions_disagree_wholly() -> None:
    sides = iter([1.0, -1.0] * 3)
    found = direction_agreement(
        lambda rows: next(sides) * torch.tensor([1.0, 2.0], dtype=torch.float64),
        torch.zeros(4, dtype=torch.int64),
        covariance=torch.eye(2, dtype=torch.float64),
        halvings=3,
        generator=seeded(0),
    )
    assert found == pytest.approx(-1.0)


def test_a_half_without_a_direction_agrees_with_nothing() -> None:
    features, present = torch.zeros(8, 3, dtype=torch.float64), torch.arange(8) % 2 == 0
    assert agreement_of(features, present) == 0.0


@given(seed=st.integers(0, 1000))
def test_the_agreement_is_the_mean_of_the_twins_cosines(seed: int) -> None:
    drawn = torch.randn(4, 5, generator=seeded(seed), dtype=torch.float64)
    mixing = torch.randn(5, 5, generator=seeded(seed + 1), dtype=torch.float64)
    covariance = mixing @ mixing.T + torch.eye(5, dtype=torch.float64)
    directions = iter(drawn)
    found = direction_agreement(
        lambda rows: next(directions),
        torch.zeros(6, dtype=torch.int64),
        covariance=covariance,
        halvings=2,
        generator=seeded(0),
    )
    first, second, third, fourth = drawn.numpy()
    expected = [whitened_cosine(a, b, covariance.numpy()) for a, b in ((first, second), (third, fourth))]
    assert found == pytest.approx(np.mean(expected), abs=1e-9)


@given(seed=st.integers(0, 1000), strength=st.floats(0, 3))
def test_mixing_the_neurons_linearly_leaves_the_agreement(seed: int, strength: float) -> None:
    features, present = cue_samples(24, strength=strength, seed=seed, width=4)
    mixing = torch.randn(4, 4, generator=seeded(seed + 1), dtype=torch.float64) + 3 * torch.eye(4, dtype=torch.float64)

    def agreement(values: Tensor, covariance: Tensor) -> float:
        return direction_agreement(
            difference_of(values, present), present.long(), covariance=covariance, halvings=3, generator=seeded(2)
        )

    plain = agreement(features, torch.eye(4, dtype=torch.float64))
    assert agreement(features @ mixing.T, mixing @ mixing.T) == pytest.approx(plain, abs=1e-6)
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


def test_the_evidence_of_a_problem_counts_its_mistakes_and_is_always_the_same(make: Callable[..., EditProblem]) -> None:
    problem = make()
    features, labels = problem.validation_features.double(), problem.validation_labels
    present = features[:, 2] > 1.5
    given_to = {
        "present": present,
        "direction_of": difference_of(features, present),
        "covariance": torch.eye(8, dtype=torch.float64),
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


def test_too_little_agreement_is_refused_with_the_reason_and_the_way_out() -> None:
    evidence = CueEvidence(samples=171, effective_samples=9.3, mistakes=3, agreement=0.021)
    with pytest.raises(EvidenceError, match=r"171 samples agree by 0\.02, at least 0\.05.*3 mistakes.*Label more"):
        require_evidence(evidence, EvidenceSettings())


def test_enough_agreement_passes_and_minus_one_never_refuses() -> None:
    weak = CueEvidence(samples=9, effective_samples=1.0, mistakes=1, agreement=-0.5)
    assert require_evidence(weak, EvidenceSettings(min_agreement=-1)) is None
    with pytest.raises(EvidenceError):
        require_evidence(weak, EvidenceSettings())
    enough = CueEvidence(samples=400, effective_samples=40.0, mistakes=9, agreement=0.05)
    assert require_evidence(enough, EvidenceSettings()) is None
