"""Intervals and paired tests: Wilson, McNemar, and the bootstrap of any figure that is built from means and AUROCs.

A `Statistic` is a figure as a function of how often each sample is counted: counts (D, N) in, figures (D,) out. So one
vectorised `bootstrap` serves them all, and `difference(a, b)` of two statistics over the same samples is a paired one.

Reference: Wilson 1927; McNemar 1947; Efron, Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentile
intervals).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neuroinspect.errors import FeaturesError

Array = ArrayLike | Tensor
Statistic = Callable[[NDArray[Any]], NDArray[np.float64]]
_CHUNK_ELEMENTS = 2_000_000  # counts held at once: 16 MB


def wilson_interval(right: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion that keeps its coverage for few samples and near 0 or 1.

    Args:
        right: samples that are right, 0..count.
        count: samples; 0 gives (0, 1), for nothing is known.
        confidence: between 0 and 1.

    Raises:
        FeaturesError: right outside 0..count, or confidence outside (0, 1).
    """
    if not 0 <= right <= count or not 0 < confidence < 1:
        raise FeaturesError(f"expected 0 <= right <= count and 0 < confidence < 1, got {right}, {count}, {confidence}")
    if count == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return (0.0 if right == 0 else max(0.0, middle - half)), (1.0 if right == count else min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its percentile interval over bootstrap draws."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Statistic,
    strata: ArrayLike,
    *,
    generator: np.random.Generator,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Estimate | None:
    """Stratified percentile bootstrap: samples are drawn again within each stratum, so that each keeps its size.

    Args:
        statistic: of N samples; see the top of this module.
        strata: (N,) stratum of each sample, such as its class, or `cell_strata` where groups are known.
        generator: the same state gives the same draws.
        draws: resamples.
        confidence: between 0 and 1.

    Returns:
        None where the statistic is not defined on the samples, or on most draws of them.
    """
    value = statistic(np.ones((1, len(np.asarray(strata)))))[0]
    if not np.isfinite(value):
        return None
    figures = [statistic(counts) for counts in draw_counts(strata, generator=generator, draws=draws)]
    return estimate(value, np.concatenate(figures), confidence=confidence)


def draw_counts(
    strata: ArrayLike, *, generator: np.random.Generator, draws: int
) -> Iterator[NDArray[np.unsignedinteger]]:
    """How often each sample is drawn, (D, N) for some draws after the other, within each stratum; see `bootstrap`."""
    labels = np.asarray(strata)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    size = len(labels)
    chunk = max(1, _CHUNK_ELEMENTS // size)
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        counts = np.empty((rows, size), dtype=np.uint32)
        for at in members:
            drawn = generator.integers(len(at), size=(rows, len(at))) + np.arange(rows)[:, None] * len(at)
            counts[:, at] = np.bincount(drawn.ravel(), minlength=rows * len(at)).reshape(rows, len(at))
        yield counts.astype(np.min_scalar_type(counts.max(initial=0)))


def estimate(value: float, drawn: NDArray[np.float64], *, confidence: float) -> Estimate | None:
    """A figure with the percentile interval of its draws (D,); None where it, or most of the draws, are not defined."""
    # Where most draws miss a cell the statistic needs, the others are no picture of its spread.
    if not np.isfinite(value) or np.isnan(drawn).mean() > 0.5:
        return None
    low, high = np.nanquantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(float(value), float(low), float(high))


def mean_statistic(values: NDArray[Any], members: NDArray[np.int64]) -> Statistic:
    """Mean of the values (N,) of some samples, their numbers (K,); NaN where none of them is drawn."""
    inside = values[members].astype(np.float64)

    def statistic(counts: NDArray[Any]) -> NDArray[np.float64]:
        drawn = _columns(counts, members)
        return _divide(np.einsum("dn,n->d", drawn, inside), drawn.sum(axis=1))

    return statistic


def auroc_statistic(scores: Array, is_positive: Array, is_negative: Array) -> Statistic:
    """AUROC of scores (N,) between two disjoint sets of samples, (N,) bool each; NaN where one is empty.

    Raises:
        FeaturesError: shapes that do not match, or scores that are not finite.
    """
    values = as_array(scores).astype(np.float64)
    positive, negative = np.flatnonzero(as_array(is_positive)), np.flatnonzero(as_array(is_negative))
    if values.ndim != 1 or not len(values) == len(as_array(is_positive)) == len(as_array(is_negative)):
        raise FeaturesError(f"expected scores (N,) and two (N,) bool arrays, got scores of shape {values.shape}")
    if not np.isfinite(values).all():
        raise FeaturesError("scores must be finite; look for NaN or infinity in the logits")
    negative = negative[np.argsort(values[negative], kind="stable")]
    below = np.searchsorted(values[negative], values[positive], side="left")
    not_above = np.searchsorted(values[negative], values[positive], side="right")

    def statistic(counts: NDArray[Any]) -> NDArray[np.float64]:
        beaten = np.zeros((len(counts), len(negative) + 1))
        np.cumsum(_columns(counts, negative), axis=1, out=beaten[:, 1:])
        drawn = _columns(counts, positive)
        won = np.einsum("dp,dp->d", drawn, _columns(beaten, below) + _columns(beaten, not_above)) / 2
        return _divide(won, drawn.sum(axis=1) * beaten[:, -1])

    return statistic


def difference(first: Statistic, second: Statistic) -> Statistic:
    """First minus second, over the same samples: a paired difference."""
    return lambda counts: first(counts) - second(counts)


def mcnemar_test(right_first: Array, right_second: Array) -> float:
    """Exact two-sided p-value that two classifiers are right equally often on the same samples, (N,) bool each.

    Raises:
        FeaturesError: shapes that do not match, or no samples.
    """
    first, second = as_array(right_first).astype(bool), as_array(right_second).astype(bool)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise FeaturesError(f"expected two arrays of the same shape (N,), N >= 1, got {first.shape} and {second.shape}")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    from scipy.stats import binomtest  # a second of every command's start, were it above

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def defined(figure: Any) -> float | None:
    """The figure, or None where it is NaN."""
    return float(figure) if np.isfinite(figure) else None


def as_array(values: Array) -> NDArray[Any]:
    """A tensor (on any device) or anything array-like as a numpy array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _columns(counts: NDArray[Any], members: NDArray[np.int64]) -> NDArray[np.float64]:
    """Some columns as float64; `take` is several times faster here than an index."""
    return np.take(counts, members, axis=1).astype(np.float64, copy=False)


def _divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0
    )
    return shares
