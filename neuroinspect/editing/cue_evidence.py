"""Do the selecting samples suffice to know a cue's direction?

A direction estimated from too few samples is noise, and to erase noise is no edit. So the samples are halved several times, each
half estimates the direction on its own, and the two must agree: their cosine is taken in the metric of the inverse covariance,
in which the noise of an estimate has no preferred direction. Measured on drawn scenes and on real photos alike, this agreement
says what part of the full effect an erasure still has, whatever the number of neurons, and a placebo passes it as easily as the
cue's own neurons: it judges the sample, not the choice.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.problem import EditProblem
from neuroinspect.errors import EvidenceError
from neuroinspect.settings import EvidenceSettings

DirectionOf = Callable[[Tensor], Tensor]
"""From a choice of samples (N,) bool to the direction (F,) they give."""


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
    direction_of: DirectionOf, strata: Tensor, *, covariance: Tensor, halvings: int, generator: torch.Generator
) -> float:
    """Mean cosine, -1..1, of the directions that two random halves of the samples give, in the metric of covariance^-1.

    0 where a half gives no direction.

    Args:
        direction_of: estimates the direction from some of the samples.
        strata: (N,) integers; each stratum is halved on its own, an odd sample goes to either side at random.
        covariance: (F, F), positive definite.
        halvings: how often the samples are halved, at least 1.
        generator: for the halves.
    """
    pairs = []
    for _ in range(halvings):
        half = draw_half(strata, generator)
        pairs += [direction_of(half), direction_of(~half)]
    directions = torch.stack(pairs, 1).double()
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), directions, upper=False)
    lengths = whitened.norm(dim=0)
    units = whitened / lengths.where(lengths > 0, torch.ones_like(lengths))
    return float((units[:, ::2] * units[:, 1::2]).sum(0).mean())


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
    problem: EditProblem,
    class_index: int,
    *,
    present: Tensor,
    direction_of: DirectionOf,
    covariance: Tensor,
    settings: EvidenceSettings,
) -> CueEvidence:
    """What the direction of the cue that goes with one class rests on; the same samples always give the same answer.

    Args:
        problem: whose validation samples (N) estimate the direction.
        class_index: the class whose neurons were chosen.
        present: (N,) bool, the sample shows the cue.
        direction_of: see `direction_agreement`.
        covariance: (F, F) of the validation features, positive definite.
        settings: how often the samples are halved.
    """
    labels = problem.validation_labels
    decided = (problem.validation_features @ problem.weight.T + problem.bias).argmax(1)
    agreement = direction_agreement(
        direction_of,
        2 * labels + present,
        covariance=covariance,
        halvings=settings.halvings,
        generator=torch.Generator().manual_seed(0),
    )
    mistakes = int(((labels == class_index) & (decided != labels)).sum())
    return CueEvidence(len(labels), effective_samples(labels, present), mistakes, agreement)


def require_evidence(evidence: CueEvidence, settings: EvidenceSettings) -> None:
    """Refuse to erase a direction that is not known.

    Raises:
        EvidenceError: the halves agree less than `min_agreement`.
    """
    if evidence.agreement >= settings.min_agreement:
        return
    raise EvidenceError(
        f"too few validation samples to know the cue's direction: two halves of the {evidence.samples} samples agree by "
        f"{evidence.agreement:.2f}, at least {settings.min_agreement:g} is needed (within the classes they are worth "
        f"{evidence.effective_samples:.0f} samples with the cue and without; {evidence.mistakes} mistakes of the class "
        "led to the chosen neurons). Label more validation pictures, some of each class with the cue and some without"
    )
