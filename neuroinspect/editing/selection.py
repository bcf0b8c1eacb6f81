"""The one selection rule for every method and every control.

Among equal tries: the best worst-class accuracy on the selecting split, with the average at most `average_tolerance` under
the original. Ties go to the higher average, then to the earlier try.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy of one decision layer on the selecting split, both in 0..1."""

    average: float
    worst_class: float


def score_layer(weight: Tensor, bias: Tensor, *, features: Tensor, labels: Tensor) -> Score:
    """Score a decision layer (C, F), (C,) on features (N, F), labels (N,); classes without samples do not count."""
    right = ((features @ weight.T + bias).argmax(1) == labels).double()
    counts = torch.bincount(labels)
    shares = torch.bincount(labels, weights=right)[counts > 0] / counts[counts > 0]
    return Score(float(right.mean()), float(shares.min()))


def is_eligible(score: Score, original: Score, *, average_tolerance: float) -> bool:
    """Whether a try may be chosen at all."""
    return score.average >= original.average - average_tolerance - 1e-9


def select(scores: Sequence[Score], original: Score, *, average_tolerance: float) -> int:
    """Position of the chosen score; where none is eligible, of the highest average."""
    return rank(scores, original, average_tolerance=average_tolerance)[0]


def rank(scores: Sequence[Score], original: Score, *, average_tolerance: float) -> list[int]:
    """Positions of the scores, the one that is chosen first: eligible ones before the others."""

    def key(position: int) -> tuple[bool, float, float]:
        score = scores[position]
        if is_eligible(score, original, average_tolerance=average_tolerance):
            return False, -score.worst_class, -score.average
        return True, -score.average, -score.worst_class

    return sorted(range(len(scores)), key=key)
