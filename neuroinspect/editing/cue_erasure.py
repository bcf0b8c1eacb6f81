"""Cue erasure: find the direction in which the cue lives from a few chosen neurons, erase it, refit the decision layer.

The chosen neurons say which validation samples show the cue; the difference these make WITHIN each class is the cue's
direction; an oblique projection removes all that is linearly known of it and moves the features as little as possible; the
projection is folded into the refitted layer, so that the edited model is again one Linear. No group label is used.

Reference: method.md section 4; Belrose et al. 2023, "LEACE: Perfect linear concept erasure in closed form"; Ledoit and Wolf
2004, "A well-conditioned estimator for large-dimensional covariance matrices".
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from neuroinspect.editing.problem import EditProblem, Projection, Try
from neuroinspect.settings import EditSettings


def cue_erasure_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each threshold above which a sample counts as showing the cue."""
    tries = []
    covariance = shrunk_covariance(problem.validation_features, settings.shrinkage)
    for threshold in settings.presence_thresholds:
        projection, present = erase_cues(problem, threshold=threshold, covariance=covariance)
        tries.append(
            Try(
                {"presence_threshold": threshold, "samples_with_cue": present},
                problem.weight,
                problem.bias,
                weight_decay=settings.train.weight_decay,
                projection=projection,
            )
        )
    return tries


def cue_scores(features: Tensor, neurons: Sequence[int]) -> Tensor:
    """Mean standardised activation (N,) of the chosen neurons, itself standardised."""
    chosen = features[:, list(neurons)].double()
    deviation = chosen.std(0)
    standardised = torch.where(deviation > 0, (chosen - chosen.mean(0)) / deviation.clamp_min(1e-12), 0.0).mean(1)
    spread = standardised.std()
    return (standardised - standardised.mean()) / spread if spread > 0 else torch.zeros_like(standardised)


def cue_direction(features: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Mean difference (F,) between samples with and without the cue within each class, pooled with n1 n0 / (n1 + n0).

    Within, because a validation set in which cue and class occur together would otherwise give the class's own direction.
    Zero where no class has both kinds.
    """
    features = features.double()
    total, weights = torch.zeros(features.shape[1], dtype=torch.float64, device=features.device), 0.0
    for index in labels.unique():
        here = labels == index
        with_cue, without = features[here & present], features[here & ~present]
        if len(with_cue) and len(without):
            weight = len(with_cue) * len(without) / (len(with_cue) + len(without))
            total += weight * (with_cue.mean(0) - without.mean(0))
            weights += weight
    return total / weights if weights else total


def shrunk_covariance(features: Tensor, shrinkage: float | None) -> Tensor:
    """Covariance (F, F) pulled towards a multiple of the identity; None takes Ledoit and Wolf's optimal part."""
    centred = features.double() - features.double().mean(0)
    count, width = centred.shape
    covariance = centred.T @ centred / count
    level = covariance.diagonal().mean()
    if shrinkage is None:
        distance = (covariance.square().sum() - width * level**2).clamp_min(1e-300)
        noise = (centred.square().sum(1).square().sum() / count - covariance.square().sum()) / count
        shrinkage = float((noise / distance).clamp(0.0, 1.0))
    identity = torch.eye(width, dtype=torch.float64, device=features.device)
    return (1 - shrinkage) * covariance + max(shrinkage, 1e-6) * level * identity


def erase_cues(problem: EditProblem, *, threshold: float, covariance: Tensor) -> tuple[Projection, int]:
    """Projection that erases one cue for each class with chosen neurons, one after the other, and how many samples showed any.

    Everything is estimated on the validation features. Where a cue shows in no sample, or in all, nothing is erased for it.

    Args:
        problem: whose validation features (N, F) are looked at.
        threshold: in standard deviations of the cue score; a sample above it shows the cue.
        covariance: (F, F) of the validation features, from `shrunk_covariance`.
    """
    features, labels = problem.validation_features.double(), problem.validation_labels
    mean = features.mean(0)
    ridge = 1e-9 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64, device=mean.device)
    # What is erased so far is left right^T, thin: f -> f - left right^T (f - mean). No (F, F) map is ever decomposed.
    left = right = torch.zeros((features.shape[1], 0), dtype=torch.float64, device=features.device)
    spread = covariance
    shown = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    for chosen in problem.neurons.values():
        present = cue_scores(problem.validation_features, chosen) > threshold
        shown |= present
        seen = features - (features - mean) @ right @ left.T
        direction = cue_direction(seen, labels, present)
        reader = torch.linalg.solve(spread + ridge, direction)
        length = direction @ reader
        if length > 0:
            column, row = direction[:, None], reader[:, None] / length
            # (I - column row^T) (I - left right^T), and the covariance of what it leaves
            left, right = torch.cat([left, column], 1), torch.cat([right, row - right @ (left.T @ row)], 1)
            half = spread - column @ (row.T @ spread)
            spread = half - (half @ row) @ column.T
    kept = torch.ones_like(problem.validation_features[0])
    projection = Projection(kept, left.float(), right.float(), mean.float())
    return projection, int(shown.sum())
