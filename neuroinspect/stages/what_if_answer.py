"""The answer to one what-if question, as a page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, median_low
from typing import Literal

from neuroinspect.editing.half_figures import HalfFigures
from neuroinspect.editing.what_if import Rehearsal, Rehearsed
from neuroinspect.judging.titles import title_of

JUDGED_ON = "the select split: each half of it judges the edit that the other half selected"
FIGURES = ("average", "worst_class", "class_accuracy", "class_auroc", "cross_cue_auroc")
RowName = Literal["original", "retrain", "edit", "placebo"]


@dataclass(frozen=True, slots=True)
class WhatIfRow:
    """A decision layer on the select split; every figure in 0..1, None where there are no samples to tell.

    Attributes:
        name: which layer.
        title: what it is called where a person reads of it.
        average, worst_class, class_accuracy, class_auroc, cross_cue_auroc: of a placebo the medians over its draws; the last
            None also where groups are not known.
        worst_class_name: the class of the worst accuracy.
        low, high: of a placebo, the smallest and largest of each figure over its draws; else None.
    """

    name: RowName
    title: str
    average: float
    worst_class: float
    worst_class_name: str
    class_accuracy: float | None
    class_auroc: float | None
    cross_cue_auroc: float | None
    low: Mapping[str, float] | None = None
    high: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer to one question: a projection, which only the edit itself and the judge split can confirm.

    Attributes:
        neurons: ascending.
        method: the method that was tried.
        strength: above 0 and at most 1.
        class_name: the class under review.
        rows: original, retrain, edit, placebo; without the last two where the method refused.
        refused: why there is no edit, or None.
        judged_on: which samples judged.
        samples: how many; each judged once.
        trained_on: training samples that took part.
        steps: of the training of each try.
        tries: settings of the method that were tried; one in the place of the grid where the decision layer is large.
        placebo_draws: random sets of as many neurons that the method did not refuse.
    """

    neurons: tuple[int, ...]
    method: str
    strength: float
    class_name: str
    rows: tuple[WhatIfRow, ...]
    refused: str | None
    judged_on: str
    samples: int
    trained_on: int
    steps: int
    tries: int
    placebo_draws: int


def answer_of(
    found: Rehearsed,
    rehearsal: Rehearsal,
    *,
    neurons: tuple[int, ...],
    method: str,
    strength: float,
    class_name: str,
    class_names: Sequence[str],
) -> WhatIf:
    """Put what was found into words.

    Args:
        found: what the rehearsal gave.
        rehearsal: which gave it.
        neurons: ascending.
        method: that was tried.
        strength: above 0 and at most 1.
        class_name: the class under review.
        class_names: of all classes, in the order of the logits.
    """
    title = title_of(method)
    known: tuple[tuple[RowName, str, HalfFigures | None], ...] = (
        ("original", title_of("original"), found.original),
        ("retrain", title_of("retrain"), found.retrain),
        ("edit", title, found.edit),
    )
    rows = [_row(name, called, figures, class_names) for name, called, figures in known if figures is not None]
    if found.placebo:
        rows.append(_placebo(found.placebo, f"Placebo: {title}", class_names))
    refused = None
    if found.refused is not None:
        refused = (
            f"{title} refused on half of the select split, of which the edit itself has the whole: {found.refused}"
        )
    return WhatIf(
        neurons=neurons,
        method=method,
        strength=strength,
        class_name=class_name,
        rows=tuple(rows),
        refused=refused,
        judged_on=JUDGED_ON,
        samples=rehearsal.samples,
        trained_on=rehearsal.trained_on,
        steps=rehearsal.steps,
        tries=found.tries,
        placebo_draws=len(found.placebo),
    )


def _row(name: RowName, title: str, figures: HalfFigures, class_names: Sequence[str]) -> WhatIfRow:
    return WhatIfRow(
        name,
        title,
        figures.average,
        figures.worst_class,
        class_names[figures.worst_index],
        figures.class_accuracy,
        figures.class_auroc,
        figures.cross_cue_auroc,
    )


def _placebo(draws: Sequence[HalfFigures], title: str, class_names: Sequence[str]) -> WhatIfRow:
    """Medians over the draws, and how far these lie apart; a figure that is not known of one draw is not known."""
    drawn = {name: [getattr(one, name) for one in draws] for name in FIGURES}
    known = {name: values for name, values in drawn.items() if None not in values}
    middle = {name: median(values) for name, values in known.items()}
    _, worst_index = median_low([(one.worst_class, one.worst_index) for one in draws])
    return WhatIfRow(
        "placebo",
        title,
        middle["average"],
        middle["worst_class"],
        class_names[worst_index],
        middle.get("class_accuracy"),
        middle.get("class_auroc"),
        middle.get("cross_cue_auroc"),
        {name: min(values) for name, values in known.items()},
        {name: max(values) for name, values in known.items()},
    )
