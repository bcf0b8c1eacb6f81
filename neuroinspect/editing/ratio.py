"""The paper's edit: retrain the decision layer while the chosen neurons lose their say in the class.

Reference: Ju et al. 2023, eq. (8). Differs from the released code in that features are cached (the backbone is bit-identical)
and the norm is scaled to a batch of 128.
"""

import torch

from neuroinspect.editing.problem import EditProblem, RatioPenalty, Try
from neuroinspect.settings import EditSettings


def ratio_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each ratio_weight, the lambda3 of eq. (8)."""
    target = authors_target_ratio(problem) if settings.target_ratio is None else settings.target_ratio
    return [
        Try(
            {"ratio_weight": weight, "target_ratio": target},
            problem.weight,
            problem.bias,
            weight_decay=settings.train.weight_decay,
            ratio=RatioPenalty(weight, target, problem.neurons, settings.ratio_form),
        )
        for weight in settings.ratio_weights
    ]


def authors_target_ratio(problem: EditProblem) -> float:
    """Target o = 1 + max(0, min_j P_j - 1) / 3, P_j the ratio of one chosen neuron at the mean training features of its class."""
    ratios = []
    for index, chosen in problem.neurons.items():
        mean = problem.features[problem.labels == index].mean(0)
        logits = problem.weight @ mean + problem.bias
        for neuron in chosen:
            without = logits - problem.weight[:, neuron] * mean[neuron]
            ratios.append((logits.log_softmax(0)[index] - without.log_softmax(0)[index]).exp())
    return 1.0 + max(0.0, float(torch.stack(ratios).min()) - 1.0) / 3.0
