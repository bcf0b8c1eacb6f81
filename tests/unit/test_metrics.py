import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroinspect import metrics
from neuroinspect.errors import FeaturesError
from neuroinspect.metrics import CellAccuracy
from tests import reference

TARGETS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTIONS = np.array([0, 0, 0, 1, 1, 0, 2, 0])
GROUPS = np.array(["sea", "sea", "land", "land", "sea", None, "land", "land"], dtype=object)


def once(samples: int) -> np.ndarray:
    return np.ones((1, samples))


def random_case(seed: int, *, samples: int = 40, classes: int = 4):
    generator = np.random.default_rng(seed)
    targets = generator.integers(classes, size=samples)
    logits = generator.normal(size=(samples, classes)) + 1.2 * np.eye(classes)[targets]
    return logits, targets, np.array(["red", "blue", None], dtype=object)[generator.integers(3, size=samples)]


def test_accuracies_by_hand() -> None:
    assert metrics.average_accuracy(PREDICTIONS, TARGETS) == 5 / 8
    cells = metrics.per_class_accuracy(PREDICTIONS, TARGETS, num_classes=4)
    assert cells == (CellAccuracy(3, 4), CellAccuracy(1, 2), CellAccuracy(1, 2), CellAccuracy(0, 0))
    assert [cell.accuracy for cell in cells] == [0.75, 0.5, 0.5, None]
    assert metrics.worst_class_accuracy(PREDICTIONS, TARGETS) == 0.5


def test_the_interval_of_a_cell_is_wilsons() -> None:
    assert CellAccuracy(3, 4).interval(0.9) == metrics.wilson_interval(3, 4, 0.9)


def test_the_worst_class_has_more_mistakes_among_equals_and_then_the_lower_number() -> None:
    assert metrics.worst_class((CellAccuracy(1, 2), CellAccuracy(2, 4), CellAccuracy(0, 0))) == 1
    assert metrics.worst_class((CellAccuracy(9, 9), CellAccuracy(1, 2), CellAccuracy(1, 2))) == 1
    with pytest.raises(FeaturesError, match="no class"):
        metrics.worst_class((CellAccuracy(0, 0),))


def test_groups_by_hand() -> None:
    cells = metrics.per_group_accuracy(PREDICTIONS, TARGETS, GROUPS)
    assert cells == {
        (0, "land"): CellAccuracy(1, 2),
        (0, "sea"): CellAccuracy(2, 2),
        (1, "sea"): CellAccuracy(1, 1),
        (2, "land"): CellAccuracy(1, 2),
    }
    assert metrics.worst_group_accuracy(PREDICTIONS, TARGETS, GROUPS) == 0.5
    assert metrics.worst_group_accuracy(PREDICTIONS, TARGETS, [None] * 8) is None


def test_the_group_weighted_average_takes_the_weights_of_the_training_set() -> None:
    sizes = {(0, "land"): 1, (0, "sea"): 3, (1, "land"): 100, (2, "land"): 4}
    # The cell (1, land) has no sample here and gets no weight.
    average = metrics.group_weighted_average(PREDICTIONS, TARGETS, GROUPS, training_sizes=sizes)
    assert average == pytest.approx((1 * 0.5 + 3 * 1.0 + 4 * 0.5) / 8)


def test_weighted_by_its_own_groups_the_average_is_the_average() -> None:
    groups = ["a", "b"] * 4
    sizes = metrics.group_sizes(TARGETS, groups)
    weighted = metrics.group_weighted_average(PREDICTIONS, TARGETS, groups, training_sizes=sizes)
    assert weighted == pytest.approx(metrics.average_accuracy(PREDICTIONS, TARGETS))


def test_without_a_common_cell_there_is_no_group_weighted_average() -> None:
    sizes = {(0, "moon"): 5}
    assert metrics.group_weighted_average(PREDICTIONS, TARGETS, GROUPS, training_sizes=sizes) is None


def test_the_margin_of_two_classes_is_the_difference_of_their_logits() -> None:
    np.testing.assert_allclose(metrics.class_margin([[3.0, 1.0], [0.0, 2.0]], 0), [2.0, -2.0])


def test_the_margin_of_large_logits_does_not_overflow() -> None:
    np.testing.assert_allclose(metrics.class_margin([[2000.0, 1000.0, 1000.0]], 0), [1000 - math.log(2)])


def test_auroc_by_hand() -> None:
    assert metrics.auroc([2.0, 3.0], [1.0, 2.0]) == 3.5 / 4
    assert metrics.auroc([1.0, 1.0], [1.0]) == 0.5
    assert metrics.auroc([], [1.0]) is None
    assert metrics.auroc([1.0], []) is None


SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=15)


@settings(max_examples=80, deadline=None)
@given(positive=SCORES, negative=SCORES)
def test_auroc_counts_pairs(positive: list[float], negative: list[float]) -> None:
    found = metrics.auroc(positive, negative)
    assert found == pytest.approx(reference.auroc(positive, negative))
    assert metrics.auroc(negative, positive) == pytest.approx(1 - reference.auroc(positive, negative))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_both_aurocs_equal_their_literal_twins(seed: int) -> None:
    logits, targets, groups = random_case(seed)
    margins = [reference.margin(row, 1) for row in logits.tolist()]
    rows = list(zip(margins, targets.tolist(), groups, strict=True))
    of_class, others = [m for m, t, _ in rows if t == 1], [m for m, t, _ in rows if t != 1]
    assert metrics.class_auroc(logits, targets, 1) == pytest.approx(reference.auroc(of_class, others))
    without, with_cue = (
        [m for m, t, g in rows if t == 1 and g == "blue"],
        [m for m, t, g in rows if t != 1 and g == "red"],
    )
    found = metrics.cross_cue_auroc(logits, targets, groups, class_index=1, cue="red")
    assert found == (pytest.approx(reference.auroc(without, with_cue)) if without and with_cue else None)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), bias=st.floats(-20, 20))
