"""Judge decision layers on one split: a row of figures with intervals for each, and paired differences to the controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neuroinspect.intervals import Estimate, Statistic, draw_counts, estimate
from neuroinspect.metrics import (
    average_statistic,
    cell_strata,
    class_accuracy_statistic,
    class_auroc_statistic,
    cross_cue_auroc_statistic,
    group_weighted_statistic,
    per_class_accuracy,
    per_group_accuracy,
    worst_class,
    worst_class_statistic,
    worst_group_statistic,
)
from neuroinspect.settings import EvaluateSettings

COMPARED = ("class_auroc", "cross_cue_auroc", "average", "class_accuracy", "worst_class")
"""Figures whose differences to the controls are given."""
Layers = Mapping[str, Sequence[tuple[Tensor, Tensor]]]
"""By name one decision layer (C, F), (C,); for a placebo one for each draw."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedSplit:
    """Samples that selected nothing.

    Attributes:
        features: (N, F).
        targets: (N,) class numbers.
        groups: attribute of each sample (N,), None where unknown.
        class_names: in the order of the logits.
        class_index: the class that was debugged.
        cue: the group that went with the class in training, if known.
        training_sizes: samples of each (class, group) cell of the training set, for the re-weighted average.
    """

    features: Tensor
    targets: NDArray[np.int64]
    groups: Sequence[str | None]
    class_names: Sequence[str]
    class_index: int
    cue: str | None
    training_sizes: Mapping[tuple[int, str], int]


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """A figure, and what it is on each draw (D,); both minus those of another give the paired difference."""

    value: NDArray[np.float64]
    draws: NDArray[np.float64]


