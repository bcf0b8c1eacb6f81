"""Figures of a decision layer that was made twice, once from each half of the select split: every sample is judged once."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from neuroinspect.editing.halves import Half
from neuroinspect.editing.refit import Layer
from neuroinspect.metrics import CellAccuracy, class_auroc, cross_cue_auroc, per_class_accuracy, worst_class


@dataclass(frozen=True, slots=True)
class HalfFigures:
    """Each in 0..1; None where there are no samples to tell.

    Attributes:
        average, worst_class, class_accuracy: over all samples, each judged by the layer that did not see it.
        worst_index: number of the class of the worst accuracy.
        class_auroc, cross_cue_auroc: means over the halves, because margins of two layers are not on one scale; the latter None
            also where no cue is known.
    """

    average: float
    worst_class: float
    worst_index: int
    class_accuracy: float | None
    class_auroc: float | None
    cross_cue_auroc: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Cue:
    """The attribute that goes with the class in training, and the one of each sample of the select split (N,), or None."""

    name: str
    groups: NDArray[np.object_]


def judge_on_halves(
    layers: Sequence[Layer], halves: Sequence[Half], *, class_index: int, cue: Cue | None = None
) -> HalfFigures:
    """Judge the layer of each half on the samples that had no part in it.

    Args:
        layers: weight (C, F) and bias (C,) for each half.
        halves: whose judging parts together are the select split.
        class_index: the class of the AUROCs.
        cue: where groups are known.
    """
    cells: list[tuple[CellAccuracy, ...]] = []
    aurocs: list[float | None] = []
    crossed: list[float | None] = []
    for (weight, bias), half in zip(layers, halves, strict=True):
        logits = (half.features @ weight.T + bias).cpu().numpy()
        targets = half.labels.cpu().numpy()
        cells.append(per_class_accuracy(logits.argmax(1), targets, num_classes=len(bias)))
        aurocs.append(class_auroc(logits, targets, class_index))
        if cue is not None:
            groups = cue.groups[half.judges.cpu().numpy()]
            crossed.append(cross_cue_auroc(logits, targets, groups, class_index=class_index, cue=cue.name))
    pooled = tuple(
        CellAccuracy(sum(one.right for one in same), sum(one.count for one in same))
        for same in zip(*cells, strict=True)
    )
    worst = worst_class(pooled)
    return HalfFigures(
        sum(one.right for one in pooled) / sum(one.count for one in pooled),
        pooled[worst].right / pooled[worst].count,
        worst,
        pooled[class_index].accuracy,
        _mean(aurocs),
        _mean(crossed),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return fmean(known) if known and len(known) == len(values) else None
