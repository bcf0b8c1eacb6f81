"""What is measured: accuracies of classes and groups, and two AUROCs that no bias can move, each in [0, 1].

A figure that cannot be computed (no samples on one side) is None, never NaN.

Each figure exists as a number and as a `Statistic` for `bootstrap`; `difference(a, b)` of two statistics over the same
samples is a paired difference.

Reference: Ju, Park, Lee 2023, section IV (worst class and worst group).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pandas import isna

from neuroinspect.errors import FeaturesError
from neuroinspect.intervals import (
    Array,
    Estimate,
    Statistic,
    as_array,
    auroc_statistic,
    bootstrap,
    defined,
    difference,
    mcnemar_test,
    mean_statistic,
    wilson_interval,
)

__all__ = [
    "Array",
    "Cell",
    "CellAccuracy",
    "Estimate",
    "Statistic",
    "auroc",
    "auroc_statistic",
    "average_accuracy",
    "average_statistic",
    "bootstrap",
    "cell_strata",
    "class_accuracy_statistic",
    "class_auroc",
    "class_auroc_statistic",
    "class_margin",
    "cross_cue_auroc",
    "cross_cue_auroc_statistic",
    "difference",
    "group_sizes",
    "group_weighted_average",
    "group_weighted_statistic",
    "mcnemar_test",
    "per_class_accuracy",
    "per_group_accuracy",
    "wilson_interval",
    "worst_class",
    "worst_class_accuracy",
    "worst_class_statistic",
    "worst_group_accuracy",
    "worst_group_statistic",
]

Cell = tuple[int, str]


@dataclass(frozen=True, slots=True)
class CellAccuracy:
    """How many samples of a class or group are right."""

    right: int
    count: int

    @property
    def accuracy(self) -> float | None:
        """Part that is right; None for an empty cell."""
        return self.right / self.count if self.count else None

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson interval of the accuracy."""
        return wilson_interval(self.right, self.count, confidence)


def average_accuracy(predictions: Array, targets: Array) -> float:
    """Part of the samples that are right.

    Args:
        predictions: (N,) class numbers.
        targets: (N,) class numbers.

    Raises:
        FeaturesError: shapes that do not match, or no samples.
    """
    return float(_right(predictions, targets).mean())


def per_class_accuracy(predictions: Array, targets: Array, *, num_classes: int) -> tuple[CellAccuracy, ...]:
    """Accuracy of each class 0..num_classes - 1.

    Raises:
        FeaturesError: shapes that do not match, no samples, or a target outside the classes.
    """
    right, classes = _right(predictions, targets), as_array(targets).astype(np.int64)
    if classes.min() < 0 or classes.max() >= num_classes:
        raise FeaturesError(f"targets must lie in 0..{num_classes - 1}, got {classes.min()}..{classes.max()}")
    counts = np.bincount(classes, minlength=num_classes)
    rights = np.bincount(classes[right], minlength=num_classes)
    return tuple(CellAccuracy(int(r), int(n)) for r, n in zip(rights, counts, strict=True))


def worst_class(cells: tuple[CellAccuracy, ...]) -> int:
    """Number of the non-empty class with the lowest accuracy; ties go to more mistakes, then to the lower number.

    Raises:
        FeaturesError: every class is empty.
    """
    known = [(cell.accuracy, cell.right - cell.count, k) for k, cell in enumerate(cells) if cell.accuracy is not None]
    if not known:
        raise FeaturesError("no class has a sample, so none is the worst; give at least one sample")
    return min(known)[2]


def worst_class_accuracy(predictions: Array, targets: Array) -> float:
    """Lowest accuracy of a class that has samples.

    Raises:
        FeaturesError: shapes that do not match, or no samples.
    """
    return float(worst_class_statistic(predictions, targets)(_once(targets))[0])


def group_sizes(targets: Array, groups: ArrayLike) -> dict[Cell, int]:
    """Number of samples in each cell (class number, attribute); samples without a group (None) are left out.

    Raises:
        FeaturesError: shapes that do not match, or no samples.
    """
    return {cell: len(members) for cell, members in _cells(targets, groups).items()}


