"""Do the selecting samples suffice to know a cue's direction?

A direction estimated from too few samples is noise, and to erase noise is no edit. So the samples are halved several times, each
half estimates the direction on its own, and the two must agree: their cosine is taken in the metric of the inverse covariance,
in which the noise of an estimate has no preferred direction. Measured on drawn scenes and on real photos alike, this agreement
says what part of the full effect an erasure still has, whatever the number of neurons, and a placebo passes it as easily as the
cue's own neurons: it judges the sample, not the choice.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.cue_presence import START, starting_score
from neuroinspect.editing.problem import EditProblem
from neuroinspect.editing.select_moments import SelectMoments
from neuroinspect.errors import EvidenceError
from neuroinspect.settings import EvidenceSettings

_ROWS = 4096  # samples held in float64 at once


@dataclass(frozen=True, slots=True)
class CueEvidence:
    """What the direction of one cue rests on.

    Attributes:
        samples: in the selecting split.
        effective_samples: see `effective_samples`.
        mistakes: of the class, which the neurons were chosen from.
        agreement: of the directions of two halves, -1..1; see `direction_agreement`.
    """

    samples: int
    effective_samples: float
    mistakes: int
    agreement: float


def effective_samples(labels: Tensor, present: Tensor) -> float:
    """Sum over the classes of n1 n0 / (n1 + n0): the number of samples a difference within classes is worth.

    Args:
        labels: (N,) class numbers.
        present: (N,) bool, the sample shows the cue.
    """
    total = 0.0
    for index in labels.unique():
        here = labels == index
        with_cue, without = int((here & present).sum()), int((here & ~present).sum())
        total += with_cue * without / (with_cue + without)
    return total


def direction_agreement(
    features: Tensor,
    labels: Tensor,
    present: Tensor,
    *,
    factor: Tensor,
    halvings: int,
    generator: torch.Generator,
) -> float:
    """Mean cosine, -1..1, of the directions that two random halves of the samples give, in the metric of covariance^-1.

    The direction is the mean difference between samples with and without the cue within each class, pooled with
    n1 n0 / (n1 + n0). 0 where a half has no class with both kinds.

    Args:
        features: (N, F).
        labels: (N,) class numbers; each half has half the samples of every class with the cue, and of those without.
        present: (N,) bool, the sample shows the cue.
        factor: (F, F) lower Cholesky factor of the covariance.
        halvings: how often the samples are halved, at least 1.
        generator: for the halves.
    """
    contrasts = []
    for _ in range(halvings):
        half = draw_half(2 * labels + present, generator)
        contrasts += [centred_presence(labels, present, half), centred_presence(labels, present, ~half)]
    stacked = torch.stack(contrasts, 1)
    parts = zip(features.split(_ROWS), stacked.split(_ROWS), strict=True)
    directions = torch.stack([values.double().T @ weights for values, weights in parts]).sum(0)
    whitened = torch.linalg.solve_triangular(factor, directions, upper=False)
    lengths = whitened.norm(dim=0)
    units = whitened / lengths.where(lengths > 0, 1.0)
    return float((units[:, ::2] * units[:, 1::2]).sum(0).mean())


def centred_presence(labels: Tensor, present: Tensor, rows: Tensor) -> Tensor:
    """Weights (N,), float64, whose sum over the features is the pooled difference within classes, but for its length.

    Args:
        labels: (N,) class numbers.
        present: (N,) bool, the sample shows the cue.
        rows: (N,) bool, the samples to use; the others weigh 0.
    """
    row = labels.unique(return_inverse=True)[1]
    zeros = torch.zeros(int(row.max()) + 1, dtype=torch.float64, device=labels.device)
    counts = zeros.index_add(0, row, rows.double())
    shown = zeros.index_add(0, row, (rows & present).double())
    return rows * (present.double() - (shown / counts.clamp_min(1.0))[row])


def draw_half(strata: Tensor, generator: torch.Generator) -> Tensor:
    """(N,) bool: a random half of each stratum; of an odd one the smaller or the larger half, with equal chance."""
    half = torch.zeros(len(strata), dtype=torch.bool)
    for stratum in strata.cpu().unique():
        rows = torch.nonzero(strata.cpu() == stratum).squeeze(1)
        rows = rows[torch.randperm(len(rows), generator=generator)]
        odd = int(torch.randint(2, (1,), generator=generator))
        half[rows[: (len(rows) + odd) // 2]] = True
    return half.to(strata.device)


def weigh_evidence(
    problem: EditProblem, class_index: int, *, present: Tensor, factor: Tensor, settings: EvidenceSettings
) -> CueEvidence:
    """What the direction of the cue that goes with one class rests on; the same samples always give the same answer.

    Args:
        problem: whose validation samples (N) estimate the direction.
        class_index: the class whose neurons were chosen.
        present: (N,) bool, the sample shows the cue as far as the chosen neurons say.
        factor: (F, F) lower Cholesky factor of the covariance of the validation features.
        settings: how often the samples are halved.
    """
    features, labels = problem.validation_features, problem.validation_labels
    decided = (features @ problem.weight.T + problem.bias).argmax(1)
    agreement = direction_agreement(
        features,
        labels,
        present,
        factor=factor,
        halvings=settings.halvings,
        generator=torch.Generator().manual_seed(0),
    )
    mistakes = int(((labels == class_index) & (decided != labels)).sum())
    return CueEvidence(len(labels), effective_samples(labels, present), mistakes, agreement)


def require_evidence(problem: EditProblem, moments: SelectMoments, settings: EvidenceSettings) -> None:
    """Refuse to erase a direction that is not known.

    Which samples show a cue is taken from the chosen neurons alone: what all neurons correct in it would agree with itself.

    Raises:
        EvidenceError: for the neurons of a class the halves agree less than `min_agreement`.
    """
    for class_index, chosen in problem.neurons.items():
        present = starting_score(problem.validation_features, chosen, moments) > START
        evidence = weigh_evidence(problem, class_index, present=present, factor=moments.total_factor, settings=settings)
        if evidence.agreement < settings.min_agreement:
            raise EvidenceError(
                f"too few validation samples to know the cue's direction: two halves of the {evidence.samples} agree by "
                f"{evidence.agreement:.3f}, at least {settings.min_agreement:g} is needed (within the classes they are "
                f"worth {evidence.effective_samples:.0f} samples with the cue and without; {evidence.mistakes} mistakes of "
                "the class led to the chosen neurons). Label more validation pictures, some of each class with the cue and "
                "some without"
            )
