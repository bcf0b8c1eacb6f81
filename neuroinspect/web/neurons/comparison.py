"""A few neurons side by side: their figures on one scale, how their activations go together, and the mistakes they share."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from neuroinspect.artifacts import RunFolder, read_array
from neuroinspect.errors import NeuroInspectError
from neuroinspect.report.neuron_facts import known_value
from neuroinspect.report.words import NEURON_FIGURES, NOTHING, number, percent
from neuroinspect.web.neurons.cards import Card
from neuroinspect.web.neurons.findings import Findings

MOST: Final = 8
_FIGURES: Final[Mapping[str, str]] = {
    "Vote share": "vote_share",
    "Weight": "weight",
    "Probability ratio": "probability_ratio",
    "Activation gap": "activation_gap",
    "Core relevance": "core_relevance",
    "Activation reached": "activation",
    "Text likeness": "guide_similarity",
}
_SHADES: Final = 5
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FigureCell:
    """One figure of one neuron; start and width of its bar in percent, from where zero stands on the row's scale."""

    shown: str
    start: float
    width: float
    is_extreme: str


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of all neurons; `zero` is where zero stands, in percent."""

    title: str
    meaning: str
    zero: float
    cells: tuple[FigureCell | None, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """How two neurons go together.

    Attributes:
        correlation: of their activations on the select split, written out; shade from 0 (none) to 5.
        shared: mistakes that voted for both; of: those that voted for the first.
    """

    correlation: str
    shade: int
    shared: int
    of: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Neurons side by side.

    Attributes:
        cards: of the neurons, in the order they were asked for.
        left_out: what was asked for and is no candidate, or too many.
        rows: figures that are known of one of them at least.
        pairs: for each neuron, how it goes with every other; None with itself.
    """

    cards: tuple[Card, ...]
    left_out: tuple[str, ...]
    rows: tuple[FigureRow, ...]
    pairs: tuple[tuple[Pair | None, ...], ...]


def asked_neurons(text: str) -> list[str]:
    """What an address names, each once: `3,17,3` gives 3 and 17."""
    return list(dict.fromkeys(part for part in text.replace(",", " ").split() if part))


def compare(names: Sequence[str], cards: Sequence[Card], findings: Findings) -> Comparison:
    """Put neurons side by side.

    Args:
        names: neurons as the address names them.
        cards: all candidates.
        findings: the tables of their run.
    """
    known = {str(card.neuron): card for card in cards}
    chosen = [known[name] for name in names if name in known][:MOST]
    left_out = [name[:20] for name in names if name not in known or known[name] not in chosen]
    neurons = tuple(card.neuron for card in chosen)
    return Comparison(
        cards=tuple(chosen),
        left_out=tuple(left_out[:MOST]),
        rows=tuple(row for title in _FIGURES if (row := _row(title, chosen, findings)) is not None),
        pairs=_pairs(neurons, findings),
    )


def _row(title: str, cards: Sequence[Card], findings: Findings) -> FigureRow | None:
    key = _FIGURES[title]
    values = [
        card.vote_share if key == "vote_share" else known_value(findings.neurons.get(card.neuron, {}), key)
        for card in cards
    ]
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    low, high = min(0.0, *known), max(0.0, *known)
    span = (high - low) or 1.0
    extremes = {max(known): "highest", min(known): "lowest"} if max(known) > min(known) else {}

    def cell(value: float | None) -> FigureCell | None:
        if value is None or not math.isfinite(value):
            return None
        shown = percent(value, digits=0) if key == "vote_share" else number(value)
        start = round(100 * (min(value, 0.0) - low) / span, 2)
        return FigureCell(shown, start, round(100 * abs(value) / span, 2), extremes.get(value, ""))

    return FigureRow(title, NEURON_FIGURES[title], round(-100 * low / span, 2), tuple(cell(value) for value in values))


def _pairs(neurons: tuple[int, ...], findings: Findings) -> tuple[tuple[Pair | None, ...], ...]:
    correlations = _correlations(neurons, findings)
    votes = {neuron: {place for place, _ in findings.voters.get(neuron, ())} for neuron in neurons}
    return tuple(
        tuple(
            None
            if first == second
            else _pair(correlations.get((first, second)), len(votes[first] & votes[second]), len(votes[first]))
            for second in neurons
        )
        for first in neurons
    )


def _pair(correlation: float | None, shared: int, of: int) -> Pair:
    if correlation is None:
        return Pair(NOTHING, 0, shared, of)
    return Pair(number(correlation, digits=2), round(_SHADES * min(abs(correlation), 1.0)), shared, of)


def _correlations(neurons: tuple[int, ...], findings: Findings) -> Mapping[tuple[int, int], float]:
    if findings.root is None or len(neurons) < 2:
        return {}
    path = RunFolder(findings.root).stage("extract") / "features.select.npy"
    try:
        return _correlated(path, path.stat().st_mtime_ns, neurons)
    except (NeuroInspectError, OSError, IndexError, ValueError) as error:
        log.warning("the page cannot compare activations: %s", error)
        return {}


@lru_cache(maxsize=256)
def _correlated(path: Path, stamp: int, neurons: tuple[int, ...]) -> dict[tuple[int, int], float]:  # noqa: ARG001 (of the cache)
    columns = np.asarray(read_array(path)[:, list(neurons)], dtype=np.float64)
    columns = columns - columns.mean(axis=0)
    sizes = np.linalg.norm(columns, axis=0)
    found = {}
    for first, one in enumerate(neurons):
        for second, other in enumerate(neurons):
            size = sizes[first] * sizes[second]
            if one != other and size > 0:
                found[one, other] = float(columns[:, first] @ columns[:, second] / size)
    return found
