"""Which neurons of a review are listed, in which order: it stands in the address, so a list can be kept and shared."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from neuroinspect.web.neurons.cards import Card
from neuroinspect.web.paging import page_number

_LONGEST_WORD: Final = 200
_NONE_KNOWN: Final = float("inf")
DIRECTIONS: Final = {"": "all", "insufficient": "too weak", "excessive": "too strong"}
VERDICTS: Final = {
    "": "all",
    "open": "not judged",
    "spurious": "spurious",
    "core": "core",
    "unclear": "unclear",
}
SORTS: Final = {
    "": "most votes",
    "number": "neuron number",
    "word": "word",
    "ratio": "speaks most for the class",
    "core": "lowest core relevance",
    "gap": "largest activation gap",
    "gain": "best when tried alone",
}


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which neurons are listed, and where in the list a reader is.

    Attributes:
        direction: key of DIRECTIONS; a neuron in both lists is in each.
        verdict: key of VERDICTS.
        word: numbers or parts of words, any of which may fit; "": all.
        drawn: only neurons with an illusion.
        suggested: only neurons of the best set that was tried.
        sort: key of SORTS.
        page: from 1.
    """

    direction: str = ""
    verdict: str = ""
    word: str = ""
    drawn: bool = False
    suggested: bool = False
    sort: str = ""
    page: int = 1

    def query(self, **changes: Any) -> dict[str, Any]:
        """What stands in the address, with some of it changed; without the page unless that is given."""
        shown = replace(self, **changes)
        return {
            "direction": shown.direction,
            "verdict": shown.verdict,
            "word": shown.word,
            "drawn": "1" if shown.drawn else "",
            "suggested": "1" if shown.suggested else "",
            "sort": shown.sort,
            "page": changes["page"] if changes.get("page", 1) != 1 else "",
        }

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return any((self.direction, self.verdict, self.word, self.drawn, self.suggested))


def read_filter(query: Mapping[str, str]) -> ListFilter:
    """The filter an address asks for; what it does not know is left out."""
    return ListFilter(
        direction=_known(query.get("direction", ""), DIRECTIONS),
        verdict=_known(query.get("verdict", ""), VERDICTS),
        word=" ".join(query.get("word", "")[:_LONGEST_WORD].split()),
        drawn=query.get("drawn", "") == "1",
        suggested=query.get("suggested", "") == "1",
        sort=_known(query.get("sort", ""), SORTS),
        page=page_number(query.get("page", "")),
    )


def ordered(cards: Sequence[Card], sort: str) -> list[Card]:
    """All neurons in the order of a key of SORTS, equal ones as they came."""
    return sorted(cards, key=_KEYS[sort])


def fits(card: Card, chosen: ListFilter) -> bool:
    """Whether a neuron is in the filtered list."""
    return (
        chosen.direction in ("", card.direction if card.direction != "both" else chosen.direction)
        and _has_verdict(card, chosen.verdict)
        and _is_called(card, chosen.word)
        and (not chosen.drawn or card.is_drawn)
        and (not chosen.suggested or card.is_suggested)
    )


def _has_verdict(card: Card, verdict: str) -> bool:
    return verdict in ("", card.verdict or "open")


def _is_called(card: Card, word: str) -> bool:
    parts = [part for part in re.split(r"[\s,;]+", word.casefold()) if part]
    names = " ".join((card.word, card.second_word)).casefold()
    # A part that is a number means that neuron and no other.
    return not parts or any(str(card.neuron) == part if part.isdecimal() else part in names for part in parts)


def _known(text: str, words: Mapping[str, str]) -> str:
    return text if text in words else ""


def _falling(value: float | None) -> float:
    return _NONE_KNOWN if value is None else -value


_KEYS: Final[Mapping[str, Callable[[Card], Any]]] = {
    "": lambda card: -card.vote_share,
    "number": lambda card: card.neuron,
    "word": lambda card: (card.word == "", card.word.casefold()),
    "ratio": lambda card: _falling(card.figures.get("probability_ratio")),
    "core": lambda card: _NONE_KNOWN if (found := card.figures.get("core_relevance")) is None else found,
    "gap": lambda card: _falling(card.figures.get("activation_gap")),
    "gain": lambda card: _falling(card.gain),
}
