"""The same edit in short: fewer samples and steps, and one try in the place of a grid where the decision layer is large.

For a question that a person waits on. Nothing else of the edit is changed: its penalties, projections and training loop are.
"""

import torch
from torch import Tensor

from neuroinspect.editing.problem import EditProblem
from neuroinspect.settings import EditSettings

STEPS, BATCH = 300, 128
"""Most steps of the training, and the samples of each."""
MOST_SELECT = 10_000
"""Samples of the select split that are used at most."""
GRID_WEIGHTS = 25_000
"""A method is tried with its whole grid up to this many weights of the decision layer, above with the middle of the grid."""


def shorten(problem: EditProblem, *, generator: torch.Generator) -> tuple[EditProblem, Tensor]:
    """The problem on as many samples as the steps can see, and which of the select split they are (n,).

    Args:
        problem: whose arrays are taken as they are where they are small enough.
        generator: draws the samples; those of the select split the same part of each class.
    """
    seen = STEPS * BATCH
    features, labels = problem.features, problem.labels
    if len(labels) > seen:
        rows = torch.randperm(len(labels), generator=generator)[:seen].sort().values.to(labels.device)
        features, labels = features[rows], labels[rows]
    selecting = _same_part_of_each_class(problem.validation_labels, MOST_SELECT, generator=generator)
    whole = len(selecting) == len(problem.validation_labels)
    select = problem.validation_features if whole else problem.validation_features[selecting]
    short = EditProblem(
        features, labels, select, problem.validation_labels[selecting], problem.weight, problem.bias, problem.neurons
    )
    return short, selecting


def short_settings(settings: EditSettings, problem: EditProblem) -> EditSettings:
    """Settings of an edit of a shortened problem within the steps; never stopped early, because it is short."""
    batches = -(-len(problem.labels) // BATCH)
    epochs = max(1, STEPS // batches)
    train = settings.train.model_copy(
        update={"batch_size": BATCH, "epochs": epochs, "patience": epochs, "halve_after": ()}
    )
    short = settings.model_copy(update={"train": train})
    if problem.weight.numel() <= GRID_WEIGHTS:
        return short
    grids = {name: grid for name, grid in settings if isinstance(grid, tuple) and name != "methods"}
    return short.model_copy(update={name: (grid[len(grid) // 2],) for name, grid in grids.items()})


def steps_of(settings: EditSettings, problem: EditProblem) -> int:
    """Steps that a try is trained for."""
    return settings.train.epochs * -(-len(problem.labels) // settings.train.batch_size)


def _same_part_of_each_class(labels: Tensor, most: int, *, generator: torch.Generator) -> Tensor:
    """Rows in ascending order; of each class the same part, rounded up."""
    if len(labels) <= most:
        return torch.arange(len(labels), device=labels.device)
    on_host = labels.cpu()
    taken = []
    for index in on_host.unique():
        rows = (on_host == index).nonzero().flatten()
        count = -(-len(rows) * most // len(labels))
        taken.append(rows[torch.randperm(len(rows), generator=generator)[:count]])
    return torch.cat(taken).sort().values.to(labels.device)
