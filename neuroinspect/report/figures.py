"""The figures of the page: before and after, each method beside its controls, the accuracy of every class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from neuroinspect.report.plots import Dot, Pair, Role
from neuroinspect.report.words import (
    METRIC_MEANINGS,
    METRIC_TITLES,
    change,
    change_interval,
    interval,
    method_title,
    metric_value,
)

KEY_METRICS: Final = ("worst_class", "average", "class_auroc", "cross_cue_auroc")
PLOT_METRICS: Final = ("class_auroc", "cross_cue_auroc", "class_accuracy", "average")
TABLE_METRICS: Final = (*PLOT_METRICS, "group_weighted_average", "worst_class", "worst_group")
MOST_CLASSES: Final = 20

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure written out.

    Attributes:
        interval: "" where unknown.
        cell: the class or group it is of; "" where that is plain.
    """

    value: str
    interval: str
    cell: str = ""


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One tile: a metric before the edit, and after it where there is one."""

    title: str
    meaning: str
    before: Reading
    after: Reading | None
    change: str
    change_interval: str
    trend: str


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One line of the full table."""

    title: str
    kind: str
    recommended: bool
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One method minus one of its controls: for each metric the change, its interval, and up, down or unclear."""

    title: str
    against: str
    recommended: bool
    cells: tuple[tuple[str, str, str], ...]


def original_row(rows: Sequence[Row]) -> Row | None:
    """The classifier as it came."""
    return next((row for row in rows if row["name"] == "original"), None)


def recommended_row(rows: Sequence[Row], recommended: str | None) -> Row | None:
    """The recommended edit; None where the recommendation is to leave the classifier as it is."""
    if recommended in {None, "original"}:
        return None
    return next((row for row in rows if row["name"] == recommended), None)


def performance_row(performance: Mapping[str, Any], split: str) -> Row:
    """What extract noted about the original on a split, in the shape of a row of metrics.json."""
    figures = performance["splits"][split]
    worst = figures.get("worst_class") or {}
    cell = figures["per_class"].get(worst.get("name"), {})
    return {
        "name": "original",
        "kind": "original",
        "title": method_title("original"),
        "average": {"value": figures["accuracy"], "low": None, "high": None},
        "worst_class": {"name": worst.get("name"), "value": worst.get("accuracy")}
        | {end: cell.get(end) for end in ("low", "high")},
        "per_class": {
            name: {"value": of["accuracy"], **{key: of.get(key) for key in ("low", "high", "count")}}
            for name, of in figures["per_class"].items()
        },
    }


def reading(metric: str, row: Row) -> Reading:
    """One metric of one row, written out."""
    figure = row.get(metric) or {}
    value = figure.get("value")
    cell = "" if value is None else figure.get("name") or row.get(f"{metric}_name") or ""
    return Reading(metric_value(metric, value), interval(metric, figure), str(cell))


def key_figures(before: Row, after: Row | None, differences: Sequence[Row]) -> list[KeyFigure]:
    """The tiles at the top; a metric the run does not have is left out."""
    tiles = []
    for metric in KEY_METRICS:
        if not _has(before, metric):
            continue
        delta, spread, trend = "", "", ""
        if after is not None and _has(after, metric):
            gain = float(after[metric]["value"]) - float(before[metric]["value"])
            known = _difference(differences, name=after["name"], against="original", metric=metric)
            gain = gain if known is None else float(known["value"])
            delta, trend = change(metric, gain), "up" if gain > 0 else "down" if gain < 0 else "level"
            spread = "" if known is None else change_interval(metric, known.get("low"), known.get("high"))
        tiles.append(
            KeyFigure(
                METRIC_TITLES[metric],
                METRIC_MEANINGS[metric],
                reading(metric, before),
                reading(metric, after) if after is not None and _has(after, metric) else None,
                delta,
                spread,
                trend,
            )
        )
    return tiles


def ordered_rows(rows: Sequence[Row]) -> list[Row]:
    """Original, retrain-only, then each edit with its own placebo right under it."""
    named = {row["name"]: row for row in rows}
    order = ["original", "retrain"]
    for row in rows:
        if row["kind"] == "edit":
            order += [row["name"], f"placebo.{row['name']}"]
    order += [name for name in named if name not in order]
    return [named[name] for name in order if name in named]


def forest_dots(rows: Sequence[Row], metric: str, *, recommended: str | None) -> list[Dot]:
    """What the forest plot of a metric shows."""
    dots = []
    for row in ordered_rows(rows):
        if not _has(row, metric):
            continue
        figure, name = row[metric], str(row["name"])
        role: Role = "edit"
        if name.startswith("placebo."):
            role = "placebo"
        elif row["kind"] in {"original", "control"}:
            role = "original" if name == "original" else "control"
        title = "its placebo" if role == "placebo" else method_title(name, row.get("title"))
        dots.append(
            Dot(
                title,
                float(figure["value"]),
                figure.get("low"),
                figure.get("high"),
                role,
                recommended=name == recommended,
            )
        )
    return dots


def method_rows(rows: Sequence[Row], *, recommended: str | None) -> tuple[list[str], list[MethodRow]]:
    """Headings and lines of the full table; a metric no row has is left out."""
    metrics = [metric for metric in TABLE_METRICS if any(_has(row, metric) for row in rows)]
    lines = [
        MethodRow(
            method_title(row["name"], row.get("title")),
            row["kind"],
            row["name"] == recommended,
            tuple(reading(metric, row) for metric in metrics),
        )
        for row in ordered_rows(rows)
    ]
    return [METRIC_TITLES[metric] for metric in metrics], lines


def difference_rows(
    differences: Sequence[Row], *, recommended: str | None, titles: Mapping[str, str]
) -> tuple[list[str], list[DifferenceRow]]:
    """Headings and lines of the table of differences, the recommended edit first; `titles` names the methods."""
    metrics = [metric for metric in PLOT_METRICS if any(found["metric"] == metric for found in differences)]
    pairs = list(dict.fromkeys((found["name"], found["against"]) for found in differences))
    pairs.sort(key=lambda pair: pair[0] != recommended)
    lines = []
    for name, against in pairs:
        cells = [
            _difference_cell(metric, _difference(differences, name=name, against=against, metric=metric))
            for metric in metrics
        ]
        other = "its placebo" if against == "placebo" else method_title(against, titles.get(against)).lower()
        title = method_title(name, titles.get(name))
        lines.append(DifferenceRow(title, other, name == recommended, tuple(cells)))
    return [METRIC_TITLES[metric] for metric in metrics], lines


def class_pairs(before: Row, after: Row | None) -> tuple[list[Pair], list[tuple[str, str, Reading, Reading | None]]]:
    """Every class before and after, the worst first: as plotted (at most MOST_CLASSES) and as lines of a table."""
    cells = sorted(before["per_class"].items(), key=lambda item: (_value(item[1]), item[0]))
    edited = {} if after is None else after["per_class"]
    pairs, lines = [], []
    for name, cell in cells:
        counterpart = edited.get(name)
        ends = None if counterpart is None or counterpart.get("value") is None else _ends(counterpart)
        if cell.get("value") is not None:
            pairs.append(Pair(str(name), _ends(cell), ends))
        one = Reading(metric_value("class_accuracy", cell.get("value")), interval("class_accuracy", cell))
        other = None
        if counterpart is not None:
            value = metric_value("class_accuracy", counterpart.get("value"))
            other = Reading(value, interval("class_accuracy", counterpart))
        lines.append((str(name), str(cell.get("count", "")), one, other))
    return pairs[:MOST_CLASSES], lines


def _has(row: Row, metric: str) -> bool:
    figure = row.get(metric)
    return figure is not None and figure.get("value") is not None


def _value(cell: Row) -> float:
    return 2.0 if cell.get("value") is None else float(cell["value"])


def _ends(cell: Row) -> tuple[float, float, float]:
    value = float(cell["value"])
    low, high = cell.get("low"), cell.get("high")
    return value, value if low is None else float(low), value if high is None else float(high)


def _difference(differences: Sequence[Row], **wanted: str) -> Row | None:
    return next((found for found in differences if all(found[key] == value for key, value in wanted.items())), None)


def _difference_cell(metric: str, found: Row | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", "unknown"
    low, high = found.get("low"), found.get("high")
    trend = "unclear" if low is None or high is None or low <= 0 <= high else "up" if low > 0 else "down"
    return change(metric, found["value"]), change_interval(metric, low, high), trend
