"""Edit a decision layer: one interface for every method.

A method is a function that turns a problem into tries; the same loop trains them and the same rule chooses among them. Add
one with `register_method`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

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
from neuroinspect.editing.refit import Contest, Layer, train_tries
from neuroinspect.editing.retrain import retrain_tries
from neuroinspect.editing.selection import Score, is_eligible, score_layer, select
from neuroinspect.editing.silencing import silencing_tries
from neuroinspect.editing.strength import FULL, blend, check_strength
from neuroinspect.errors import SettingsError
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import EditSettings

MethodTries = Callable[[EditProblem, EditSettings], list[Try]]
Name = TypeVar("Name", bound=Hashable)

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
        strength: how far every try went from the original layer to what it was trained to, above 0 and at most 1.
    """

    decision_layer: nn.Linear
    method: str
    neurons: Mapping[int, tuple[int, ...]]
    tries: tuple[TryRecord, ...]
    chosen: int
    original: Score
    strength: float

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
    strength: float = FULL,
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
        strength: how far to go from the original layer to the edited one, above 0 and at most 1.

    Raises:
        FeaturesError: shapes that do not fit, or values that are not finite.
        ReviewError: neurons or classes that do not exist.
        SettingsError: an unknown method, or a strength out of range.
        EvidenceError: the samples are too few, or too alike, for what the method must estimate.

    Reference: docs/method.md section 5; Ju et al. 2023, section III-D.
    """
    problem = make_problem((features, labels), validation, decision_layer, neurons=neurons)
    planned = {method: plan_edit(problem, method, settings=settings)}
    return edit_all(planned, settings=settings, strength=strength)[method]


def plan_edit(problem: EditProblem, method: str, *, settings: EditSettings) -> PlannedEdit:
    """What a method would try.

    Raises:
        SettingsError: an unknown method.
        EvidenceError: the samples are too few, or too alike, for what the method must estimate.
    """
    return PlannedEdit(problem, method, tuple(method_tries(method)(problem, settings)))


def edit_all(
    planned: Mapping[Name, PlannedEdit],
    *,
    settings: EditSettings,
    strength: float = FULL,
    progress: Progress = silent,
) -> dict[Name, Edit]:
    """Several edits of the same decision layer on the same data, trained side by side.

    Args:
        planned: by name of the edit; their problems may differ in their neurons only.
        settings: for all of them.
        strength: of all of them; tries are compared as they would be delivered.
        progress: told how many tries are trained.

    Raises:
        SettingsError: a strength that is not above 0 and at most 1.
    """
    check_strength(strength)
    original = original_score(next(iter(planned.values())).problem)
    trained = train_planned(planned, original, settings=settings, strength=strength, progress=progress)
    return {
        name: choose_try(plan, trained[name], original, settings=settings, strength=strength)
        for name, plan in planned.items()
    }


def train_planned(
    planned: Mapping[Name, PlannedEdit],
    original: Score,
    *,
    settings: EditSettings,
    strength: float = FULL,
    progress: Progress = silent,
) -> dict[Name, list[Layer]]:
    """The layers of every try of several edits, each at full strength, trained side by side.

    Args:
        planned: by name of the edit; their problems may differ in their neurons only.
        original: score of the original layer.
        settings: the training loop, for all of them.
        strength: at which tries compete for being trained to their end.
        progress: told how many tries are trained.
    """
    groups = [number for number, plan in enumerate(planned.values()) for _ in plan.tries]
    contest = Contest(groups, original, settings.average_tolerance, strength)
    every = [one for plan in planned.values() for one in plan.tries]
    data = next(iter(planned.values())).problem
    layers = iter(train_tries(data, every, settings=settings.train, contest=contest, progress=progress))
    return {name: [next(layers) for _ in plan.tries] for name, plan in planned.items()}


def choose_try(
    plan: PlannedEdit, trained: Sequence[Layer], original: Score, *, settings: EditSettings, strength: float = FULL
) -> Edit:
    """The edit that the selection rule takes from the trained layers of its tries, at a strength.

    Args:
        plan: the edit.
        trained: weight (C, F) and bias (C,) of each of its tries at full strength.
        original: score of the original layer.
        settings: the selection rule.
        strength: how far to go from the original layer, above 0 and at most 1.
    """
    problem = plan.problem
    made = [blend((problem.weight, problem.bias), layer, strength) for layer in trained]
    scores = [
        score_layer(*layer, features=problem.validation_features, labels=problem.validation_labels) for layer in made
    ]
    chosen = select(scores, original, average_tolerance=settings.average_tolerance)
    records = tuple(
        TryRecord(one.settings, score, is_eligible(score, original, average_tolerance=settings.average_tolerance))
        for one, score in zip(plan.tries, scores, strict=True)
    )
    return Edit(as_linear(*made[chosen]), plan.method, problem.neurons, records, chosen, original, strength)


def original_score(problem: EditProblem) -> Score:
    """Score of the original layer on the selecting split."""
    judge = {"features": problem.validation_features, "labels": problem.validation_labels}
    return score_layer(problem.weight, problem.bias, **judge)


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
