"""Where the marks of a small plot stand, in percent of its width, so that a template can draw it without a style of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from neuroinspect.web.outcome.figures import Figure, FigureLine

_MARGIN: Final = 0.08
_LEAST: Final = 0.01  # accuracies and AUROCs closer than this are not drawn as if they were far apart


@dataclass(frozen=True, slots=True)
class Mark:
    """One layer on the plot, each in percent of the width; low and high are None where there is no interval."""

    at: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class StripRow:
    """One layer of a metric.

    Attributes:
        role: original, edit, retrain or placebo.
        change: against the original; "" where it is not known.
    """

    role: str
    title: str
    figure: Figure
    mark: Mark | None
    change: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """One metric: its rows on one scale, and where the original stands on it."""

    line: FigureLine
    rows: tuple[StripRow, ...]
    original: float | None


def strips(lines: list[FigureLine], *, edited: str) -> list[Strip]:
    """A plot for each metric.

    Args:
        lines: of the outcome.
        edited: title of the edit.
    """
    return [_strip(line, edited) for line in lines]


def _strip(line: FigureLine, edited: str) -> Strip:
    named = (
        ("original", "Before", line.original),
        ("edit", edited, line.edit),
        ("retrain", "Retrain-only", line.retrain),
        ("placebo", "Placebo", line.placebo),
    )
    known = [(role, title, figure) for role, title, figure in named if figure is not None]
    scale = _scale([figure for _, _, figure in known])
    marks = {role: _mark(figure, scale) for role, _, figure in known}
    rows = tuple(
        StripRow(role, title, figure, marks[role], _told(line) if role == "edit" else "")
        for role, title, figure in known
    )
    original = marks["original"]
    return Strip(line, rows, None if original is None else original.at)


def _told(line: FigureLine) -> str:
    return f"{line.change} ({line.change_interval})" if line.change_interval else line.change


def _scale(figures: list[Figure]) -> Mapping[str, float]:
    ends = [end for one in figures for end in (one.value, one.low, one.high) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    span = max(high - low, _LEAST)
    middle = (low + high) / 2
    return {"low": middle - span * (0.5 + _MARGIN), "span": span * (1 + 2 * _MARGIN)}


def _mark(figure: Figure, scale: Mapping[str, float]) -> Mark | None:
    def place(value: float) -> float:
        return round(100 * (value - scale["low"]) / scale["span"], 2)

    if figure.value is None:
        return None
    low = None if figure.low is None else place(figure.low)
    return Mark(place(figure.value), low, None if figure.high is None else place(figure.high))