def per_group_accuracy(predictions: Array, targets: Array, groups: ArrayLike) -> dict[Cell, CellAccuracy]:
    """Accuracy of each non-empty cell (class number, attribute).

    Args:
        predictions: (N,) class numbers.
        targets: (N,) class numbers.
        groups: (N,) attribute of each picture, such as its background; None where unknown.

    Raises:
        FeaturesError: shapes that do not match, or no samples.
    """
    right = _right(predictions, targets)
    return {cell: CellAccuracy(int(right[at].sum()), len(at)) for cell, at in _cells(targets, groups).items()}


def worst_group_accuracy(predictions: Array, targets: Array, groups: ArrayLike) -> float | None:
    """Lowest accuracy of a non-empty cell; None where no sample has a group."""
    cells = per_group_accuracy(predictions, targets, groups)
    return min((cell.right / cell.count for cell in cells.values()), default=None)


def group_weighted_average(
    predictions: Array, targets: Array, groups: ArrayLike, *, training_sizes: Mapping[Cell, int]
) -> float | None:
    """Average accuracy with each cell weighted by its size in the training set (the Waterbirds convention).

    Args:
        predictions: (N,) class numbers.
        targets: (N,) class numbers.
        groups: (N,) attribute of each picture; None where unknown.
        training_sizes: from `group_sizes` of the training split. Cells without a sample here get no weight.

    Returns:
        None where no cell of the training set has a sample here.
    """
    return defined(
        group_weighted_statistic(predictions, targets, groups, training_sizes=training_sizes)(_once(targets))[0]
    )


def class_margin(logits: Array, class_index: int) -> NDArray[np.float64]:
    """Logit of a class minus the log-sum-exp of the others, (N,): the log-odds of the class.

    Args:
        logits: (N, C), C at least 2.
        class_index: 0..C - 1.

    Raises:
        FeaturesError: another shape, values that are not finite, or no such class.
    """
    values = as_array(logits).astype(np.float64)
    if values.ndim != 2 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise FeaturesError(f"logits must be finite and of shape (N, C) with C >= 2, got shape {values.shape}")
    if not 0 <= class_index < values.shape[1]:
        raise FeaturesError(f"class_index must lie in 0..{values.shape[1] - 1}, got {class_index}")
    from scipy.special import logsumexp  # half a second of every command's start, were it above

    margin: NDArray[np.float64] = values[:, class_index] - logsumexp(np.delete(values, class_index, axis=1), axis=1)
    return margin


def auroc(scores_positive: Array, scores_negative: Array) -> float | None:
    """Chance that a positive scores above a negative; a tie counts half. None where one side is empty.

    Raises:
        FeaturesError: scores that are not finite.
    """
    positive, negative = as_array(scores_positive), as_array(scores_negative)
    scores = np.concatenate([positive, negative])
    is_positive = np.arange(len(scores)) < len(positive)
    return defined(auroc_statistic(scores, is_positive, ~is_positive)(np.ones((1, len(scores))))[0])


def class_auroc(logits: Array, targets: Array, class_index: int) -> float | None:
    """AUROC of the class margin, samples of the class against all others; no bias can move it."""
    return defined(class_auroc_statistic(logits, targets, class_index)(_once(targets))[0])


def cross_cue_auroc(logits: Array, targets: Array, groups: ArrayLike, *, class_index: int, cue: str) -> float | None:
    """AUROC of the class margin, the class WITHOUT the cue against other classes WITH it: reliance on the cue.

    Args:
        logits: (N, C).
        targets: (N,) class numbers.
        groups: (N,) attribute of each picture; samples of the class whose group is None are left out.
        class_index: the class.
        cue: the attribute that is the cue.

    Returns:
        None where one side is empty.
    """
    statistic = cross_cue_auroc_statistic(logits, targets, groups, class_index=class_index, cue=cue)
    return defined(statistic(_once(targets))[0])


def average_statistic(predictions: Array, targets: Array) -> Statistic:
    """`average_accuracy` as a Statistic."""
    return mean_statistic(_right(predictions, targets), np.arange(len(as_array(targets))))


