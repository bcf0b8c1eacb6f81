"""What would an edit of these candidates give? Tried on cached features ahead of the review: it informs and decides nothing.

Sets are single candidates, each with the candidates of its family, and a greedy union: to the best single candidate the one
that helps it most, and so on. The select split is halved: one half does what the select split does in an edit (it shows where
the cue is, chooses among tries, stops the training), the other judges, then the other way round; so the half that judges has
selected neither a try nor a layer. Which sets are looked at, and their order, is chosen on these figures: only the judge split
can say what the first one is worth.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

import torch
from torch import Tensor

from neuroinspect.editing.controls import placebo_neurons
from neuroinspect.editing.edit import edit_all, method_tries, uses_neurons
from neuroinspect.editing.halves import Half, Neurons, halve, plan_sets
from neuroinspect.editing.problem import EditProblem
from neuroinspect.editing.selection import Score, is_eligible, score_layer
from neuroinspect.errors import EvidenceError, ReviewError, SettingsError
from neuroinspect.masking import neuron_family
from neuroinspect.metrics import class_auroc
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import EditSettings, SuggestSettings

Kind = Literal["candidate", "family", "union"]
FAMILY_SIZE = 25
"""Neurons most correlated with each candidate that are kept out of the placebo."""

GAIN_STEP = 0.005
"""Gains in class AUROC are told apart in steps of this; within one the set of fewer neurons comes first."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A decision layer on the judging halves of the select split, each in 0..1; the class AUROC is None for an empty side."""

    average: float
    worst_class: float
    class_auroc: float | None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A set of candidates and what its edit gave.

    Attributes:
        neurons: ascending.
        kind: how it came about.
        figures: of its edit, means over the judging halves.
        auroc_gain: its class AUROC above the median placebo of the same size; None where one of them is not known.
        eligible: the average is not too far under the original's, by the rule that chooses among edits.
    """

    neurons: Neurons
    kind: Kind
    figures: Figures
    auroc_gain: float | None
    eligible: bool


@dataclass(frozen=True, slots=True, eq=False)
class Suggestions:
    """All sets that were tried.

    Attributes:
        original: the decision layer as it came.
        sets: eligible ones first, then by gain in class AUROC in steps of GAIN_STEP, fewer neurons, worst class, average;
            a gain that is not known comes last.
        refused: why the method made no edit of a set.
    """

    original: Figures
    sets: tuple[Suggestion, ...]
    refused: dict[Neurons, str]


def suggest_neurons(
    problem: EditProblem,
    candidates: Sequence[int],
    settings: SuggestSettings,
    *,
    class_index: int,
    edit_settings: EditSettings,
    seed: int,
    progress: Progress = silent,
) -> Suggestions:
    """Try the edit for single candidates, their families and a greedy union of them.

    Args:
        problem: data and original layer; its chosen neurons are not looked at.
        candidates: neurons the diagnosis named for the class, the most voted first.
        settings: method and budget.
        class_index: the class.
        edit_settings: tries, training loop and selection rule of the edit.
        seed: halves the split and draws the placebos; the same seed gives the same suggestions.
        progress: told how many sets are tried.

    Raises:
        SettingsError: an unknown method, or one whose edit does not depend on the neurons.
        ReviewError: no candidate, or no neurons left for a placebo.
        EvidenceError: the method refuses every set.
    """
    method_tries(settings.method)
    if not uses_neurons(settings.method):
        raise SettingsError(f"suggest.method: {settings.method} edits no neurons, so there is nothing to suggest")
    if not candidates:
        raise ReviewError("there is no candidate to suggest; the mistakes have no neuron in common")
    trial = _Trial(problem, tuple(dict.fromkeys(candidates)), class_index, settings, edit_settings, seed, progress)
    pool = trial.candidates[: settings.candidates]
    grown = trial.best(trial.run([(neuron,) for neuron in pool], "candidate"))
    trial.run([trial.family(neuron) for neuron in pool], "family")
    while grown is not None and len(grown) < settings.most_neurons:
        larger = trial.run([tuple(sorted({*grown, neuron})) for neuron in pool if neuron not in grown], "union")
        better = trial.best([grown, *larger])
        grown = None if better == grown else better
    if not trial.found:
        raise EvidenceError(f"no candidate can be tried: {next(iter(trial.refused.values()))}")
    order = sorted(trial.found, key=trial.rank, reverse=True)
    return Suggestions(trial.original, tuple(trial.found[one] for one in order), trial.refused)


class _Trial:
    """Runs edits of sets on every half, each set once, and keeps what they gave."""

    def __init__(
        self,
        problem: EditProblem,
        candidates: Neurons,
        class_index: int,
        settings: SuggestSettings,
        edit_settings: EditSettings,
        seed: int,
        progress: Progress,
    ) -> None:
        self.candidates = candidates
        self.found: dict[Neurons, Suggestion] = {}
        self.refused: dict[Neurons, str] = {}
        self._problem, self._class_index, self._progress = problem, class_index, progress
        self._settings, self._edit_settings = settings, edit_settings
        self._generator = torch.Generator().manual_seed(seed)
        self._halves = halve(problem, settings.repeats, generator=self._generator)
        self._placebos: dict[int, float | None] = {}
        self.original = _mean([_judge((problem.weight, problem.bias), half, class_index) for half in self._halves])

    def family(self, neuron: int) -> Neurons:
        """A candidate and the candidates of its family."""
        features, labels = self._problem.validation_features, self._problem.validation_labels
        family = neuron_family(features, [neuron], labels=labels)
        return tuple(sorted({neuron, *(other for other in family if other in self.candidates)}))

    def run(self, sets: Iterable[Neurons], kind: Kind) -> list[Neurons]:
        """Try the sets that were not tried before, as far as the budget goes; returns all of them that gave a layer."""
        asked = list(dict.fromkeys(sets))
        wanted = [one for one in asked if one not in self.found and one not in self.refused]
        wanted = wanted[: self._settings.max_sets - len(self.found) - len(self.refused)]
        self._progress("trying sets of neurons", len(self.found), self._settings.max_sets)
        for one, given in self._edit(wanted).items():
            if isinstance(given, str):
                self.refused[one] = given
                continue
            placebo = self._placebo(len(one))
            gain = None if placebo is None or given.class_auroc is None else given.class_auroc - placebo
            score, original = (Score(each.average, each.worst_class) for each in (given, self.original))
            eligible = is_eligible(score, original, average_tolerance=self._edit_settings.average_tolerance)
            self.found[one] = Suggestion(one, kind, given, gain, eligible)
        return [one for one in asked if one in self.found]

    def best(self, sets: Sequence[Neurons]) -> Neurons | None:
        """The set that ranks first."""
        return max(sets, key=self.rank, default=None)

    def rank(self, neurons: Neurons) -> tuple[float, ...]:
        """Sorts the sets, the best highest."""
        one = self.found[neurons]
        gain = -math.inf if one.auroc_gain is None else round(one.auroc_gain / GAIN_STEP)
        return (one.eligible, gain, -len(neurons), one.figures.worst_class, one.figures.average, *(-n for n in neurons))

    def _edit(self, sets: Sequence[Neurons]) -> dict[Neurons, Figures | str]:
        """Figures of the edit of each set, or why there is none."""
        figures: dict[Neurons, list[Figures]] = {one: [] for one in sets}
        refused: dict[Neurons, Figures | str] = {}
        for half in self._halves:
            planned, why = plan_sets(
                half,
                sets,
                class_index=self._class_index,
                method=self._settings.method,
                settings=self._edit_settings,
            )
            refused |= why
            edits = edit_all(planned, settings=self._edit_settings) if planned else {}
            for one, edit in edits.items():
                layer = edit.decision_layer
                figures[one].append(_judge((layer.weight, layer.bias), half, self._class_index))
        return {one: refused[one] if one in refused else _mean(given) for one, given in figures.items()}

    def _placebo(self, count: int) -> float | None:
        """Median class AUROC of the same edit of as many neurons that nobody suspects."""
        if count not in self._placebos:
            features, labels = self._problem.validation_features, self._problem.validation_labels
            sets = placebo_neurons(
                count=count,
                draws=self._settings.placebo_draws,
                num_features=features.shape[1],
                suspected=[
                    *self.candidates,
                    *neuron_family(features, self.candidates, labels=labels, size=FAMILY_SIZE),
                ],
                chosen=[],
                generator=self._generator,
            )
            given = [one for one in self._edit(sets).values() if not isinstance(one, str)]
            known = [one.class_auroc for one in given if one.class_auroc is not None]
            self._placebos[count] = median(known) if known else None
        return self._placebos[count]


def _judge(layer: tuple[Tensor, Tensor], half: Half, class_index: int) -> Figures:
    score = score_layer(*layer, features=half.features, labels=half.labels)
    logits = half.features @ layer[0].T + layer[1]
    return Figures(score.average, score.worst_class, class_auroc(logits, half.labels, class_index))


def _mean(figures: Sequence[Figures]) -> Figures:
    known = [one.class_auroc for one in figures if one.class_auroc is not None]
    return Figures(
        fmean(one.average for one in figures),
        fmean(one.worst_class for one in figures),
        fmean(known) if len(known) == len(figures) else None,
    )
