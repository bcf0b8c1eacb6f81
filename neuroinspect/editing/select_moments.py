"""Moments of the features that select: means, covariances, and how much each sample pulls on what is fitted.

Computed once for a split, whichever neurons are chosen, and shared by all edits over the same features.

Reference: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.problem import EditProblem

_ROWS = 4096  # samples held in float64 at once
_LEAST = 1e-6  # part of the identity that is always mixed in, so that a neuron that never varies is no obstacle


@dataclass(frozen=True, slots=True, eq=False)
class SelectMoments:
    """Moments in float64.

    Attributes:
        row: (N,) row of each sample's class in the tables by class.
        counts: (C,) samples of each class.
        mean: (F,).
        class_means: (C, F).
        total: (F, F) shrunk covariance.
        total_factor: (F, F) its lower Cholesky factor.
        within: (F, F) lower Cholesky factor of the shrunk covariance within classes, scaled so that it is that covariance plus
            a ridge: what is fitted with it can then leave a sample out exactly.
        leverage: (N,) in 0..1, what part of its own fitted value a sample is.
    """

    row: Tensor
    counts: Tensor
    mean: Tensor
    class_means: Tensor
    total: Tensor
    total_factor: Tensor
    within: Tensor
    leverage: Tensor

    def solve_within(self, directions: Tensor) -> Tensor:
        """Inverse covariance within classes times directions (F, K)."""
        # The two steps of torch.cholesky_solve, which copies the factor each time: that takes longer than to solve.
        inner = torch.linalg.solve_triangular(self.within, directions, upper=False)
        solved: Tensor = torch.linalg.solve_triangular(self.within.mT, inner, upper=True)
        return solved


def moments_of(problem: EditProblem, *, shrinkage: float | None) -> SelectMoments:
    """The moments of a problem's validation features, of an earlier edit where that was over the same features."""
    features, labels = problem.validation_features, problem.validation_labels
    known = problem.shared.get("select_moments")
    if known is None or known[0] is not features or known[1] is not labels or known[2] != shrinkage:
        known = (features, labels, shrinkage, measure_moments(features, labels, shrinkage=shrinkage))
        problem.shared["select_moments"] = known
    moments: SelectMoments = known[3]
    return moments


def measure_moments(features: Tensor, labels: Tensor, *, shrinkage: float | None) -> SelectMoments:
    """Moments of features (N, F), labels (N,), in passes over a few thousand samples at a time.

    Args:
        features: (N, F).
        labels: (N,).
        shrinkage: part of both covariances that is a multiple of the identity, 0..1; None: Ledoit and Wolf's estimate.
    """
    classes, row = labels.unique(return_inverse=True)
    counts = torch.bincount(row, minlength=len(classes)).double()
    means = class_sums(features, row, classes=len(classes)) / counts[:, None]
    mean = counts @ means / len(features)
    total, _ = shrunk_covariance(features, mean.expand_as(means), row, shrinkage=shrinkage)
    inside, share = shrunk_covariance(features, means, row, shrinkage=shrinkage)
    within = torch.linalg.cholesky(inside / (1 - share))
    leverage = [
        torch.linalg.solve_triangular(within, centred.T, upper=False).square().sum(0)
        for centred in _centred(features, means, row)
    ]
    factor = torch.linalg.cholesky(total)
    return SelectMoments(row, counts, mean, means, total, factor, within, torch.cat(leverage) / len(features))


def shrunk_covariance(features: Tensor, means: Tensor, row: Tensor, *, shrinkage: float | None) -> tuple[Tensor, float]:
    """Covariance (F, F) around the mean of each sample's row, pulled towards a multiple of the identity, and how far.

    Args:
        features: (N, F).
        means: (C, F).
        row: (N,) which of the means belongs to each sample.
        shrinkage: how far, 0..1; None: Ledoit and Wolf's optimal part.
    """
    count, width = features.shape
    covariance = torch.zeros((width, width), dtype=torch.float64, device=features.device)
    fourth = torch.zeros((), dtype=torch.float64, device=features.device)
    for centred in _centred(features, means, row):
        covariance += centred.T @ centred / count
        fourth += centred.square().sum(1).square().sum() / count
    level = covariance.diagonal().mean()
    if shrinkage is None:
        distance = (covariance.square().sum() - width * level**2).clamp_min(1e-300)
        noise = (fourth - covariance.square().sum()) / count
        shrinkage = float((noise / distance).clamp(0.0, 1.0))
    # Where no neuron varies at all, any positive level will do: nothing is read from such features.
    level = torch.where(level > 0, level, 1.0)
    shrinkage = min(max(shrinkage, _LEAST), 1 - _LEAST)
    covariance *= 1 - shrinkage
    covariance.diagonal().add_(shrinkage * level)
    return covariance, shrinkage


def class_sums(features: Tensor, row: Tensor, *, classes: int, weights: Tensor | None = None) -> Tensor:
    """Sum (C, F), float64, of the samples of each class, weighted by (N,) where weights are given."""
    sums = torch.zeros((classes, features.shape[1]), dtype=torch.float64, device=features.device)
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        values = features[rows].double()
        sums.index_add_(0, row[rows], values if weights is None else values * weights[rows, None])
    return sums


def weighted_sum(features: Tensor, weights: Tensor, *, scratch: Tensor | None = None) -> Tensor:
    """Sum (F,), float64, of the samples weighted by (N,).

    Args:
        features: (N, F).
        weights: (N,).
        scratch: from `scratch_for`, where many sums follow one another.
    """
    scratch = scratch_for(features) if scratch is None else scratch
    total = torch.zeros(features.shape[1], dtype=torch.float64, device=features.device)
    for values, share in zip(features.split(_ROWS), weights.split(_ROWS), strict=True):
        total += share.double() @ scratch[: len(values)].copy_(values)
    return total


def scratch_for(features: Tensor) -> Tensor:
    """Memory for the samples held in float64 at once: to ask the system for it again and again takes longer than the sum."""
    return features.new_empty((min(_ROWS, len(features)), features.shape[1]), dtype=torch.float64)


def _centred(features: Tensor, means: Tensor, row: Tensor) -> Iterator[Tensor]:
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        yield features[rows].double() - means[row[rows]]
