"""Where the cue lives: the difference it makes within each class, and which parts of that are more than chance.

The difference is not the same in every class: a background weakens one object and not another. What all classes share is
one direction; the rest are further directions, kept as far as they rise above what samples without any cue would give.

Reference: docs/method.md section 6, step 2, which takes the shared direction alone. The limit of chance is the upper edge of
Marchenko and Pastur 1967 for C differences of F neurons.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.select_moments import SelectMoments, class_sums


@dataclass(frozen=True, slots=True, eq=False)
class CueDirections:
    """Directions of one cue, the strongest first.

    Attributes:
        directions: (F, K) of those above the limit; K may be 0.
        strengths: (C,) of all: the squared length in standard deviations of chance, times the samples behind it.
        limit: what a direction reaches by chance.
    """

    directions: Tensor
    strengths: Tensor
    limit: float


def class_differences(features: Tensor, score: Tensor, moments: SelectMoments) -> tuple[Tensor, Tensor]:
    """What one unit of the score makes of the mean features of each class (C, F), and the samples behind it (C,).

    For a score of 0 and 1 this is the mean difference between the n1 samples of the class with the cue and the n0 without,
    and n1 n0 / (n1 + n0) samples stand behind it. Within classes, because a validation set in which cue and class occur
    together would otherwise give the class's own direction.

    Args:
        features: (N, F) of the split that selects.
        score: (N,) how far a sample shows the cue.
        moments: of these features.
    """
    classes = len(moments.counts)
    sums = torch.zeros(classes, dtype=torch.float64, device=features.device).index_add_(0, moments.row, score)
    centred = score - (sums / moments.counts)[moments.row]
    weights = torch.zeros_like(sums).index_add_(0, moments.row, centred.square())
    told = weights > 1e-6
    moved = class_sums(features, moments.row, classes=classes, weights=centred) / weights.clamp_min(1e-12)[:, None]
    return torch.where(told[:, None], moved, 0.0), torch.where(told, weights, 0.0)


def cue_directions(features: Tensor, score: Tensor, moments: SelectMoments) -> CueDirections:
    """The directions in which samples with the cue differ from those without, in their class, by more than chance.

    Args:
        features: (N, F) of the split that selects.
        score: (N,) how far a sample shows the cue, in any unit.
        moments: of these features.
    """
    differences, weights = class_differences(features, score, moments)
    scaled = (differences * weights.sqrt()[:, None]).T
    # Singular values of the differences, whitened by what varies within class and cue. The covariance within classes holds the
    # cue's own scatter too: Woodbury takes it out again, so that one factor serves every cue.
    shares, turns = torch.linalg.eigh(scaled.T @ moments.solve_within(scaled) / len(features))
    shares, turns = shares.flip(0).clamp(0.0, 1 - 1e-12), turns.flip(1)
    strengths = len(features) * shares / (1 - shares)
    limit = (features.shape[1] ** 0.5 + int((weights > 0).sum()) ** 0.5) ** 2
    return CueDirections((scaled @ turns)[:, strengths > limit], strengths, limit)
