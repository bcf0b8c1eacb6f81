"""Retrain-only: the control every edit is judged against. The same data, loop and number of tries, but no neuron named."""

from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.settings import EditSettings


def retrain_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each weight decay; the first, 0, is eq. (8) with ratio_weight 0."""
    return [
        Try({"weight_decay": decay}, problem.weight, problem.bias, weight_decay=decay)
        for decay in settings.weight_decays
    ]
