"""Cue erasure: find the directions in which the cue lives from a few chosen neurons, erase them, refit the decision layer.

The chosen neurons say which validation samples show the cue; the differences these make WITHIN each class are the cue's
directions; an oblique projection removes all that is linearly known of them and moves the features as little as possible; the
projection is folded into the refitted layer, so that the edited model is again one Linear. No group label is used.

Reference: docs/method.md section 6; Belrose et al. 2023, "LEACE: Perfect linear concept erasure in closed form".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from neuroinspect.editing.cue_directions import cue_directions
from neuroinspect.editing.cue_evidence import require_evidence
from neuroinspect.editing.cue_presence import find_cues
from neuroinspect.editing.problem import EditProblem, Projection, Try
from neuroinspect.editing.select_moments import SelectMoments, moments_of
from neuroinspect.settings import EditSettings

_SAME = 1e-8  # of the largest: directions that add less than this say again what others said


def cue_erasure_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each number of directions that are erased of a cue, at most.

    Raises:
        EvidenceError: the validation samples are too few to know the direction of a cue.
    """
    features = problem.validation_features
    moments = moments_of(problem, shrinkage=settings.shrinkage)
    require_evidence(problem, moments, settings.evidence)
    shown = [presence for chosen in problem.neurons.values() for presence in find_cues(features, chosen, moments)]
    about = {"samples_with_cue": [presence.count for presence in shown]}
    return erasure_of_scores(problem, [presence.score for presence in shown], about=about, settings=settings)


def erasure_of_scores(
    problem: EditProblem, scores: Sequence[Tensor], *, settings: EditSettings, about: Mapping[str, Any] | None = None
) -> list[Try]:
    """The tries where it is known how far each validation sample shows each cue.

    Args:
        problem: whose chosen neurons are not looked at.
        scores: (N,) for each cue, in any unit.
        settings: how many directions are erased.
        about: what else stands in the record of every try.
    """
    moments = moments_of(problem, shrinkage=settings.shrinkage)
    cues = [cue_directions(problem.validation_features, score, moments) for score in scores]
    tries: list[Try] = []
    for most in settings.cue_directions:
        directions = torch.cat([cue.directions[:, :most] for cue in cues], 1)
        count = directions.shape[1]
        if tries and tries[-1].settings["directions"] == count:
            tries.append(tries[-1])  # the very same try is trained once
            continue
        tries.append(
            Try(
                {"directions": count, **(about or {})},
                problem.weight,
                problem.bias,
                weight_decay=settings.train.weight_decay,
                projection=erase_directions(directions, moments),
            )
        )
    return tries


def erase_directions(directions: Tensor, moments: SelectMoments) -> Projection:
    """The projection after which nothing linear is left of directions (F, K), and which moves features the least otherwise.

    Args:
        directions: (F, K), need not be independent; none erases nothing.
        moments: whose total covariance says what moving means.
    """
    length = directions.norm(dim=0)
    left = directions[:, length > 0] / length[length > 0]
    readers = torch.linalg.solve(moments.total, left)
    # Directions of two cues may be nearly the same: the inverse is taken over what they span.
    values, turns = torch.linalg.eigh(left.T @ readers)
    spanned = values > _SAME * values.max() if len(values) else values > 0
    right = readers @ (turns[:, spanned] / values[spanned]) @ turns[:, spanned].T
    kept = torch.ones_like(moments.mean).float()
    return Projection(kept, left.float(), right.float(), moments.mean.float())
