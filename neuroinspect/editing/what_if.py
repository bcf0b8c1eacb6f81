"""What would an edit of these neurons give? The real edit in short, on cached features, while a person is still choosing.

A method's own tries go through the training loop of every edit, for a few hundred steps. Silencing is never asked: without the
refit it answers the wrong way round. Each half of the select split judges what the other selected, so that the samples that
show where the cue is do not judge. Beside the edit stand the original layer, retrain-only and the same edit of placebo neurons.
All of it is a projection; only the judge split can say what an edit is worth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from neuroinspect.editing.controls import placebo_neurons
from neuroinspect.editing.edit import WITH_BIAS, method_tries, uses_neurons
from neuroinspect.editing.half_edits import HalfEdits, Sets
from neuroinspect.editing.half_figures import Cue, HalfFigures
from neuroinspect.editing.halves import Neurons, halve
from neuroinspect.editing.problem import EditProblem
from neuroinspect.editing.short_edit import short_settings, shorten, steps_of
from neuroinspect.editing.strength import FULL, check_strength
from neuroinspect.errors import ReviewError, SettingsError
from neuroinspect.masking import neuron_family
from neuroinspect.settings import EditSettings

PLACEBO_DRAWS = 3
PREPARED_SIZES = 8
"""Placebos of 1 up to this many neurons are trained ahead."""
FAMILY_SIZE = 25
"""Neurons most correlated with the candidates that are kept out of the placebo."""
_NO_NEURONS: Neurons = ()


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What came of one question.

    Attributes:
        original, retrain: the controls that need no neuron.
        edit: None where the method refused.
        placebo: one for each draw that the method did not refuse.
        refused: why there is no edit.
        tries: how many settings the method was tried with.
    """

    original: HalfFigures
    retrain: HalfFigures | None
    edit: HalfFigures | None
    placebo: tuple[HalfFigures, ...]
    refused: str | None
    tries: int


def offered_methods(settings: EditSettings) -> tuple[str, ...]:
    """Methods of a run that can be rehearsed: those whose edit depends on the neurons, without silencing; cue erasure first."""
    offered = [name for name in settings.methods if uses_neurons(name) and not _silences(name)]
    return tuple(sorted(dict.fromkeys(offered), key=lambda name: name != "cue_erasure"))


def check_method(method: str, settings: EditSettings) -> None:
    """Refuse a method that cannot be rehearsed.

    Raises:
        SettingsError: it is unknown, silences, edits no neurons, or the run's edit does not make it.
    """
    method_tries(method)
    if _silences(method):
        raise SettingsError("silencing answers the wrong way round what an edit gives; choose another method")
    if not uses_neurons(method):
        raise SettingsError(f"{method} gives the same whichever neurons are chosen; choose another method")
    if method not in settings.methods:
        offered = ", ".join(offered_methods(settings)) or "no method that uses neurons"
        raise SettingsError(f"the edit of this run does not make {method}; edit.methods has {offered}")


def _silences(method: str) -> bool:
    return method.removesuffix(WITH_BIAS) == "silencing"


