"""What the page says about each split: tiles, plots and tables, ready for the template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from neuroinspect.judging.titles import TITLES, refusals, title_of
from neuroinspect.report.figures import (
    MOST_CLASSES,
    PLOT_METRICS,
    DifferenceRow,
    KeyFigure,
    MethodRow,
    Reading,
    class_pairs,
    difference_rows,
    forest_dots,
    key_figures,
    method_rows,
    original_row,
    performance_row,
    recommended_row,
)
from neuroinspect.report.material import Material
from neuroinspect.report.mistakes import Mistakes
from neuroinspect.report.plots import Dot, accuracy_plot, forest_plot, mistakes_plot
from neuroinspect.report.svg import inline_svg
from neuroinspect.report.words import (
    METRIC_MEANINGS,
    METRIC_TITLES,
    PERCENT_METRICS,
    SPLIT_MEANINGS,
    interval,
    method_title,
    metric_value,
    percent,
    split_title,
)

_ORDER: Final = ("judge", "test", "validation", "select", "train")
Plots = dict[str, str]


@dataclass(frozen=True, slots=True)
class PlotView:
    """One plot with its heading and what it means."""

    title: str
    meaning: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class SplitView:
    """Everything the page says about one split."""

    name: str
    title: str
    meaning: str
    edited: str | None
    tiles: tuple[KeyFigure, ...]
    forests: tuple[PlotView, ...]
    columns: tuple[str, ...]
    methods: tuple[MethodRow, ...]
    difference_columns: tuple[str, ...]
    differences: tuple[DifferenceRow, ...]
    classes_plot: PlotView
    classes: tuple[tuple[str, str, Reading, Reading | None], ...]
    classes_left_out: int


def split_views(material: Material, plots: Plots) -> list[SplitView]:
    """A view for each judged split, or for the judge split of extract where nothing was evaluated.

    Args:
        material: what the run left.
        plots: takes the plots, file name -> SVG text.
    """
    judged = {
        name: found
        for name, found in material.metrics.get("splits", {}).items()
        if original_row(found["rows"]) is not None
    }
    if not judged:
        known = material.performance["splits"]
        name = next((name for name in _ORDER if name in known), None)
        if name is None:
            return []
        row = performance_row(material.performance, name)
        judged = {name: {"count": known[name]["count"], "rows": [row], "differences": []}}
    order = sorted(judged, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    return [_split_view(name, judged[name], material.metrics.get("recommended"), plots) for name in order]


def overview(material: Material) -> list[tuple[str, str, str, str, str, str]]:
    """Lines about the original on every split: split, pictures, accuracy, worst class, its accuracy, its interval."""
    lines = []
    known = material.performance["splits"]
    for name in sorted(known, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        row = performance_row(material.performance, name)
        worst = row["worst_class"]
        spread = interval("worst_class", worst)
        count = f"{known[name]['count']:,}"
        accuracy = percent(row["average"]["value"])
        lines.append((name, count, accuracy, str(worst["name"] or ""), percent(worst["value"]), spread))
    return lines


def mistakes_view(mistakes: Mistakes, plots: Plots) -> PlotView:
    """The bars of the predicted classes."""
    svg = mistakes_plot(mistakes.counts, name="mistakes")
    plots["mistakes.svg"] = svg
    label = "Mistakes by predicted class: " + ", ".join(f"{name} {count}" for name, count in mistakes.counts)
    return PlotView("What they were called", "", inline_svg(svg, name="mistakes", label=label))


def tries(material: Material) -> list[tuple[str, str, str, str, bool, bool]]:
    """Lines about how each method was tuned: method, settings, worst class, average, eligible, chosen."""
    lines = []
    methods = {name: made for name, made in material.edit.get("methods", {}).items() if not name.startswith("placebo.")}
    order = {name: rank for rank, name in enumerate(TITLES)}
    for name, method in sorted(methods.items(), key=lambda item: (order.get(item[0], len(order)), item[0])):
        for made in method.get("tries", []):
            settings = ", ".join(f"{key} {value}" for key, value in sorted(made.get("settings", {}).items()))
            title = method_title(name, method.get("title"))
            figures = (percent(_scalar(made.get("worst_class"))), percent(_scalar(made.get("average"))))
            lines.append((title, settings, *figures, bool(made.get("eligible")), bool(made.get("chosen"))))
    return lines


def missing_edits(material: Material) -> list[str]:
    """Lines about the methods that made no edit, and about placebo draws that are missing."""
    lines = refusals(material.edit.get("refused", {}))
    for method, count in material.edit.get("placebo_refused", {}).items():
        draws = "1 placebo draw" if count == 1 else f"{count} placebo draws"
        lines.append(f"{title_of(method)}: {draws} refused, and left out.")
    return lines


def _split_view(name: str, found: Mapping[str, Any], recommended: str | None, plots: Plots) -> SplitView:
    rows, differences = found["rows"], found.get("differences", [])
    before, after = original_row(rows), recommended_row(rows, recommended)
    if before is None:
        raise ValueError(f"split {name}: metrics.json has no row of the original")
    columns, methods = method_rows(rows, recommended=recommended)
    difference_columns, changes = difference_rows(
        differences, recommended=recommended, titles={row["name"]: row.get("title") or "" for row in rows}
    )
    pairs, lines = class_pairs(before, after)
    classes = accuracy_plot(pairs, name=f"{name}-classes")
    plots[f"{name}-classes.svg"] = classes
    label = f"Accuracy of each class on the {name} split; the table below has the figures"
    edited = None if after is None else method_title(after["name"], after.get("title"))
    return SplitView(
        name=name,
        title=split_title(name, found.get("count")),
        meaning=SPLIT_MEANINGS.get(name, ""),
        edited=edited,
        tiles=tuple(key_figures(before, after, differences)),
        forests=tuple(_forests(name, rows, recommended, plots)) if len(rows) > 1 else (),
        columns=tuple(columns),
        methods=tuple(methods),
        difference_columns=tuple(difference_columns),
        differences=tuple(changes),
        classes_plot=PlotView("Accuracy of each class", "", inline_svg(classes, name=f"{name}-classes", label=label)),
        classes=tuple(lines),
        classes_left_out=max(0, len(lines) - MOST_CLASSES),
    )


def _forests(split: str, rows: Sequence[Mapping[str, Any]], recommended: str | None, plots: Plots) -> list[PlotView]:
    views = []
    for metric in PLOT_METRICS:
        dots = forest_dots(rows, metric, recommended=recommended)
        if not dots:
            continue
        name = f"{split}-{metric.replace('_', '-')}"
        svg = forest_plot(dots, name=name, percent=metric in PERCENT_METRICS)
        plots[f"{name}.svg"] = svg
        label = f"{METRIC_TITLES[metric]} on the {split} split: " + "; ".join(_spoken(metric, dot) for dot in dots)
        views.append(PlotView(METRIC_TITLES[metric], METRIC_MEANINGS[metric], inline_svg(svg, name=name, label=label)))
    return views


def _spoken(metric: str, dot: Dot) -> str:
    spread = interval(metric, {"low": dot.low, "high": dot.high})
    text = f"{dot.label}{' (recommended)' if dot.recommended else ''} {metric_value(metric, dot.value)}"
    return f"{text}, {spread}" if spread else text


def _scalar(value: Any) -> float | None:
    if isinstance(value, Mapping):
        value = value.get("value", value.get("accuracy"))
    return None if value is None else float(value)
