"""Where a neuron stands in the filtered list, and which come before and after it."""

from collections.abc import Sequence
from dataclasses import dataclass

from neuroinspect.web.neurons.cards import Card
from neuroinspect.web.neurons.filters import ListFilter, fits, ordered


@dataclass(frozen=True, slots=True)
class Walk:
    """The neighbours of a neuron in a list.

    Attributes:
        place: of the neuron in the list, from 1; None where the filter leaves it out.
        total: neurons in the list.
        before: the neuron before it; None at the start.
        after: the neuron after it; None at the end.
        waiting: the next one after it without a verdict, going round; None where all are judged.
    """

    place: int | None
    total: int
    before: int | None
    after: int | None
    waiting: int | None


def listed(cards: Sequence[Card], chosen: ListFilter) -> list[Card]:
    """The neurons of the filtered list in its order."""
    return [card for card in ordered(cards, chosen.sort) if fits(card, chosen)]


def walk(cards: Sequence[Card], chosen: ListFilter, neuron: int) -> Walk:
    """Neighbours of a neuron, also of one that the filter leaves out: a verdict may just have moved it out of the list.

    Args:
        cards: all candidates; the neuron is one of them.
        chosen: the filter.
        neuron: where the reader is.
    """
    order = ordered(cards, chosen.sort)
    here = next(place for place, card in enumerate(order) if card.neuron == neuron)
    kept = [place for place, card in enumerate(order) if fits(card, chosen)]
    earlier, later = [place for place in kept if place < here], [place for place in kept if place > here]
    waiting = [place for place in (*later, *earlier) if not order[place].verdict]
    return Walk(
        place=kept.index(here) + 1 if here in kept else None,
        total=len(kept),
        before=order[earlier[-1]].neuron if earlier else None,
        after=order[later[0]].neuron if later else None,
        waiting=order[waiting[0]].neuron if waiting else None,
    )