def class_accuracy_statistic(predictions: Array, targets: Array, class_index: int) -> Statistic:
    """Accuracy of one class as a Statistic."""
    return mean_statistic(_right(predictions, targets), np.flatnonzero(as_array(targets) == class_index))


def worst_class_statistic(predictions: Array, targets: Array) -> Statistic:
    """`worst_class_accuracy` as a Statistic."""
    right, classes = _right(predictions, targets), as_array(targets)
    parts = [mean_statistic(right, np.flatnonzero(classes == k)) for k in np.unique(classes)]
    return lambda counts: np.stack([part(counts) for part in parts]).min(axis=0)


def worst_group_statistic(predictions: Array, targets: Array, groups: ArrayLike) -> Statistic:
    """`worst_group_accuracy` as a Statistic; NaN where no sample has a group."""
    right = _right(predictions, targets)
    parts = [mean_statistic(right, members) for members in _cells(targets, groups).values()]
    return lambda counts: (
        np.stack([part(counts) for part in parts]).min(axis=0) if parts else np.full(len(counts), np.nan)
    )


def group_weighted_statistic(
    predictions: Array, targets: Array, groups: ArrayLike, *, training_sizes: Mapping[Cell, int]
) -> Statistic:
    """`group_weighted_average` as a Statistic; NaN where no cell of the training set has a sample here."""
    right = _right(predictions, targets)
    cells = {cell: at for cell, at in _cells(targets, groups).items() if training_sizes.get(cell, 0) > 0}
    parts = [(training_sizes[cell], mean_statistic(right, members)) for cell, members in cells.items()]
    total = sum(size for size, _ in parts)

    def statistic(counts: NDArray[Any]) -> NDArray[np.float64]:
        figures = np.full(len(counts), 0.0 if parts else np.nan)
        for size, part in parts:
            figures += size / total * part(counts)
        return figures

    return statistic


def class_auroc_statistic(logits: Array, targets: Array, class_index: int) -> Statistic:
    """`class_auroc` as a Statistic; NaN where one side is empty."""
    of_class = as_array(targets) == class_index
    return auroc_statistic(class_margin(logits, class_index), of_class, ~of_class)


def cross_cue_auroc_statistic(
    logits: Array, targets: Array, groups: ArrayLike, *, class_index: int, cue: str
) -> Statistic:
    """`cross_cue_auroc` as a Statistic; NaN where one side is empty."""
    of_class, attributes = as_array(targets) == class_index, _labels(groups)
    without = of_class & (attributes != cue) & np.array([a is not None for a in attributes], dtype=bool)
    return auroc_statistic(class_margin(logits, class_index), without, ~of_class & (attributes == cue))


def cell_strata(targets: Array, groups: ArrayLike | None = None) -> NDArray[np.int64]:
    """Stratum numbers (N,): the class, or class x attribute where groups are given (None is one attribute more)."""
    classes = as_array(targets)
    keys = [(int(k), "" if a is None else f"={a}") for k, a in zip(classes, _labels(groups, len(classes)), strict=True)]
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def _right(predictions: Array, targets: Array) -> NDArray[np.bool_]:
    first, second = as_array(predictions), as_array(targets)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise FeaturesError(f"expected two arrays of the same shape (N,), N >= 1, got {first.shape} and {second.shape}")
    right: NDArray[np.bool_] = first == second
    return right


def _labels(groups: ArrayLike | None, count: int = 0) -> NDArray[np.object_]:
    if groups is None:
        return np.full(count, None, dtype=object)
    labels = np.asarray(groups, dtype=object)
    return np.array(
        [None if missing else str(label) for label, missing in zip(labels, isna(labels), strict=True)], dtype=object
    )


def _cells(targets: Array, groups: ArrayLike) -> dict[Cell, NDArray[np.int64]]:
    classes, attributes = as_array(targets), _labels(groups)
    _right(classes, attributes)
    members: dict[Cell, list[int]] = {}
    for row, (k, attribute) in enumerate(zip(classes, attributes, strict=True)):
        if attribute is not None:
            members.setdefault((int(k), attribute), []).append(row)
    return {cell: np.array(members[cell]) for cell in sorted(members)}


def _once(targets: Array) -> NDArray[np.float64]:
    return np.ones((1, len(as_array(targets))))
