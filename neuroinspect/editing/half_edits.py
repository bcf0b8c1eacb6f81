"""Edits made twice, once from each half of the select split, and judged there; what was trained is kept for other strengths."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from neuroinspect.editing.edit import PlannedEdit, choose_try, original_score, train_planned
from neuroinspect.editing.half_figures import Cue, HalfFigures, judge_on_halves
from neuroinspect.editing.halves import Half, Neurons, plan_sets
from neuroinspect.editing.refit import Layer
from neuroinspect.settings import EditSettings

Sets = tuple[Neurons, ...]
_KEPT_WEIGHTS = 64_000_000  # of trained layers: 256 MB
_KEPT_FIGURES = 2000


@dataclass(frozen=True, slots=True, eq=False)
class _Trained:
    """One set of neurons: for each half what was planned, and the layer of each try at full strength; or why there is none."""

    planned: tuple[PlannedEdit, ...] = ()
    layers: tuple[list[Layer], ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """One set of neurons at a strength: its figures and the number of tries; or why there are none."""

    figures: HalfFigures | None
    tries: int
    refused: str | None


class HalfEdits:
    """Trains, delivers and judges edits of neurons of one class on two halves.

    Args:
        halves: of the select split.
        class_index: the class.
        settings: of the edits.
        cue: where groups are known.
    """

    def __init__(
        self, halves: Sequence[Half], *, class_index: int, settings: EditSettings, cue: Cue | None = None
    ) -> None:
        self._halves, self._class_index, self._settings, self._cue = halves, class_index, settings, cue
        self._size = halves[0].problem.weight.numel()
        self._scores = [original_score(half.problem) for half in halves]
        self._trained: OrderedDict[tuple[str, Sets], list[_Trained]] = OrderedDict()
        self._delivered: dict[tuple[str, Sets, float], list[Delivered]] = {}
        self.original = self._judge([(half.problem.weight, half.problem.bias) for half in halves])

    def deliver(self, method: str, sets: Sets, strength: float) -> list[Delivered]:
        """What each set comes to at a strength: on each half the try that is selected there.

        Args:
            method: of the edit.
            sets: neurons of the class; one empty set for a method that needs none.
            strength: above 0, at most 1.
        """
        key = (method, sets, strength)
        if key not in self._delivered:
            if len(self._delivered) >= _KEPT_FIGURES:
                self._delivered.clear()
            self._delivered[key] = [self._judged(one, strength) for one in self._train(method, sets)]
        return self._delivered[key]

    def _judged(self, trained: _Trained, strength: float) -> Delivered:
        if trained.refused is not None:
            return Delivered(None, 0, trained.refused)
        chosen = [
            choose_try(plan, layers, score, settings=self._settings, strength=strength).decision_layer
            for plan, layers, score in zip(trained.planned, trained.layers, self._scores, strict=True)
        ]
        figures = self._judge([(layer.weight, layer.bias) for layer in chosen])
        return Delivered(figures, len(trained.planned[0].tries), None)

    def _judge(self, layers: Sequence[Layer]) -> HalfFigures:
        return judge_on_halves(layers, self._halves, class_index=self._class_index, cue=self._cue)

    def _train(self, method: str, sets: Sets) -> list[_Trained]:
        """Layers of each set on the halves. Always the same sets together: in a stack with others they round otherwise."""
        key = (method, sets)
        if key not in self._trained:
            self._trained[key] = self._train_anew(method, sets)
            kept = {key: sum(len(tries) for one in made for tries in one.layers) for key, made in self._trained.items()}
            for oldest in list(kept)[:-1]:
                if sum(kept.values()) * self._size > _KEPT_WEIGHTS:
                    del self._trained[oldest], kept[oldest]
        self._trained.move_to_end(key)
        return self._trained[key]

    def _train_anew(self, method: str, sets: Sets) -> list[_Trained]:
        plans: list[dict[Neurons, PlannedEdit]] = []
        refused: dict[Neurons, str] = {}
        for half in self._halves:
            planned, why = plan_sets(half, sets, class_index=self._class_index, method=method, settings=self._settings)
            plans.append(planned)
            refused |= why
        left = [one for one in dict.fromkeys(sets) if one not in refused]
        layers = [
            train_planned({one: planned[one] for one in left}, score, settings=self._settings) if left else {}
            for planned, score in zip(plans, self._scores, strict=True)
        ]
        return [
            _Trained(refused=refused[one])
            if one in refused
            else _Trained(tuple(planned[one] for planned in plans), tuple(made[one] for made in layers))
            for one in sets
        ]
