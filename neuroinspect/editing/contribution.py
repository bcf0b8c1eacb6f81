"""CON, the paper's comparison: retrain while the chosen neurons' own contribution to the class logit is pushed below zero.

Reference: Ju et al. 2023, eq. (9).
"""

from neuroinspect.editing.problem import ContributionPenalty, EditProblem, Try
from neuroinspect.settings import EditSettings


def contribution_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each weight of the penalty; the paper has 1."""
    return [
        Try(
            {"contribution_weight": weight},
            problem.weight,
            problem.bias,
            weight_decay=settings.train.weight_decay,
            contribution=ContributionPenalty(weight, problem.neurons),
        )
        for weight in settings.contribution_weights
    ]
