"""The page's plots, as SVG text: mistakes by predicted class, methods beside their controls, accuracy of each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from neuroinspect.report.svg import CONTROL, EDIT, GRID, INK, RANGE, styled, to_svg
from neuroinspect.report.words import shortened

Role = Literal["original", "control", "placebo", "edit"]

_WIDTH: Final = 460.0  # points; the page shows a plot about as wide on a phone and a little wider on a desk
_ROW: Final = 23.0
_TOP: Final = 6.0
_BOTTOM: Final = 24.0


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a forest plot: a value between two ends, and what it stands for."""

    label: str
    value: float
    low: float | None
    high: float | None
    role: Role
    recommended: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """One class before and after: (value, low, high) in 0..1; None where there is no edit."""

    label: str
    before: tuple[float, float, float]
    after: tuple[float, float, float] | None


def forest_plot(dots: Sequence[Dot], *, name: str, percent: bool) -> str:
    """Dots with intervals, one row each, the first at the top.

    Args:
        dots: at least one; a vertical line marks the value of the first with the role `original`.
        name: salt of the identifiers.
        percent: values are parts of one and written in percent.
    """
    with styled(name):
        figure, axes = _canvas(len(dots), left=136.0, right=58.0)
        start = next((dot.value for dot in dots if dot.role == "original"), None)
        if start is not None:
            axes.axvline(start, color=INK, linewidth=1.0, linestyle=(0, (2, 3)), alpha=0.7, zorder=1)
        for row, dot in enumerate(dots):
            _draw_dot(axes, row, dot)
            text = f"{100 * dot.value:.1f} %" if percent else f"{dot.value:.3f}"
            _beside(axes, row, text, bold=dot.recommended)
            _name(
                axes, row, shortened(dot.label, 22), bold=dot.recommended, indent=12.0 if dot.role == "placebo" else 0.0
            )
        _limits(axes, [end for dot in dots for end in (dot.low, dot.value, dot.high) if end is not None])
        _finish(axes, percent=percent)
        return to_svg(figure)


def mistakes_plot(counts: Sequence[tuple[str, int]], *, name: str) -> str:
    """A bar for each predicted class.

    Args:
        counts: (class the mistakes were called, how many), largest first.
        name: salt of the identifiers.
    """
    with styled(name):
        figure, axes = _canvas(len(counts), left=100.0, right=30.0, bottom=6.0, width=350.0)
        largest = max(count for _, count in counts)
        for row, (label, count) in enumerate(counts):
            axes.barh(row, count, height=0.56, color=EDIT, zorder=2)
            axes.annotate(
                str(count), (count, row), xytext=(6, 0), textcoords="offset points", va="center", annotation_clip=False
            )
            _name(axes, row, shortened(label, 16))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlim(0, largest)
        return to_svg(figure)


def accuracy_plot(pairs: Sequence[Pair], *, name: str) -> str:
    """Accuracy of each class before (hollow) and after (filled) with intervals.

    Args:
        pairs: at least one, the first at the top.
        name: salt of the identifiers.
    """
    with styled(name):
        figure, axes = _canvas(len(pairs), left=136.0, right=58.0, row=30.0)
        for row, pair in enumerate(pairs):
            lift = 0.0 if pair.after is None else 0.17
            value, low, high = pair.before
            axes.plot([low, high], [row - lift] * 2, color=CONTROL, linewidth=1.6, zorder=2)
            axes.plot([value], [row - lift], "o", color=CONTROL, markersize=6, zorder=3)
            if pair.after is not None:
                value, low, high = pair.after
                axes.plot([low, high], [row + lift] * 2, color=EDIT, linewidth=2.0, zorder=2)
                axes.plot([value], [row + lift], "D", color=EDIT, markersize=6, zorder=3)
            _beside(axes, row, f"{100 * value:.1f} %", bold=False)
            _name(axes, row, shortened(pair.label, 20))
        triples = [pair.before for pair in pairs] + [pair.after for pair in pairs if pair.after is not None]
        _limits(axes, [end for triple in triples for end in triple])
        _finish(axes, percent=True)
        return to_svg(figure)


def _canvas(
    rows: int, *, left: float, right: float, row: float = _ROW, bottom: float = _BOTTOM, width: float = _WIDTH
) -> tuple[Figure, Axes]:
    height = _TOP + bottom + row * rows
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((left / width, bottom / height, (width - left - right) / width, row * rows / height))
    axes.set_ylim(rows - 0.5, -0.5)
    return figure, axes


def _draw_dot(axes: Axes, row: int, dot: Dot) -> None:
    if dot.role == "placebo":
        if dot.low is not None and dot.high is not None:
            axes.plot(
                [dot.low, dot.high], [row, row], color=RANGE, linewidth=8, alpha=0.45, solid_capstyle="butt", zorder=2
            )
        axes.plot([dot.value], [row], "|", color=RANGE, markersize=11, markeredgewidth=2.2, zorder=3)
        return
    colour = EDIT if dot.role == "edit" else CONTROL
    if dot.low is not None and dot.high is not None:
        axes.plot([dot.low, dot.high], [row, row], color=colour, linewidth=2.6 if dot.recommended else 1.6, zorder=2)
    marker = "D" if dot.recommended else {"original": "o", "control": "s", "edit": "o"}[dot.role]
    axes.plot([dot.value], [row], marker, color=colour, markersize=8 if dot.recommended else 6, zorder=3)


def _name(axes: Axes, row: int, text: str, *, bold: bool = False, indent: float = 0.0) -> None:
    _, _, width, _ = axes.figure.bbox.bounds
    left = axes.get_position().x0 * width * 72 / axes.figure.dpi
    axes.annotate(
        text,
        (0, row),
        xycoords=("axes fraction", "data"),
        xytext=(indent - left, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold" if bold else "normal",
        annotation_clip=False,
    )


def _beside(axes: Axes, row: int, text: str, *, bold: bool) -> None:
    axes.annotate(
        text,
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(54, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontweight="bold" if bold else "normal",
        annotation_clip=False,
    )


def _limits(axes: Axes, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    room = max(0.06 * (high - low), 0.005)
    axes.set_xlim(low - room, high + room)


def _finish(axes: Axes, *, percent: bool) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f} %" if percent else f"{x:.2f}"))
    axes.grid(visible=True, axis="x", color=GRID, linewidth=0.7, alpha=0.45, zorder=0)
    axes.set_axisbelow(True)
    axes.set_yticks([])
    axes.tick_params(axis="x", pad=5)
