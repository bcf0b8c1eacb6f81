import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuroinspect import ranking
from neuroinspect.errors import FeaturesError
from neuroinspect.ranking import Direction, rank_neurons, vote_shares
from tests.reference import vote_share

SHIFTS = np.array([[0.5, 0.1, -0.2, 0.0], [0.4, 0.0, -0.1, -0.3], [-0.6, 0.2, 0.3, 0.0], [0.0, 0.0, 0.0, 0.0]])
RANDOM_SHIFTS = arrays(
    np.float64, st.tuples(st.integers(1, 12), st.integers(1, 9)), elements=st.integers(-3, 3).map(lambda k: k / 4)
)


def test_votes_by_hand() -> None:
    ranking = rank_neurons(SHIFTS, top_k=1)
    assert ranking.insufficient["neuron"].tolist() == [0, 2]
    np.testing.assert_allclose(ranking.insufficient["vote_share"], [2 / 3, 1 / 3])
    assert ranking.excessive["neuron"].tolist() == [0, 2, 3]
    np.testing.assert_allclose(ranking.excessive["vote_share"], [1 / 3, 1 / 3, 1 / 3])


def test_a_neuron_in_both_lists_is_marked() -> None:
    ranking = rank_neurons(SHIFTS, top_k=1)
    assert ranking.both == [0, 2]
    assert ranking.directions() == {0: Direction.BOTH, 2: Direction.BOTH, 3: Direction.EXCESSIVE}


def test_the_head_of_a_ranking_keeps_the_first_of_each_list() -> None:
    head = rank_neurons(SHIFTS, top_k=1).head(1)
    assert head.insufficient["neuron"].tolist() == head.excessive["neuron"].tolist() == [0]


def test_a_row_of_zeros_is_no_mistake() -> None:
    assert vote_shares(SHIFTS).mistakes == 3
    empty = rank_neurons(np.zeros((4, 3)))
    assert len(empty.insufficient) == len(empty.excessive) == 0
    assert empty.insufficient.columns.tolist() == ["neuron", "vote_share"]


def test_no_rows_rank_no_neurons() -> None:
    assert len(rank_neurons(np.zeros((0, 3))).insufficient) == 0


def test_only_the_right_sign_votes() -> None:
    shifts = np.array([[0.3, 0.0, 0.0]])
    ranking = rank_neurons(shifts, top_k=3)
    assert ranking.insufficient["neuron"].tolist() == [0]
    assert len(ranking.excessive) == 0


def test_the_released_rule_takes_any_sign_above_and_drops_what_is_above_zero_below() -> None:
    shares = vote_shares(np.array([[0.3, 0.2, -0.1]]), top_k=3, strict_sign=False)
    assert shares.insufficient.tolist() == [1, 1, 1]
    assert shares.excessive.tolist() == [0, 0, 1]


def test_a_share_of_exactly_the_minimum_stays() -> None:
    shifts = np.zeros((100, 2))
    shifts[:3, 0], shifts[3:, 1] = 1, 1
    assert rank_neurons(shifts, min_share=0.03).insufficient["neuron"].tolist() == [1, 0]
    assert rank_neurons(shifts, min_share=0.031).insufficient["neuron"].tolist() == [1]


def test_a_tensor_ranks_like_an_array() -> None:
    of_tensor, of_array = rank_neurons(torch.from_numpy(SHIFTS)), rank_neurons(SHIFTS)
    assert of_tensor.insufficient.equals(of_array.insufficient)
    assert of_tensor.excessive.equals(of_array.excessive)


@settings(max_examples=60, deadline=None)
@given(shifts=RANDOM_SHIFTS, top_k=st.integers(1, 4))
def test_shares_equal_the_literal_count(shifts: np.ndarray, top_k: int) -> None:
    shares = vote_shares(shifts, top_k=top_k)
    if not shifts.any():
        assert shares.mistakes == 0
        return
    for neuron in range(shifts.shape[1]):
        assert shares.insufficient[neuron] == vote_share(shifts, neuron, top_k=top_k, sign=1)
        assert shares.excessive[neuron] == vote_share(shifts, neuron, top_k=top_k, sign=-1)


@settings(max_examples=40, deadline=None)
@given(shifts=RANDOM_SHIFTS)
def test_turning_every_shift_round_swaps_the_lists(shifts: np.ndarray) -> None:
    ranking, turned = rank_neurons(shifts), rank_neurons(-shifts)
    assert ranking.insufficient.equals(turned.excessive)
    assert ranking.excessive.equals(turned.insufficient)


@settings(max_examples=40, deadline=None)
@given(shifts=RANDOM_SHIFTS)
def test_lists_fall_and_equal_shares_stand_by_number(shifts: np.ndarray) -> None:
    for table in (rank_neurons(shifts).insufficient, rank_neurons(shifts).excessive):
        keys = list(zip(-table["vote_share"], table["neuron"], strict=True))
        assert keys == sorted(keys)
        assert ((table["vote_share"] >= 0.03) & (table["vote_share"] <= 1)).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_permuting_the_neurons_permutes_the_ranking(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shifts, order = generator.normal(size=(10, 8)), generator.permutation(8)
    shares, permuted = vote_shares(shifts, top_k=3), vote_shares(shifts[:, order], top_k=3)
    assert permuted.insufficient.tolist() == shares.insufficient[order].tolist()
    assert permuted.excessive.tolist() == shares.excessive[order].tolist()


@pytest.mark.parametrize("shifts", [np.ones(3), np.array([[np.nan, 1.0]])])
def test_shifts_of_another_shape_or_not_finite_are_refused(shifts: np.ndarray) -> None:
    with pytest.raises(FeaturesError, match="finite shifts"):
        rank_neurons(shifts)


def test_a_vote_needs_a_place() -> None:
    with pytest.raises(FeaturesError, match="top_k"):
        rank_neurons(SHIFTS, top_k=0)


@pytest.mark.parametrize("strict_sign", [True, False])
@given(shifts=RANDOM_SHIFTS, top_k=st.integers(1, 6))
def test_votes_counted_part_by_part_are_those_of_a_full_sort(shifts, top_k: int, strict_sign: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_AT_ONCE", 2 * shifts.shape[1])
        found = vote_shares(shifts, top_k=top_k, strict_sign=strict_sign)
    rows = shifts[shifts.any(axis=1)]
    for sign, shares in ((1, found.insufficient), (-1, found.excessive)):
        first = np.argsort(-sign * rows, axis=1, kind="stable")[:, :top_k]
        counts = np.zeros(shifts.shape[1])
        for row, places in zip(rows, first, strict=True):
            for neuron in places:
                free = not strict_sign and (sign > 0 or row[neuron] == 0)
                counts[neuron] += free or sign * row[neuron] > 0
        np.testing.assert_allclose(shares, counts / max(len(rows), 1))
    assert found.mistakes == len(rows)
