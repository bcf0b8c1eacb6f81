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
    classes = [right[labels == index].mean() for index in labels.unique()]
    return Score(float(right.mean()), float(torch.stack(classes).min()))


def is_eligible(score: Score, original: Score, *, average_tolerance: float) -> bool:
    """Whether a try may be chosen at all."""
    return score.average >= original.average - average_tolerance - 1e-9


def select(scores: Sequence[Score], original: Score, *, average_tolerance: float) -> int:
    """Position of the chosen score; where none is eligible, of the highest average."""
    eligible = [
        k for k, score in enumerate(scores) if is_eligible(score, original, average_tolerance=average_tolerance)
    ]
    if eligible:
        return max(eligible, key=lambda k: (scores[k].worst_class, scores[k].average, -k))
    return max(range(len(scores)), key=lambda k: (scores[k].average, scores[k].worst_class, -k))
