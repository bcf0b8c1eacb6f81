"""From shifts to a ranking: which neurons do the mistakes vote for?

Reference: Ju, Park, Lee 2023, section III-C. Each mistake votes for the neurons that must rise most (insufficient) and
for those that must fall most (excessive). Differs from the released code: only the right sign counts in both directions
(`strict_sign=False` gives the released rule), and a neuron in both lists is marked, not hidden.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroinspect.errors import FeaturesError
from neuroinspect.intervals import Array, as_array

_AT_ONCE = 1 << 20  # shifts looked at together: what is computed for them stays small beside a large (M, F)


class Direction(StrEnum):
    """What a neuron does wrong for the true class."""

    INSUFFICIENT = "insufficient"
    EXCESSIVE = "excessive"
    BOTH = "both"


@dataclass(frozen=True, slots=True, eq=False)
class VoteShares:
    """Part of the mistakes that have each neuron in their top k.

    Attributes:
        insufficient: (F,), in [0, 1].
        excessive: (F,), in [0, 1].
        mistakes: number of shifts that are not zero everywhere; the others are no mistakes.
    """

    insufficient: NDArray[np.float64]
    excessive: NDArray[np.float64]
    mistakes: int


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Neurons with votes, the most votes first, equal votes by neuron number.

    Attributes:
        insufficient: columns neuron, vote_share.
        excessive: columns neuron, vote_share.
    """

    insufficient: pd.DataFrame
    excessive: pd.DataFrame

    @property
    def both(self) -> list[int]:
        """Neurons in both lists, in the order of the insufficient ones."""
        excessive = set(self.excessive["neuron"])
        return [int(neuron) for neuron in self.insufficient["neuron"] if neuron in excessive]

    def head(self, count: int) -> "Ranking":
        """The first `count` neurons of each list."""
        return Ranking(self.insufficient.head(count), self.excessive.head(count))

    def directions(self) -> dict[int, Direction]:
        """Direction of every neuron in a list, the insufficient ones first."""
        both = set(self.both)
        insufficient = {int(neuron): Direction.INSUFFICIENT for neuron in self.insufficient["neuron"]}
        excessive = {int(neuron): Direction.EXCESSIVE for neuron in self.excessive["neuron"]}
        return {n: Direction.BOTH if n in both else direction for n, direction in (insufficient | excessive).items()}


def rank_neurons(shifts: Array, *, top_k: int = 5, min_share: float = 0.03, strict_sign: bool = True) -> Ranking:
    """Rank the neurons by the votes of the mistakes.

    Args:
        shifts: (M, F) counterfactual shifts; a row of zeros is no mistake and not counted.
        top_k: votes of each mistake in each direction, at least 1.
        min_share: neurons with a smaller share are left out, in [0, 1].
        strict_sign: False applies the released rule, see `vote_shares`.

    Raises:
        FeaturesError: another shape, values that are not finite, or top_k below 1.
    """
    shares = vote_shares(shifts, top_k=top_k, strict_sign=strict_sign)
    return Ranking(_ranked(shares.insufficient, min_share), _ranked(shares.excessive, min_share))


def vote_shares(shifts: Array, *, top_k: int = 5, strict_sign: bool = True) -> VoteShares:
    """Count the votes.

    Args:
        shifts: (M, F) counterfactual shifts; a row of zeros is no mistake and not counted.
        top_k: votes of each mistake in each direction, at least 1; equal shifts by neuron number.
        strict_sign: True: insufficient needs a shift above 0, excessive one below 0. False, as released: insufficient
            takes the top k of any sign, excessive the bottom k that are not above 0.

    Raises:
        FeaturesError: another shape, values that are not finite, or top_k below 1.
    """
    values = as_array(shifts)
    if values.ndim != 2 or top_k < 1 or not is_finite(values):
        raise FeaturesError(
            f"expected finite shifts of shape (M, F) and top_k >= 1, got shape {values.shape}, top_k {top_k}"
        )
    insufficient, excessive = (np.zeros(values.shape[1], dtype=np.int64) for _ in range(2))
    mistakes = 0
    for raised, lowered in cast_votes(values, top_k=top_k, strict_sign=strict_sign):
        insufficient += raised.sum(axis=0)
        excessive += lowered.sum(axis=0)
        mistakes += len(raised)
    return VoteShares(insufficient / max(mistakes, 1), excessive / max(mistakes, 1), mistakes)


def cast_votes(
    shifts: NDArray[np.floating], *, top_k: int, strict_sign: bool
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Which neurons each mistake votes for, some mistakes after the other, so that little of it is in memory at once.

    Args:
        shifts: (M, F), finite; a row of zeros is no mistake and left out.
        top_k: votes of each mistake in each direction, at least 1.
        strict_sign: see `vote_shares`.

    Yields:
        Insufficient and excessive votes (m, F) of the next m mistakes.
    """
    for start in range(0, len(shifts), rows := max(1, _AT_ONCE // max(1, shifts.shape[1]))):
        part = shifts[start : start + rows]
        part = part[part.any(axis=1)]
        yield (
            largest_of_rows(part, part > 0 if strict_sign else np.ones_like(part, dtype=bool), count=top_k),
            largest_of_rows(-part, part < 0 if strict_sign else part <= 0, count=top_k),
        )


def is_finite(values: NDArray[np.floating]) -> bool:
    """Whether no value is NaN or infinite."""
    # the two extremes carry NaN and infinity, and unlike isfinite() take no second array of that size
    return values.size == 0 or bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def largest_of_rows(values: NDArray[np.floating], eligible: NDArray[np.bool_], *, count: int) -> NDArray[np.bool_]:
    """Whether each value (M, F) is among the largest of its row, equal ones by their number, and eligible."""
    if count >= values.shape[1]:
        return eligible
    least = np.partition(values, -count, axis=1)[:, -count, None]
    chosen, tied = values > least, values == least
    room = count - chosen.sum(axis=1, keepdims=True)
    chosen |= tied & (np.cumsum(tied, axis=1) <= room)
    largest: NDArray[np.bool_] = chosen & eligible
    return largest


def _ranked(shares: NDArray[np.float64], min_share: float) -> pd.DataFrame:
    neurons = np.flatnonzero((shares >= min_share) & (shares > 0))
    neurons = neurons[np.argsort(-shares[neurons], kind="stable")]
    return pd.DataFrame({"neuron": neurons.astype(np.int64), "vote_share": shares[neurons]})
