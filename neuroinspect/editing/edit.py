"""Edit a decision layer: one interface for every method.

A method is a function that turns a problem into tries; the same loop trains them and the same rule chooses among them. Add
one with `register_method`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neuroinspect.editing.ablate_refit import ablate_refit_tries
from neuroinspect.editing.bias import bias_tries, with_bias
from neuroinspect.editing.class_weighting import class_weighting_tries
from neuroinspect.editing.contribution import contribution_tries
from neuroinspect.editing.cue_erasure import cue_erasure_tries
from neuroinspect.editing.focal import focal_tries
from neuroinspect.editing.problem import EditProblem, Try, make_problem
from neuroinspect.editing.ratio import ratio_tries
from neuroinspect.editing.refit import Contest, train_tries
from neuroinspect.editing.retrain import retrain_tries
from neuroinspect.editing.selection import Score, is_eligible, score_layer, select
from neuroinspect.editing.silencing import silencing_tries
from neuroinspect.errors import SettingsError
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import EditSettings

MethodTries = Callable[[EditProblem, EditSettings], list[Try]]

_METHODS: dict[str, MethodTries] = {
    "cue_erasure": cue_erasure_tries,
    "ablate_refit": ablate_refit_tries,
    "ratio": ratio_tries,
    "con": contribution_tries,
    "silencing": silencing_tries,
    "class_weighting": class_weighting_tries,
    "focal": focal_tries,
    "bias": bias_tries,
    "retrain": retrain_tries,
}
_WITHOUT_NEURONS = {"retrain", "bias", "class_weighting", "focal"}
WITH_BIAS = "+bias"
"""After the name of a method: its tries, each followed by a shift of the bias."""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedEdit:
    """A method on a problem, and the tries it asks for."""

    problem: EditProblem
    method: str
    tries: tuple[Try, ...]


@dataclass(frozen=True, slots=True)
class TryRecord:
    """What one try was and how it did on the selecting split."""

    settings: Mapping[str, Any]
    score: Score
    eligible: bool


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A new decision layer; the backbone is not touched.

    Attributes:
        decision_layer: (C, F) and (C,), to put in place of the original.
        method: how it was made.
        neurons: chosen neurons by class index.
        tries: all settings that were tried.
        chosen: which of them the selection rule took.
        original: the score of the original layer.
    """

    decision_layer: nn.Linear
    method: str
    neurons: Mapping[int, tuple[int, ...]]
    tries: tuple[TryRecord, ...]
    chosen: int
    original: Score

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the chosen try."""
        return self.tries[self.chosen].settings

    @property
    def score(self) -> Score:
        """Score of the chosen try on the selecting split."""
        return self.tries[self.chosen].score


def edit_decision_layer(
    features: Tensor,
    labels: Tensor,
    decision_layer: nn.Linear,
    *,
    neurons: Mapping[int, Sequence[int]],
    method: str = "cue_erasure",
    settings: EditSettings,
    validation: tuple[Tensor, Tensor],
) -> Edit:
    """Make a new decision layer in which the chosen neurons' cue has lost its grip.

    Args:
        features: penultimate features of the training set (N, F).
        labels: class indices (N,).
        decision_layer: the original; not modified.
        neurons: chosen neurons by class index.
        method: cue_erasure, ablate_refit, ratio, con, silencing, class_weighting, focal, bias or retrain, each of them but
            bias also with "+bias" after it; or one from `register_method`.
        settings: its tries, the training loop and the selection rule.
        validation: features (N, F) and labels (N,) that select, never the ones that judge.

    Raises:
        FeaturesError: shapes that do not fit, or values that are not finite.
        ReviewError: neurons or classes that do not exist.
        SettingsError: an unknown method.
        EvidenceError: the samples are too few, or too alike, for what the method must estimate.

    Reference: docs/method.md section 5; Ju et al. 2023, section III-D.
    """
    problem = make_problem((features, labels), validation, decision_layer, neurons=neurons)
    return edit_all({method: plan_edit(problem, method, settings=settings)}, settings=settings)[method]


def plan_edit(problem: EditProblem, method: str, *, settings: EditSettings) -> PlannedEdit:
    """What a method would try.

    Raises:
        SettingsError: an unknown method.
        EvidenceError: the samples are too few, or too alike, for what the method must estimate.
    """
    return PlannedEdit(problem, method, tuple(method_tries(method)(problem, settings)))


def edit_all(
    planned: Mapping[str, PlannedEdit], *, settings: EditSettings, progress: Progress = silent
) -> dict[str, Edit]:
    """Several edits of the same decision layer on the same data, trained side by side.

    Args:
        planned: by name of the edit; their problems may differ in their neurons only.
        settings: for all of them.
        progress: told how many tries are trained.
    """
    data = next(iter(planned.values())).problem
    every = [one for plan in planned.values() for one in plan.tries]
    judge = {"features": data.validation_features, "labels": data.validation_labels}
    original = score_layer(data.weight, data.bias, **judge)
    groups = [number for number, plan in enumerate(planned.values()) for _ in plan.tries]
    contest = Contest(groups, original, settings.average_tolerance)
    layers = iter(train_tries(data, every, settings=settings.train, contest=contest, progress=progress))
    edits = {}
    for name, plan in planned.items():
        made = [next(layers) for _ in plan.tries]
        scores = [score_layer(weight, bias, **judge) for weight, bias in made]
        chosen = select(scores, original, average_tolerance=settings.average_tolerance)
        records = tuple(
            TryRecord(one.settings, score, is_eligible(score, original, average_tolerance=settings.average_tolerance))
            for one, score in zip(plan.tries, scores, strict=True)
        )
        layer = as_linear(*made[chosen])
        edits[name] = Edit(layer, plan.method, plan.problem.neurons, records, chosen, original)
    return edits


def method_tries(method: str) -> MethodTries:
    """The function behind a method, or behind METHOD+bias.

    Raises:
        SettingsError: there is no such method.
    """
    base = method.removesuffix(WITH_BIAS)
    if base != method and base in _METHODS and base != "bias":
        return lambda problem, settings: with_bias(_METHODS[base](problem, settings), problem, settings)
    if method not in _METHODS:
        raise SettingsError(
            f"unknown edit method {method!r}; there are {', '.join(_METHODS)}, and each but bias with {WITH_BIAS!r} after it"
        )
    return _METHODS[method]


def uses_neurons(method: str) -> bool:
    """Whether the result depends on which neurons were chosen: only such a method has a placebo."""
    return method.removesuffix(WITH_BIAS) not in _WITHOUT_NEURONS


def register_method(name: str, tries: MethodTries, *, with_neurons: bool = True) -> None:
    """Add an edit method of your own; it gets the same loop, the same selection rule and, in a run, the same placebo.

    It may raise EvidenceError: the comparison then goes on without it and says why.

    Args:
        name: what `edit.methods` calls it.
        tries: from a problem to what is trained; give as many tries as the other methods have.
        with_neurons: the result depends on the chosen neurons.

    Raises:
        SettingsError: the name is taken, or reserved for the original layer, placebos or a bias.
    """
    if name in _METHODS or name == "original" or name.startswith("placebo.") or name.endswith(WITH_BIAS):
        raise SettingsError(f"the name {name!r} of an edit method is taken; choose another one")
    _METHODS[name] = tries
    if not with_neurons:
        _WITHOUT_NEURONS.add(name)


def as_linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A Linear with these parameters, frozen."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta").to_empty(device=weight.device)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer.requires_grad_(False)
