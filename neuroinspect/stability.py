"""Would the same neurons be suspected, had the mistakes been others of their kind? A bootstrap over the mistakes of a class.

Reference: Efron, Tibshirani 1993, "An Introduction to the Bootstrap", chapter 6. The mistakes are drawn again with replacement;
their shifts, and so their votes, stay what they are. A draw is asked exactly what `rank_neurons` asks of the mistakes themselves.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from neuroinspect.errors import FeaturesError
from neuroinspect.intervals import Array, as_array, draw_counts
from neuroinspect.ranking import cast_votes, is_finite, largest_of_rows

_AT_ONCE: Final = 1 << 21  # counts and votes of so many draws together


def candidate_stability(
    shifts: Array,
    *,
    generator: np.random.Generator,
    top_k: int = 5,
    min_share: float = 0.03,
    strict_sign: bool = True,
    max_neurons: int = 30,
    resamples: int = 200,
) -> NDArray[np.float64]:
    """Share of the resamples in which each neuron is a candidate, in either direction.

    Args:
        shifts: (M, F) counterfactual shifts; a row of zeros is no mistake and never drawn.
        generator: the same state gives the same draws.
        top_k: as in `rank_neurons`.
        min_share: as in `rank_neurons`.
        strict_sign: as in `rank_neurons`.
        max_neurons: longest ranking of each direction, at least 1.
        resamples: draws of as many mistakes as there are, at least 1.

    Returns:
        (F,) in [0, 1]; all zero where there is no mistake.

    Raises:
        FeaturesError: another shape, values that are not finite, or a count below 1.
    """
    values = as_array(shifts)
    if values.ndim != 2 or min(top_k, max_neurons, resamples) < 1 or not is_finite(values):
        raise FeaturesError(
            f"expected finite shifts of shape (M, F) and counts of at least 1, got shape {values.shape}, top_k {top_k}, "
            f"max_neurons {max_neurons}, resamples {resamples}"
        )
    mistakes, width = int(values.any(axis=1).sum()), values.shape[1]
    returned = np.zeros(width, dtype=np.int64)
    if not mistakes:
        return returned.astype(np.float64)
    block = max(1, _AT_ONCE // max(mistakes, width))
    for start in range(0, resamples, block):
        draws = min(block, resamples - start)
        counts = np.concatenate(list(draw_counts(np.zeros(mistakes), generator=generator, draws=draws)))
        found = np.zeros((draws, width), dtype=bool)
        for votes in _drawn_votes(values, counts, top_k=top_k, strict_sign=strict_sign):
            shares = votes / mistakes
            found |= largest_of_rows(shares, (shares >= min_share) & (shares > 0), count=max_neurons)
        returned += found.sum(axis=0)
    return returned / resamples


def _drawn_votes(
    values: NDArray[np.floating], counts: NDArray[np.unsignedinteger], *, top_k: int, strict_sign: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Insufficient and excessive votes (D, F) where each mistake counts as often as it was drawn (D, M)."""
    insufficient, excessive = (np.zeros((len(counts), values.shape[1])) for _ in range(2))
    start = 0
    for raised, lowered in cast_votes(values, top_k=top_k, strict_sign=strict_sign):
        # As floats: a product of integers has no fast routine. The sums are whole numbers far below 2**53, so exact.
        drawn = counts[:, start : start + len(raised)].astype(np.float64)
        insufficient += drawn @ raised
        excessive += drawn @ lowered
        start += len(raised)
    return insufficient, excessive
