"""Each figure of a neuron with what it means and where it comes from, for someone who sees it for the first time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from neuroinspect.report.neuron_facts import Fact
from neuroinspect.report.words import NEURON_FIGURES
from neuroinspect.web.neurons.cards import Card

_SOURCES: Final[Mapping[str, str]] = {
    "Vote share": "Counted by the stage diagnose over the mistakes of the select split.",
    "Weight": "Read from the model's decision layer.",
    "Probability ratio": "Computed by the stage diagnose on the mistakes, without running the model again.",
    "Activation gap": "Measured by the stage diagnose on the select split.",
    "Core relevance": "Computed by the stage visualize from the illusion.",
    "Activation reached": "Measured by the stage visualize on the illusion and on the select split.",
    "Word": "From the text guide's view of the select split.",
    "Text likeness": "From the text guide's view of the illusion.",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """One figure: its name, what it means, and where it comes from."""

    title: str
    meaning: str
    source: str


LEGEND: Final = tuple(Meaning(title, NEURON_FIGURES[title], source) for title, source in _SOURCES.items())


def explained(card: Card) -> tuple[tuple[Fact, Meaning | None], ...]:
    """The figures of a neuron, each with its meaning."""
    meanings = {meaning.title: meaning for meaning in LEGEND}
    return tuple((fact, meanings.get(fact.title)) for fact in card.facts)
