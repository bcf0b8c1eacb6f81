"""Bias-only: raise the logit of the class and nothing else. The cheapest rival; it moves accuracy and never the AUROC."""

import torch

from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.settings import EditSettings


def bias_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each quantile of what the class lacks in its mistakes on the selecting split."""
    logits = problem.validation_features @ problem.weight.T + problem.bias
    shifts = torch.zeros((len(settings.bias_quantiles), len(problem.bias)), device=logits.device)
    quantiles = torch.tensor(settings.bias_quantiles, device=logits.device)
    for index in problem.neurons:
        of_class = logits[problem.validation_labels == index]
        rest = of_class.clone()
        rest[:, index] = -torch.inf
        lacking = rest.amax(1) - of_class[:, index]
        lacking = lacking[lacking > 0]
        if len(lacking):
            shifts[:, index] = torch.quantile(lacking, quantiles) + 1e-4
    return [
        Try(
            {"bias_shift": [round(value, 6) for value in shift.tolist() if value]},
            problem.weight,
            problem.bias + shift,
            False,
        )
        for shift in shifts
    ]