class Judge:
    """Computes figures and differences of decision layers on one split; the draws are the same for all of them.

    Samples are drawn once, and each figure of each layer is computed once on them, whatever it is compared with.
    """

    def __init__(self, split: JudgedSplit, *, settings: EvaluateSettings, seed: int) -> None:
        self._split, self._settings, self._seed = split, settings, seed
        known = any(group is not None for group in split.groups)
        self._groups = np.asarray(split.groups, dtype=object) if known else None
        # by class only: within (class, group) cells a cue that decides everything would leave no spread at all
        self._strata = cell_strata(split.targets)
        self._counts: list[NDArray[np.unsignedinteger]] = []
        self._layers: dict[tuple[int, int], tuple[tuple[Tensor, Tensor], dict[str, Statistic]]] = {}
        self._drawn: dict[tuple[int, int, str], _Drawn] = {}

    @property
    def count(self) -> int:
        """Samples in the split."""
        return len(self._split.targets)

    def statistics(self, layer: tuple[Tensor, Tensor]) -> dict[str, Statistic]:
        """The figures of one layer as statistics; those that need groups only where groups are known."""
        split, groups = self._split, self._groups
        logits = (split.features @ layer[0].T + layer[1]).double().cpu().numpy()
        predictions, targets = logits.argmax(1), split.targets
        found = {
            "average": average_statistic(predictions, targets),
            "class_accuracy": class_accuracy_statistic(predictions, targets, split.class_index),
            "worst_class": worst_class_statistic(predictions, targets),
            "class_auroc": class_auroc_statistic(logits, targets, split.class_index),
        }
        if groups is not None:
            found["worst_group"] = worst_group_statistic(predictions, targets, groups)
            found["group_weighted_average"] = group_weighted_statistic(
                predictions, targets, groups, training_sizes=split.training_sizes
            )
        if groups is not None and split.cue is not None:
            found["cross_cue_auroc"] = cross_cue_auroc_statistic(
                logits, targets, groups, class_index=split.class_index, cue=split.cue
            )
        return found

    def row(self, layers: Sequence[tuple[Tensor, Tensor]], *, placebo: bool = False) -> dict[str, Any]:
        """Figures of one layer with bootstrap intervals; of the draws of a placebo, be it one, mean, smallest and largest."""
        names = (*COMPARED, "worst_group", "group_weighted_average")
        if len(layers) == 1 and not placebo:
            statistics = self._statistics(layers[0])
            row = {name: self._estimate(self._draw(layers[0], name)) if name in statistics else None for name in names}
        else:
            drawn = [self._statistics(layer) for layer in layers]
            row = {name: self._range([one[name] for one in drawn]) if name in drawn[0] else None for name in names}
        return {**row, **self._cells(layers)}

    def differences(self, layers: Layers, *, controls: Sequence[str]) -> list[dict[str, Any]]:
        """Each layer against each control on the same draws; a placebo counts as the mean of its own draws."""
        rows = []
        for name, group in layers.items():
            if name.startswith("placebo.") or len(group) != 1:
                continue
            known = [metric for metric in COMPARED if metric in self._statistics(group[0])]
            for control in controls:
                other = f"placebo.{name}" if control == "placebo" else control
                if other == name or other not in layers:
                    continue
                for metric in known:
                    against = _mean([self._draw(layer, metric) for layer in layers[other]])
                    found = self._estimate(_difference(self._draw(group[0], metric), against))
                    if found is not None:
                        rows.append({"name": name, "against": control, "metric": metric, **found})
        return rows

    def _statistics(self, layer: tuple[Tensor, Tensor]) -> dict[str, Statistic]:
        """`statistics`, once for each layer; the layer is kept with them, so that no other takes its place."""
        key = (id(layer[0]), id(layer[1]))
        if key not in self._layers:
            self._layers[key] = (layer, self.statistics(layer))
        return self._layers[key][1]

    def _draw(self, layer: tuple[Tensor, Tensor], metric: str) -> _Drawn:
        """A figure of a layer on all draws, computed once."""
        key = (id(layer[0]), id(layer[1]), metric)
        if key not in self._drawn:
            if not self._counts:
                generator = np.random.default_rng(self._seed)
                self._counts = list(draw_counts(self._strata, generator=generator, draws=self._settings.bootstrap))
            statistic = self._statistics(layer)[metric]
            draws = [statistic(counts) for counts in self._counts]
            self._drawn[key] = _Drawn(statistic(np.ones((1, self.count))), np.concatenate(draws))
        return self._drawn[key]

    def _estimate(self, drawn: _Drawn) -> dict[str, float] | None:
        found = estimate(float(drawn.value[0]), drawn.draws, confidence=self._settings.confidence)
        return None if found is None else _rounded(found)

    def _range(self, statistics: Sequence[Statistic]) -> dict[str, float] | None:
        once = np.ones((1, self.count))
        values = [float(one(once)[0]) for one in statistics]
        if not np.isfinite(values).all():
            return None
        return _rounded(Estimate(float(np.mean(values)), min(values), max(values)))

    def _cells(self, layers: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any]:
        """Accuracy by class and by group, and which cell is worst, of the first layer."""
        split = self._split
        predictions = (split.features @ layers[0][0].T + layers[0][1]).argmax(1).cpu().numpy()
        cells = per_class_accuracy(predictions, split.targets, num_classes=len(split.class_names))
        per_class = {}
        for name, cell in zip(split.class_names, cells, strict=True):
            if cell.accuracy is not None:
                low, high = cell.interval(self._settings.confidence)
                per_class[name] = {"value": cell.accuracy, "low": low, "high": high, "count": cell.count}
        named: dict[str, Any] = {"per_class": per_class, "worst_class_name": split.class_names[worst_class(cells)]}
        if self._groups is not None:
            per_group = per_group_accuracy(predictions, split.targets, self._groups)
            named["per_group"] = {
                f"{split.class_names[index]} / {group}": {"value": cell.accuracy, "count": cell.count}
                for (index, group), cell in per_group.items()
            }
            named["worst_group_name"] = min(named["per_group"], key=lambda key: named["per_group"][key]["value"])
        return named


def _mean(several: Sequence[_Drawn]) -> _Drawn:
    return _Drawn(np.mean([one.value for one in several], axis=0), np.mean([one.draws for one in several], axis=0))


def _difference(first: _Drawn, second: _Drawn) -> _Drawn:
    return _Drawn(first.value - second.value, first.draws - second.draws)


def _rounded(estimate: Estimate) -> dict[str, float]:
    return {"value": round(estimate.value, 6), "low": round(estimate.low, 6), "high": round(estimate.high, 6)}
