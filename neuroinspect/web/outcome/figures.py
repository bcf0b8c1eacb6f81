"""The figures of an edit beside the original and its controls, as one line for each metric."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from neuroinspect.judging.verdict import PRESPECIFIED
from neuroinspect.report.figures import original_row, recommended_row
from neuroinspect.report.words import (
    METRIC_MEANINGS,
    METRIC_TITLES,
    change,
    change_interval,
    interval,
    method_title,
    metric_value,
)

_METRICS: Final = ("worst_class", "class_accuracy", "average", "class_auroc", "cross_cue_auroc")
Row = Mapping[str, Any]


class Figure(BaseModel):
    """One figure of one layer; low and high are of its interval, of a placebo its smallest and largest draw."""

    value: float | None
    shown: str
    low: float | None
    high: float | None
    interval: str
    cell: str = ""


class FigureLine(BaseModel):
    """One metric of the original, the edit and its controls.

    Attributes:
        trend: of the edit against the original: up or down where the interval leaves out zero, else unclear.
    """

    metric: str
    title: str
    meaning: str
    original: Figure
    edit: Figure | None
    retrain: Figure | None
    placebo: Figure | None
    change: str
    change_interval: str
    trend: str


def figure_lines(judged: Mapping[str, Any], *, recommended: str) -> tuple[str, list[FigureLine]]:
    """The title of the edit that is shown, and a line for each metric the run has.

    The edit is the recommended one; where the original is recommended, the one that was named beforehand to be judged.

    Args:
        judged: a split of metrics.json.
        recommended: name of the recommended layer.
    """
    rows = {row["name"]: row for row in judged["rows"]}
    original = original_row(judged["rows"])
    if original is None:
        return "", []
    edit = recommended_row(judged["rows"], recommended)
    if edit is None:
        edit = next((rows[name] for name in PRESPECIFIED if name in rows), None)
    title = "" if edit is None else method_title(edit["name"], edit.get("title"))
    placebo = None if edit is None else rows.get(f"placebo.{edit['name']}")
    lines = [
        _line(metric, original, edit, (rows.get("retrain"), placebo), judged["differences"])
        for metric in _METRICS
        if original.get(metric) is not None
    ]
    return title, lines


def _line(
    metric: str, original: Row, edit: Row | None, controls: tuple[Row | None, Row | None], differences: Sequence[Row]
) -> FigureLine:
    before = _figure(metric, original)
    wanted = (None if edit is None else edit["name"], "original", metric)
    gain = next((one for one in differences if (one["name"], one["against"], one["metric"]) == wanted), None)
    trend = "unclear"
    if gain is not None and (gain["low"] > 0 or gain["high"] < 0):
        trend = "up" if gain["low"] > 0 else "down"
    return FigureLine(
        metric=metric,
        title=METRIC_TITLES[metric],
        meaning=METRIC_MEANINGS.get(metric, ""),
        original=before,
        edit=None if edit is None else _figure(metric, edit),
        retrain=None if controls[0] is None else _figure(metric, controls[0]),
        placebo=None if controls[1] is None else _figure(metric, controls[1]),
        change="" if gain is None else change(metric, gain["value"]),
        change_interval="" if gain is None else change_interval(metric, gain["low"], gain["high"]),
        trend=trend,
    )


def _figure(metric: str, row: Row) -> Figure:
    found = row.get(metric) or {}
    value = found.get("value")
    return Figure(
        value=value,
        shown=metric_value(metric, value),
        low=found.get("low"),
        high=found.get("high"),
        interval=interval(metric, found),
        cell=str(row.get(f"{metric}_name") or "") if value is not None else "",
    )
