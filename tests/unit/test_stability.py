"""The bootstrap over mistakes: by hand, against a slow literal twin, and its laws."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuroinspect import stability
from neuroinspect.errors import FeaturesError
from neuroinspect.intervals import draw_counts
from neuroinspect.ranking import rank_neurons
from neuroinspect.stability import candidate_stability

SHIFTS = arrays(
    np.float64, st.tuples(st.integers(1, 9), st.integers(1, 7)), elements=st.integers(-3, 3).map(lambda k: k / 4)
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def literal_stability(
    shifts, *, seed: int, resamples: int, top_k: int, min_share: float, strict_sign: bool, longest: int
):
    """Draw mistakes, rank them as the stage does, and count who is in a list."""
    mistakes = shifts[shifts.any(axis=1)]
    returned = np.zeros(shifts.shape[1])
    for counts in np.concatenate(
        list(draw_counts(np.zeros(len(mistakes)), generator=generator(seed), draws=resamples))
    ):
        drawn = np.repeat(mistakes, counts, axis=0)
        ranking = rank_neurons(drawn, top_k=top_k, min_share=min_share, strict_sign=strict_sign).head(longest)
        returned[list(ranking.directions())] += 1
    return returned / resamples


@given(
    shifts=SHIFTS.filter(lambda shifts: bool(shifts.any())),
    top_k=st.integers(1, 4),
    min_share=st.sampled_from([0.0, 0.2, 0.5]),
    strict_sign=st.booleans(),
    longest=st.integers(1, 4),
)
def test_it_is_what_ranking_every_resample_gives(shifts, top_k, min_share, strict_sign, longest):
    rule = {"top_k": top_k, "min_share": min_share, "strict_sign": strict_sign}
    found = candidate_stability(shifts, generator=generator(7), max_neurons=longest, resamples=12, **rule)
    assert found.tolist() == literal_stability(shifts, seed=7, resamples=12, longest=longest, **rule).tolist()


def test_a_neuron_all_mistakes_vote_for_always_comes_back_and_one_of_a_single_mistake_as_often_as_that_is_drawn():
    shifts = np.zeros((10, 3))
    shifts[:, 0] = 1
    shifts[0, 1] = 2
    found = candidate_stability(shifts, generator=generator(), top_k=2, resamples=4000)
    assert found[0] == 1
    assert found[1] == pytest.approx(1 - 0.9**10, abs=0.03)  # that one of ten draws at least is the mistake
    assert found[2] == 0


def test_of_one_mistake_every_resample_is_the_same():
    found = candidate_stability(np.array([[0.4, 0.0, -0.2, 0.1]]), generator=generator(), top_k=2, resamples=50)
    assert found.tolist() == [1, 0, 1, 1]


def test_a_share_below_the_least_is_no_candidate_in_that_resample():
    shifts = np.array([[1.0, 0.0]] + [[0.0, 1.0]] * 3)
    often = candidate_stability(shifts, generator=generator(), min_share=0.25, resamples=4000)
    seldom = candidate_stability(shifts, generator=generator(), min_share=0.5, resamples=4000)
    assert often[0] == pytest.approx(1 - 0.75**4, abs=0.03)
    assert seldom[0] == pytest.approx(1 - 0.75**4 - 4 * 0.25 * 0.75**3, abs=0.03)


def test_a_short_list_takes_the_most_voted_alone():
    shifts = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 2)
    found = candidate_stability(shifts, generator=generator(), max_neurons=1, resamples=500)
    assert found.sum() == pytest.approx(1)
    assert found[0] > found[1] > 0


@given(shifts=SHIFTS, seed=st.integers(0, 1000))
def test_it_is_a_share_and_what_nobody_votes_for_never_comes_back(shifts, seed):
    found = candidate_stability(shifts, generator=generator(seed), resamples=20)
    assert ((found >= 0) & (found <= 1)).all()
    assert not found[~shifts.any(axis=0)].any()


@given(seed=st.integers(0, 10**6))
def test_permuting_the_neurons_permutes_it(seed):
    shifts, order = generator(seed).normal(size=(8, 6)), generator(seed + 1).permutation(6)
    found, permuted = (candidate_stability(one, generator=generator(3), top_k=2) for one in (shifts, shifts[:, order]))
    assert permuted.tolist() == found[order].tolist()


@given(shifts=SHIFTS)
def test_turning_every_shift_round_changes_nothing_because_both_directions_count(shifts):
    found, turned = (candidate_stability(one, generator=generator(), top_k=2) for one in (shifts, -shifts))
    assert found.tolist() == turned.tolist()


def test_the_same_seed_gives_the_same_and_rows_of_zeros_change_nothing():
    shifts = generator(1).normal(size=(12, 9))
    found = [
        candidate_stability(one, generator=generator(5), top_k=1)
        for one in (shifts, shifts, np.vstack([np.zeros((3, 9)), shifts, np.zeros((2, 9))]))
    ]
    assert found[0].tolist() == found[1].tolist() == found[2].tolist()
    assert found[0].tolist() != candidate_stability(shifts, generator=generator(6), top_k=1).tolist()


@pytest.mark.parametrize("shifts", [np.zeros((0, 4)), np.zeros((3, 4))])
def test_without_mistakes_nothing_comes_back(shifts):
    assert candidate_stability(shifts, generator=generator()).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("shifts", "given"),
    [
        (np.ones(3), {}),
        (np.array([[np.inf, 1.0]]), {}),
        (np.array([[np.inf, -np.inf]]), {}),
        (np.ones((2, 2)), {"top_k": 0}),
        (np.ones((2, 2)), {"resamples": 0}),
        (np.ones((2, 2)), {"max_neurons": 0}),
    ],
)
def test_what_makes_no_sense_is_refused(shifts, given):
    with pytest.raises(FeaturesError, match="finite shifts"):
        candidate_stability(shifts, generator=generator(), **given)


def test_it_needs_little_memory_beside_the_shifts_and_in_blocks_gives_as_many_draws(monkeypatch):
    shifts = generator(2).normal(size=(30_000, 512)).astype(np.float32)
    shifts[:, 7] = 9
    monkeypatch.setattr(stability, "_AT_ONCE", 30_000 * 16)
    tracemalloc.start()
    found = candidate_stability(shifts, generator=generator(), resamples=40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < shifts.nbytes
    assert set(np.round(found * 40, 6) % 1) == {0}
    assert found[7] == 1
