"""All edits of one finding side by side with their controls, and the one that is recommended."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from neuroinspect.editing.controls import placebo_neurons
from neuroinspect.editing.edit import Edit, as_linear, edit_all, uses_neurons
from neuroinspect.editing.problem import EditProblem
from neuroinspect.editing.selection import Score, is_eligible, score_layer, select
from neuroinspect.masking import neuron_family
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import EditSettings

FAMILY_SIZE = 25
"""Neurons most correlated with the chosen ones: kept out of the placebo and shown in the report."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Every layer that was made.

    Attributes:
        original: the decision layer as it came.
        original_score: its accuracy on the selecting split.
        edits: by name: retrain, each method, and `placebo.<method>.<draw>`.
        chosen: the chosen neurons of all classes.
        family: neurons most correlated with the chosen ones.
        recommended: "original" or the name of an edit or of retrain; never a placebo.
    """

    original: nn.Linear
    original_score: Score
    edits: dict[str, Edit]
    chosen: tuple[int, ...]
    family: tuple[int, ...]
    recommended: str

    def layer(self, name: str) -> nn.Linear:
        """The decision layer of that name."""
        return self.original if name == "original" else self.edits[name].decision_layer


def compare_edits(
    problem: EditProblem,
    *,
    candidates: Sequence[int],
    settings: EditSettings,
    seed: int,
    progress: Progress = silent,
) -> Comparison:
    """Make every edit and every control, each with the same number of tries, and recommend by the selection rule.

    Args:
        problem: data, original layer and chosen neurons.
        candidates: all neurons the diagnosis named; none of them serves as a placebo.
        settings: methods, tries, training loop.
        seed: for the placebo draws.
        progress: told how many layers are trained.
    """
    chosen = tuple(dict.fromkeys(neuron for group in problem.neurons.values() for neuron in group))
    family = tuple(neuron_family(problem.validation_features, chosen, size=FAMILY_SIZE))
    problems, methods = {"retrain": problem}, {"retrain": "retrain"}
    for method in settings.methods:
        problems[method], methods[method] = problem, method
    placebo = [method for method in settings.methods if uses_neurons(method)]
    generator = torch.Generator().manual_seed(seed)
    for index, group in problem.neurons.items():
        sets = placebo_neurons(
            count=len(group),
            draws=settings.placebo_draws,
            num_features=problem.weight.shape[1],
            suspected=[*family, *candidates],
            chosen=chosen,
            generator=generator,
        )
        for method in placebo:
            for draw, neurons in enumerate(sets):
                name = f"placebo.{method}.{draw}"
                earlier = problems[name].neurons if name in problems else {}
                problems[name], methods[name] = problem.with_neurons({**earlier, index: neurons}), method
    edits = edit_all(problems, methods, settings=settings, progress=progress)
    original = score_layer(
        problem.weight, problem.bias, features=problem.validation_features, labels=problem.validation_labels
    )
    eligible = ["original"] + [
        name
        for name in ("retrain", *settings.methods)
        if is_eligible(edits[name].score, original, average_tolerance=settings.average_tolerance)
    ]
    scores = [original if name == "original" else edits[name].score for name in eligible]
    recommended = eligible[select(scores, original, average_tolerance=settings.average_tolerance)]
    return Comparison(as_linear(problem.weight, problem.bias), original, edits, chosen, family, recommended)
