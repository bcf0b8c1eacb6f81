import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroinspect.errors import FeaturesError
from neuroinspect.intervals import (
    auroc_statistic,
    bootstrap,
    difference,
    mcnemar_test,
    mean_statistic,
    wilson_interval,
)
from tests import reference


def test_the_wilson_interval_of_half_of_ten_is_the_published_one() -> None:
    np.testing.assert_allclose(wilson_interval(5, 10), (0.2366, 0.7634), atol=1e-4)


def test_without_samples_nothing_is_known() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 500), part=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_the_ends_of_a_wilson_interval_solve_its_equation(count: int, part: float, confidence: float) -> None:
    right = round(part * count)
    low, high = wilson_interval(right, count, confidence)
    assert 0 <= low <= right / count <= high <= 1
    wider = wilson_interval(right, count, (1 + confidence) / 2)
    assert wider[0] <= low
    assert high <= wider[1]
    ends = [end for end in (low, high) if 0 < end < 1]
    scores = [abs(right / count - p) / np.sqrt(p * (1 - p) / count) for p in ends]
    assert len(ends) >= 1
    assert np.ptp(scores) < 1e-6 * max(scores)


@pytest.mark.parametrize(("right", "count", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 0.0), (1, 2, 1.0)])
def test_impossible_counts_and_confidences_are_refused(right: int, count: int, confidence: float) -> None:
    with pytest.raises(FeaturesError, match="right"):
        wilson_interval(right, count, confidence)


@settings(max_examples=60, deadline=None)
@given(only_first=st.integers(0, 25), only_second=st.integers(0, 25))
def test_mcnemar_equals_the_summed_binomial(only_first: int, only_second: int) -> None:
    first = np.array([1] * only_first + [0] * only_second + [1, 0])
    second = np.array([0] * only_first + [1] * only_second + [1, 0])
    np.testing.assert_allclose(mcnemar_test(first, second), reference.mcnemar(only_first, only_second), rtol=1e-9)


def test_mcnemar_needs_the_same_samples() -> None:
    with pytest.raises(FeaturesError, match="same shape"):
        mcnemar_test([True], [True, False])


def test_mean_over_many_draws_has_the_textbook_deviation() -> None:
    values = (np.arange(400) < 100).astype(float)
    found = bootstrap(
        mean_statistic(values, np.arange(400)), np.zeros(400), generator=np.random.default_rng(0), draws=8000
    )
    assert found is not None
    assert found.value == 0.25
    half = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    np.testing.assert_allclose((found.high - found.low) / 2, half, rtol=0.06)


def test_strata_keep_their_size() -> None:
    seen: list[np.ndarray] = []

    def statistic(counts: np.ndarray) -> np.ndarray:
        seen.append(counts)
        return counts.sum(axis=1)

    strata = np.array([2, 0, 0, 2, 1, 2])
    bootstrap(statistic, strata, generator=np.random.default_rng(0), draws=50)
    drawn = np.concatenate(seen[1:])
    assert drawn.shape == (50, 6)
    for stratum, size in ((0, 2), (1, 1), (2, 3)):
        assert (drawn[:, strata == stratum].sum(axis=1) == size).all()
    assert len(np.unique(drawn, axis=0)) > 5


def test_each_member_of_a_stratum_is_drawn_as_often_as_the_others() -> None:
    total = np.zeros(30)

    def statistic(counts: np.ndarray) -> np.ndarray:
        total[:] += counts.sum(axis=0)
        return np.zeros(len(counts))

    bootstrap(statistic, np.arange(30) // 10, generator=np.random.default_rng(1), draws=4000)
    np.testing.assert_allclose(total, 4001, rtol=0.08)


def test_the_same_seed_gives_the_same_interval() -> None:
    scores, positive = np.random.default_rng(0).normal(size=80), np.arange(80) < 30
    statistic = auroc_statistic(scores, positive, ~positive)
    first, again, other = (
        bootstrap(statistic, positive, generator=np.random.default_rng(s), draws=200) for s in (5, 5, 6)
    )
    assert first == again != other


def test_an_interval_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=40)
    statistic = mean_statistic(values, np.arange(40))
    whole = bootstrap(statistic, np.zeros(40), generator=np.random.default_rng(3), draws=101)
    monkeypatch.setattr("neuroinspect.intervals._CHUNK_ELEMENTS", 400)
    assert bootstrap(statistic, np.zeros(40), generator=np.random.default_rng(3), draws=101) == whole


def test_a_resampled_auroc_equals_the_literal_one_on_the_resampled_scores() -> None:
    generator = np.random.default_rng(2)
    scores, positive = generator.integers(0, 6, size=25) / 2, np.arange(25) < 10
    counts = generator.integers(0, 3, size=(20, 25)).astype(float)
    counts[:, [0, 20]] += 1
    figures = auroc_statistic(scores, positive, ~positive)(counts)
    for row, figure in zip(counts.astype(int), figures, strict=True):
        drawn, sides = np.repeat(scores, row), np.repeat(positive, row)
        np.testing.assert_allclose(figure, reference.auroc(drawn[sides].tolist(), drawn[~sides].tolist()))


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    generator = np.random.default_rng(4)
    positive = np.arange(300) < 90
    scores = positive + generator.normal(size=300)
    first = auroc_statistic(scores + 0.1 * generator.normal(size=300), positive, ~positive)
    second = auroc_statistic(scores, positive, ~positive)
    alone, paired = (
        bootstrap(s, positive, generator=np.random.default_rng(0)) for s in (second, difference(first, second))
    )
    assert alone is not None
    assert paired is not None
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_a_classifier_does_not_differ_from_itself() -> None:
    positive = np.arange(40) < 15
    statistic = auroc_statistic(np.random.default_rng(0).normal(size=40), positive, ~positive)
    found = bootstrap(difference(statistic, statistic), positive, generator=np.random.default_rng(0), draws=100)
    assert found is not None
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_figure_of_nothing_has_no_interval() -> None:
    none = np.zeros(5, dtype=bool)
    statistic = auroc_statistic(np.arange(5), none, ~none)
    assert bootstrap(statistic, np.zeros(5), generator=np.random.default_rng(0)) is None


def test_a_figure_that_most_draws_leave_undefined_has_no_interval() -> None:
    def needs_all_of_ten(counts):
        return np.where((counts > 0).all(axis=1), 1.0, np.nan)

    assert bootstrap(needs_all_of_ten, np.zeros(10), generator=np.random.default_rng(0), draws=100) is None


def test_two_thousand_draws_of_1200_samples_take_well_under_a_second() -> None:
    generator = np.random.default_rng(0)
    positive = np.arange(1200) % 10 == 0
    statistic = auroc_statistic(generator.normal(size=1200), positive, ~positive)
    began = time.process_time()
    assert bootstrap(statistic, positive, generator=generator, draws=2000) is not None
    assert time.process_time() - began < 1


def test_scores_that_do_not_fit_are_refused() -> None:
    flags = np.array([True, False])
    with pytest.raises(FeaturesError, match="finite"):
        auroc_statistic([np.nan, 1.0], flags, ~flags)
    with pytest.raises(FeaturesError, match=r"\(N,\)"):
        auroc_statistic([1.0, 2.0, 3.0], flags, ~flags)
