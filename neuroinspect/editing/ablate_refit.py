"""Ablate and refit: silence the chosen neurons and their family for all classes, refit the rest."""

import torch

from neuroinspect.editing.problem import EditProblem, Projection, Try, silenced_mask
from neuroinspect.masking import neuron_family
from neuroinspect.settings import EditSettings


def ablate_refit_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each size of the family; the cue is rarely in the chosen neurons alone."""
    width, device = problem.weight.shape[1], problem.weight.device
    nothing = torch.zeros((width, 0), device=device)
    largest = max(settings.family_sizes)
    families = [
        (chosen, neuron_family(problem.validation_features, chosen, labels=problem.validation_labels, size=largest))
        for chosen in problem.neurons.values()
    ]
    tries: list[Try] = []
    for size in settings.family_sizes:
        silenced = {neuron for chosen, family in families for neuron in (*chosen, *family[:size])}
        if tries and tries[-1].settings["silenced"] == sorted(silenced):
            tries.append(tries[-1])  # the very same try is trained once
            continue
        kept = (~silenced_mask(sorted(silenced), width, device)).float()
        projection = Projection(kept, nothing, nothing, torch.zeros(width, device=device))
        tries.append(
            Try(
                {"family_size": size, "silenced": sorted(silenced)},
                problem.weight,
                problem.bias,
                weight_decay=settings.train.weight_decay,
                projection=projection,
            )
        )
    return tries
