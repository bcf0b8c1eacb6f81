"""From a matplotlib figure to SVG text: the same bytes each time, and colours that follow the page's theme."""

import io
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

# Mid-grays and mid-tones: a plot opened as a file is readable on white and on black. In the page each becomes a CSS variable.
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
# Class names are text: `$` in one must not start a formula, and letters stay letters that can be read aloud and searched.
STYLE: Final[Mapping[str, Any]] = {
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


def to_svg(figure: Figure, *, name: str) -> str:
    """The figure as SVG text with a transparent background, without date, version or host.

    Args:
        figure: drawn under STYLE.
        name: salt of the identifiers, so that two plots of one page never share one.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": f"neuroinspect-{name}"}), warnings.catch_warnings():
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
    opening = f'<svg role="img" aria-label="{escape(label)}" '
    return Markup(body.replace("<svg ", opening, 1).strip())  # noqa: S704 - matplotlib has escaped every text in it