class Rehearsal:
    """Short edits of neurons of one class beside their controls; what was trained once is kept for other strengths."""

    def __init__(
        self,
        problem: EditProblem,
        candidates: Sequence[int],
        *,
        class_index: int,
        settings: EditSettings,
        seed: int,
        cue: Cue | None = None,
    ) -> None:
        """Take the samples, and halve those that select and judge.

        Args:
            problem: data and original layer; its chosen neurons are not looked at.
            candidates: neurons the diagnosis named; while others are left none of them, nor of their family, is a placebo.
            class_index: the class.
            settings: of the edit.
            seed: takes the samples, halves them and draws the placebos.
            cue: where groups are known.

        Raises:
            ReviewError: no class has two samples in the select split, so that it has no halves.
        """
        generator = torch.Generator().manual_seed(seed)
        self._problem, rows = shorten(problem, generator=generator)
        halves = halve(self._problem, 1, generator=generator)
        if not len(halves[0].labels):
            raise ReviewError("no class has two samples in the select split, so that one half could judge the other")
        shown = None if cue is None else Cue(cue.name, cue.groups[rows.cpu().numpy()])
        self._settings, self._seed = short_settings(settings, self._problem), seed
        self._candidates = tuple(dict.fromkeys(candidates))
        self._suspected = self._with_family(self._candidates)
        self._edits = HalfEdits(halves, class_index=class_index, settings=self._settings, cue=shown)

    @property
    def samples(self) -> int:
        """Samples of the select split that judge, each once."""
        return len(self._problem.validation_labels)

    @property
    def trained_on(self) -> int:
        """Training samples that take part."""
        return len(self._problem.labels)

    @property
    def steps(self) -> int:
        """Steps that every try is trained for."""
        return steps_of(self._settings, self._problem)

    def preparations(self) -> list[Callable[[], object]]:
        """What can be done ahead of the first question, in parts of a few seconds each."""
        parts: list[Callable[[], object]] = [partial(self._edits.deliver, "retrain", (_NO_NEURONS,), FULL)]
        for method in offered_methods(self._settings):
            for size in range(1, min(PREPARED_SIZES, len(self._candidates)) + 1):
                first, last = (self._placebos(some) for some in (self._candidates[:size], self._candidates[-size:]))
                # In a narrow layer the placebo depends on which neurons are chosen, and is trained when they are.
                if first == last:
                    parts.append(partial(self._edits.deliver, method, first, FULL))
        return parts

    def rehearse(self, neurons: Sequence[int], *, method: str, strength: float = FULL) -> Rehearsed:
        """What an edit of these neurons would give; the same question always has the same answer.

        Args:
            neurons: of the class; in which order does not matter.
            method: one of `offered_methods`.
            strength: how far to go from the original layer, above 0 and at most 1.

        Raises:
            SettingsError: a method that cannot be rehearsed, or a strength out of range.
            ReviewError: no neuron, one that does not exist or comes twice, or too few are left for a placebo.
        """
        check_method(method, self._settings)
        check_strength(strength)
        chosen = self._checked(neurons)
        sets = self._placebos(chosen)
        (retrain,) = self._edits.deliver("retrain", (_NO_NEURONS,), strength)
        (edit,) = self._edits.deliver(method, (chosen,), strength)
        placebo = [] if edit.figures is None else self._edits.deliver(method, sets, strength)
        return Rehearsed(
            self._edits.original,
            retrain.figures,
            edit.figures,
            tuple(one.figures for one in placebo if one.figures is not None),
            edit.refused,
            edit.tries,
        )

    def _checked(self, neurons: Sequence[int]) -> Neurons:
        width = self._problem.weight.shape[1]
        if not neurons:
            raise ReviewError("no neuron is chosen; choose at least one to see what its edit would give")
        if len(set(neurons)) != len(neurons) or min(neurons) < 0 or max(neurons) >= width:
            raise ReviewError(f"expected different neurons in 0..{width - 1}, got {list(neurons)[:20]}")
        return tuple(sorted(neurons))

    def _placebos(self, chosen: Neurons) -> Sets:
        """Sets of as many neurons that nobody suspects; where the layer is wide, the same for all choices of one size."""
        others = [neuron for neuron in chosen if neuron not in self._candidates]
        return tuple(
            placebo_neurons(
                count=len(chosen),
                draws=min(PLACEBO_DRAWS, self._settings.placebo_draws),
                num_features=self._problem.weight.shape[1],
                suspected=self._with_family((*self._candidates, *others)) if others else self._suspected,
                chosen=chosen,
                generator=torch.Generator().manual_seed(self._seed),
            )
        )

    def _with_family(self, neurons: Neurons) -> Neurons:
        if not neurons:
            return ()
        features, labels = self._problem.validation_features, self._problem.validation_labels
        return (*neurons, *neuron_family(features, neurons, labels=labels, size=FAMILY_SIZE))
