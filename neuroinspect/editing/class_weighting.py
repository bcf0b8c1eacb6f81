"""Class weighting, a rival of the paper: retrain while every other class counts less than the debugged ones.

Reference: Ju et al. 2023, section IV, where the others count 0.9.
"""

import torch

from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.settings import EditSettings


def class_weighting_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each weight of the other classes."""
    tries = []
    for weight in settings.other_class_weights:
        weights = torch.full_like(problem.bias, weight)
        weights[list(problem.neurons)] = 1.0
        tries.append(
            Try(
                {"other_class_weight": weight},
                problem.weight,
                problem.bias,
                weight_decay=settings.train.weight_decay,
                class_weights=weights,
            )
        )
    return tries
