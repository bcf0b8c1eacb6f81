"""What an edit would give, in words and figures that the panel shows as they are."""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from neuroinspect.judging.titles import title_of
from neuroinspect.report.words import METRIC_TITLES, change, interval, metric_value
from neuroinspect.stages.what_if import WhatIf, WhatIfRow
from neuroinspect.stages.what_if_answer import RowName
from neuroinspect.web.wording import named, visible

SMALLEST_GAIN: Final = 0.005
"""Gains in class AUROC under this are not told apart."""
_METRICS: Final = ("worst_class", "class_accuracy", "average", "class_auroc", "cross_cue_auroc")
Verdict = Literal["", "beyond", "within", "unknown", "refused"]


class WhatIfQuestion(BaseModel):
    """What would the edit of these neurons give?

    Attributes:
        method: None: the first that is offered, cue erasure where the run has it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    neurons: tuple[int, ...] = Field(max_length=10_000)
    method: str | None = Field(default=None, max_length=100)
    strength: float = 1.0


class WhatIfCell(BaseModel):
    """One figure of one layer: its value, how it is written, and its change against the original.

    Attributes:
        low, high, range: of a placebo, its smallest and largest draw.
        cell: the class a worst accuracy is of.
    """

    value: float | None
    shown: str
    gain: float | None
    change: str
    low: float | None = None
    high: float | None = None
    range: str = ""
    cell: str = ""


class WhatIfLine(BaseModel):
    """One figure of the layers, as far as they are known."""

    metric: str
    title: str
    original: WhatIfCell
    edit: WhatIfCell | None
    retrain: WhatIfCell | None
    placebo: WhatIfCell | None


class WhatIfAnswer(BaseModel):
    """The answer, or that it takes a little longer.

    Attributes:
        state: "waiting": ask the same again; "done".
        prepared: nothing has to be read first.
        samples: pictures of the select split that judged; draws: of the placebo.
        verdict: whether the edit gains more than its controls.
        sentence: the same in words.
    """

    state: Literal["waiting", "done"]
    prepared: bool
    neurons: tuple[int, ...] = ()
    method: str = ""
    title: str = ""
    strength: float = 1.0
    samples: int = 0
    draws: int = 0
    lines: tuple[WhatIfLine, ...] = ()
    verdict: Verdict = ""
    sentence: str = ""


def answer_in_words(found: WhatIf) -> WhatIfAnswer:
    """The answer of a desk, written out."""
    rows = {row.name: row for row in found.rows}
    lines = tuple(_line(metric, rows) for metric in _METRICS if getattr(rows["original"], metric) is not None)
    verdict, sentence = _judged(found, next((line for line in lines if line.metric == "class_auroc"), None))
    return WhatIfAnswer(
        state="done",
        prepared=True,
        neurons=found.neurons,
        method=found.method,
        title=title_of(found.method),
        strength=found.strength,
        samples=found.samples,
        draws=found.placebo_draws,
        lines=lines,
        verdict=verdict,
        sentence=sentence,
    )


def _line(metric: str, rows: Mapping[RowName, WhatIfRow]) -> WhatIfLine:
    original = getattr(rows["original"], metric)
    cells = {name: _cell(metric, row, original) for name, row in rows.items()}
    return WhatIfLine(
        metric=metric,
        title=METRIC_TITLES[metric],
        original=cells["original"],
        edit=cells.get("edit"),
        retrain=cells.get("retrain"),
        placebo=cells.get("placebo"),
    )


def _cell(metric: str, row: WhatIfRow, original: float) -> WhatIfCell:
    value = getattr(row, metric)
    gain = None if value is None else value - original
    low, high = ((row.low or {}).get(metric), (row.high or {}).get(metric))
    spread = "" if low == high else interval(metric, {"low": low, "high": high})
    return WhatIfCell(
        value=value,
        shown=metric_value(metric, value),
        gain=gain,
        change=change(metric, gain),
        low=low,
        high=high,
        range=spread,
        cell=row.worst_class_name if metric == "worst_class" else "",
    )


def _judged(found: WhatIf, auroc: WhatIfLine | None) -> tuple[Verdict, str]:
    """Whether the edit gains more than its controls, by the class AUROC, which no bias can move."""
    if found.refused is not None:
        return "refused", visible(found.refused)
    edit, placebo = (None, None) if auroc is None else (auroc.edit, auroc.placebo)
    if auroc is None or edit is None or edit.gain is None or auroc.original.value is None:
        return (
            "unknown",
            f"The select split cannot tell {named(found.class_name)} from the other classes, so nothing is said.",
        )
    by = f"the class AUROC changes by {change('class_auroc', edit.gain)}"
    if placebo is None or placebo.high is None:
        return "unknown", f"Open whether this is more than a placebo: {by}, and no placebo could be made."
    best = placebo.high - auroc.original.value
    alone = 0.0 if auroc.retrain is None or auroc.retrain.gain is None else auroc.retrain.gain
    draws = f"the best of {found.placebo_draws} placebo draws" if found.placebo_draws > 1 else "the one placebo draw"
    theirs = f"retraining alone by {change('class_auroc', alone)}, {draws} by {change('class_auroc', best)}"
    if edit.gain >= SMALLEST_GAIN and edit.gain - max(best, alone) >= SMALLEST_GAIN:
        return "beyond", f"More than the controls: {by}, {theirs}."
    return "within", f"No more than the controls: {by}, {theirs}."
