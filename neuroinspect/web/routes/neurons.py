"""The neurons of one review: the grid over all of them, and each one in full."""

from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response

from neuroinspect.web.answer import answer_panel
from neuroinspect.web.inputs import NeuronNumber, ReviewId
from neuroinspect.web.links import neuron_link, review_link
from neuroinspect.web.neurons.family import family_of
from neuroinspect.web.neurons.figures import LEGEND, explained
from neuroinspect.web.neurons.filters import DIRECTIONS, SORTS, VERDICTS, read_filter
from neuroinspect.web.neurons.picture_views import mistakes_of_neuron, neuron_pictures
from neuroinspect.web.neurons.review_view import review_view
from neuroinspect.web.neurons.walk import listed, walk
from neuroinspect.web.paging import paged
from neuroinspect.web.site import Parts

PAGE_SIZE: Final = 24
_REAL_IN_GRID: Final = 4
_MISTAKES_AT_ONCE: Final = 12
router = APIRouter(include_in_schema=False)


@router.get("/reviews/{review}")
def grid(request: Request, review: ReviewId, parts: Parts) -> Response:
    """All neurons of a review that the filter in the address lets through."""
    opened, judgements = parts.desk.open(review), parts.book.judgements(review)
    view, chosen = review_view(opened, judgements), read_filter(request.query_params)
    page = paged(listed(view.cards, chosen), number=chosen.page, size=PAGE_SIZE)
    pictures = {
        card.neuron: neuron_pictures(
            review, card.neuron, view.findings, class_name=view.line.class_name, most=_REAL_IN_GRID
        )
        for card in page.entries
    }
    return parts.pages.page(
        request,
        "grid.html",
        view=view,
        answer=answer_panel(parts, opened),
        chosen=chosen,
        page=page,
        pictures=pictures,
        choices={"direction": DIRECTIONS, "verdict": VERDICTS, "sort": SORTS},
        legend=LEGEND,
        grid_link=lambda **changes: review_link(review, chosen.query(**changes)),
        focus_link=lambda neuron: neuron_link(review, neuron, chosen.query()),
    )


@router.get("/reviews/{review}/neurons/{neuron}")
def focus(request: Request, review: ReviewId, neuron: NeuronNumber, parts: Parts) -> Response:
    """One neuron in full; the filter in the address is that of the list it is walked in."""
    opened, judgements = parts.desk.open(review), parts.book.judgements(review)
    view, chosen = review_view(opened, judgements), read_filter(request.query_params)
    card = view.card(neuron)
    if card is None:
        raise HTTPException(404, "there is no such candidate")
    family = family_of(
        view.findings,
        neuron,
        candidates=[one.neuron for one in view.cards],
        asked=request.query_params.get("family") == "1",
    )
    mistakes = mistakes_of_neuron(review, neuron, view.findings, opened.params)
    steps = walk(view.cards, chosen, neuron)
    return parts.pages.page(
        request,
        "focus.html",
        view=view,
        answer=answer_panel(parts, opened),
        chosen=chosen,
        card=card,
        facts=explained(card),
        pictures=neuron_pictures(review, neuron, view.findings, class_name=view.line.class_name),
        mistakes=mistakes[:_MISTAKES_AT_ONCE],
        more_mistakes=mistakes[_MISTAKES_AT_ONCE:],
        family=family,
        walk=steps,
        walk_page=1 if steps.place is None else 1 + (steps.place - 1) // PAGE_SIZE,
        vote_share=LEGEND[0],
        grid_link=lambda **changes: review_link(review, chosen.query(**changes)),
        focus_link=lambda other: neuron_link(review, other, chosen.query()),
    )
