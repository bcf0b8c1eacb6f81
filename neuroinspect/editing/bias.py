"""Bias-only: raise the logit of the class and nothing else. The cheapest rival; it moves accuracy and never the AUROC.

As a last step, `METHOD+bias`, it follows the training of any other method.
"""

from dataclasses import replace

import torch
from torch import Tensor

from neuroinspect.editing.problem import BiasShift, EditProblem, Try
from neuroinspect.errors import SettingsError
from neuroinspect.settings import EditSettings


def bias_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each quantile of what the class lacks in its mistakes on the selecting split."""
    untrained = Try({}, problem.weight, problem.bias, trained=False)
    return with_bias([untrained] * len(settings.bias_quantiles), problem, settings)


def with_bias(tries: list[Try], problem: EditProblem, settings: EditSettings) -> list[Try]:
    """The tries, each followed by a shift of the bias: the first with the first quantile, and so on.

    One quantile for each try, so that a method with a bias has no more tries than one without.

    Raises:
        SettingsError: there are not as many tries as quantiles.
    """
    if len(tries) != len(settings.bias_quantiles):
        raise SettingsError(
            f"a bias after a method needs as many tries as edit.bias_quantiles has values, got {len(tries)} and "
            f"{len(settings.bias_quantiles)}"
        )
    return [
        replace(
            one, settings={**one.settings, "bias_quantile": quantile}, shift=BiasShift(quantile, tuple(problem.neurons))
        )
        for one, quantile in zip(tries, settings.bias_quantiles, strict=True)
    ]


def shift_bias(problem: EditProblem, layer: tuple[Tensor, Tensor], shift: BiasShift | None) -> tuple[Tensor, Tensor]:
    """A layer (C, F), (C,) whose classes are raised by what they lack on the selecting split; None: as it is.

    A mistake lacks what the highest other logit has more. Where a class has no mistake it is not raised.
    """
    if shift is None:
        return layer
    weight, bias = layer
    raised = bias.clone()
    for index in shift.classes:
        logits = problem.validation_features[problem.validation_labels == index] @ weight.T + bias
        own = logits[:, index].clone()
        logits[:, index] = -torch.inf
        lacking = logits.amax(1) - own
        lacking = lacking[lacking > 0]
        if len(lacking):
            raised[index] += torch.quantile(lacking, shift.quantile) + 1e-4
    return weight, raised
