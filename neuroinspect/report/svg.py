"""From a matplotlib figure to SVG text: the same bytes each time, and colours that follow the page's theme."""

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

# Mid-tones: a plot opened as a file is readable on white and on black. In the page each is a CSS variable.
INK: Final = "#75757f"
EDIT: Final = "#5874e0"
CONTROL: Final = "#8b8b95"
GRID: Final = "#a9a9b2"
RANGE: Final = "#c98a2b"
_VARIABLES: Final[Mapping[str, str]] = {
    INK: "var(--plot-ink)",
    EDIT: "var(--accent)",
    CONTROL: "var(--plot-control)",
    GRID: "var(--plot-grid)",
    RANGE: "var(--plot-range)",
}
# Class names are text: `$` in one must not start a formula, and letters stay letters that can be searched for.
_STYLE: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 11.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "axes.linewidth": 0.0,
    "axes.unicode_minus": True,
}


def styled(name: str) -> AbstractContextManager[None]:
    """The style every plot is drawn and written under.

    Args:
        name: salt of the identifiers, so that two plots of one page never share one.
    """
    settings: Any = {**_STYLE, "svg.hashsalt": f"neuroinspect-{name}"}
    return matplotlib.rc_context(settings)


def to_svg(figure: Figure) -> str:
    """The figure, drawn under `styled`, as SVG text with a transparent background, without date, version or host."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The letters are drawn by the browser, so a script missing from matplotlib's own font is no loss.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def inline_svg(svg: str, *, name: str, label: str) -> Markup:
    """The same picture for the page: no XML prologue, own identifiers, theme colours, one label for a screen reader.

    Args:
        svg: from `to_svg`.
        name: goes before every identifier.
        label: what the plot shows, in words.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r'(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1", body, count=1)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    # matplotlib has escaped every text in it, so it is safe to go into the page as it is.
    opening = f'<svg role="img" aria-label="{escape(label)}" '
    return Markup(body.replace("<svg ", opening, 1).strip())