def test_no_bias_of_the_class_moves_an_auroc(seed: int, bias: float) -> None:
    logits, targets, groups = random_case(seed)
    shifted = logits + bias * np.eye(4)[2]
    assert metrics.class_auroc(shifted, targets, 2) == pytest.approx(metrics.class_auroc(logits, targets, 2), abs=1e-6)
    before, after = (metrics.cross_cue_auroc(z, targets, groups, class_index=2, cue="red") for z in (logits, shifted))
    assert after == (None if before is None else pytest.approx(before, abs=1e-6))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_worst_is_never_above_the_average(seed: int) -> None:
    logits, targets, groups = random_case(seed)
    predictions = logits.argmax(axis=1)
    known = np.array([group is not None for group in groups])
    average = metrics.average_accuracy(predictions, targets)
    worst = metrics.worst_class_accuracy(predictions, targets)
    assert 0 <= worst <= average <= 1
    cells = metrics.per_class_accuracy(predictions, targets, num_classes=4)
    assert cells[metrics.worst_class(cells)].accuracy == worst
    if known.any():
        worst_group = metrics.worst_group_accuracy(predictions, targets, groups)
        assert worst_group is not None
        assert worst_group <= metrics.average_accuracy(predictions[known], targets[known])


def test_every_statistic_counted_once_is_the_figure() -> None:
    logits, targets, groups = random_case(11)
    predictions, ones = logits.argmax(axis=1), once(40)
    sizes = {(0, "red"): 3, (1, "blue"): 4, (3, "red"): 5}
    pairs = [
        (metrics.average_statistic(predictions, targets), metrics.average_accuracy(predictions, targets)),
        (metrics.worst_class_statistic(predictions, targets), metrics.worst_class_accuracy(predictions, targets)),
        (
            metrics.worst_group_statistic(predictions, targets, groups),
            metrics.worst_group_accuracy(predictions, targets, groups),
        ),
        (
            metrics.class_accuracy_statistic(predictions, targets, 2),
            metrics.per_class_accuracy(predictions, targets, num_classes=4)[2].accuracy,
        ),
        (
            metrics.group_weighted_statistic(predictions, targets, groups, training_sizes=sizes),
            metrics.group_weighted_average(predictions, targets, groups, training_sizes=sizes),
        ),
        (metrics.class_auroc_statistic(logits, targets, 1), metrics.class_auroc(logits, targets, 1)),
        (
            metrics.cross_cue_auroc_statistic(logits, targets, groups, class_index=1, cue="red"),
            metrics.cross_cue_auroc(logits, targets, groups, class_index=1, cue="red"),
        ),
    ]
    for statistic, figure in pairs:
        assert figure is not None
        assert statistic(ones)[0] == pytest.approx(figure)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_statistic_of_counts_is_the_figure_of_repeated_samples(seed: int) -> None:
    logits, targets, _ = random_case(seed)
    counts = np.random.default_rng(seed).integers(1, 4, size=40)
    predictions, again = logits.argmax(axis=1), np.repeat(np.arange(40), counts)
    for statistic, figure in (
        (
            metrics.worst_class_statistic(predictions, targets),
            metrics.worst_class_accuracy(predictions[again], targets[again]),
        ),
        (metrics.class_auroc_statistic(logits, targets, 0), metrics.class_auroc(logits[again], targets[again], 0)),
    ):
        found = statistic(counts[None].astype(float))[0]
        assert np.isnan(found) if figure is None else found == pytest.approx(figure)


def test_strata_are_the_cells_of_class_and_attribute() -> None:
    assert metrics.cell_strata(TARGETS).tolist() == TARGETS.tolist()
    assert metrics.cell_strata([0, 0, 0, 1], ["a", None, "a", "a"]).tolist() == [1, 0, 1, 2]


def test_tensors_are_measured_like_arrays() -> None:
    logits, targets, groups = random_case(12)
    tensors = torch.tensor(logits, requires_grad=True), torch.tensor(targets)
    assert metrics.class_auroc(*tensors, 0) == metrics.class_auroc(logits, targets, 0)
    found = metrics.cross_cue_auroc(*tensors, groups, class_index=0, cue="blue")
    assert found == metrics.cross_cue_auroc(logits, targets, groups, class_index=0, cue="blue")


def test_a_group_that_is_nan_in_a_table_is_no_group() -> None:
    assert metrics.group_sizes([0, 1, 1], np.array(["a", np.nan, None], dtype=object)) == {(0, "a"): 1}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(FeaturesError, match="same shape"):
        metrics.average_accuracy([0, 1], [0])
    with pytest.raises(FeaturesError, match="N >= 1"):
        metrics.average_accuracy([], [])
    with pytest.raises(FeaturesError, match=r"0\.\.1"):
        metrics.per_class_accuracy([0, 2], [0, 2], num_classes=2)
    with pytest.raises(FeaturesError, match="finite"):
        metrics.class_margin([[np.nan, 1.0]], 0)
    with pytest.raises(FeaturesError, match="class_index"):
        metrics.class_margin([[0.0, 1.0]], 2)
    with pytest.raises(FeaturesError, match="C >= 2"):
        metrics.class_margin([[0.0]], 0)
