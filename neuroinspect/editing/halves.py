"""The select split in halves, for what is tried ahead of an edit: what one half selects the other judges, and vice versa.

One half does what the whole select split does in an edit: it shows where the cue is, chooses among tries, stops the training.
The half that judges has then selected neither a try nor a layer.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.edit import PlannedEdit, plan_edit
from neuroinspect.editing.problem import EditProblem
from neuroinspect.errors import EvidenceError
from neuroinspect.settings import EditSettings

Neurons = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """The problem with one part of the select split in the place of the whole, and the part that judges.

    Attributes:
        problem: what is edited; its validation features are the part that selects.
        features, labels: the part that judges, (N, F) and (N,).
        judges: (all samples of the split,) True for those that judge.
    """

    problem: EditProblem
    features: Tensor
    labels: Tensor
    judges: Tensor


def halve(problem: EditProblem, repeats: int, *, generator: torch.Generator) -> list[Half]:
    """Two halves of the select split, each class in both, as often as asked; each half judges what the other selected."""
    labels = problem.validation_labels.cpu()
    halves = []
    for _ in range(repeats):
        first = torch.zeros(len(labels), dtype=torch.bool)
        for index in labels.unique().tolist():
            rows = (labels == index).nonzero().flatten()
            first[rows[torch.randperm(len(rows), generator=generator)[: (len(rows) + 1) // 2]]] = True
        parts = [_part(problem, taken.to(problem.validation_labels.device)) for taken in (first, ~first)]
        halves += [_half(problem, *parts), _half(problem, *reversed(parts))]
    return halves


def plan_sets(
    half: Half, sets: Iterable[Neurons], *, class_index: int, method: str, settings: EditSettings
) -> tuple[dict[Neurons, PlannedEdit], dict[Neurons, str]]:
    """What a method would try for each set of neurons of a class on a half, and why it refuses the other sets."""
    planned, refused = {}, {}
    for one in sets:
        try:
            planned[one] = plan_edit(half.problem.with_neurons({class_index: one}), method, settings=settings)
        except EvidenceError as error:
            refused[one] = str(error)
    return planned, refused


_Part = tuple[Tensor, Tensor, Tensor]


def _part(problem: EditProblem, taken: Tensor) -> _Part:
    return problem.validation_features[taken], problem.validation_labels[taken], taken


def _half(problem: EditProblem, selects: _Part, judges: _Part) -> Half:
    own = EditProblem(problem.features, problem.labels, *selects[:2], problem.weight, problem.bias, {})
    return Half(own, *judges)
