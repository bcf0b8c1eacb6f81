"""A few neurons of a review side by side."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from neuroinspect.web.answer import answer_panel
from neuroinspect.web.inputs import ReviewId
from neuroinspect.web.neurons.comparison import MOST, asked_neurons, compare
from neuroinspect.web.neurons.picture_views import neuron_pictures
from neuroinspect.web.neurons.review_view import review_view
from neuroinspect.web.site import Parts

router = APIRouter(include_in_schema=False)
_REAL = 6


@router.get("/reviews/{review}/compare")
def compare_page(
    request: Request,
    review: ReviewId,
    parts: Parts,
    neurons: Annotated[str, Query(max_length=400)] = "",
) -> Response:
    """Neurons side by side, as the address names them."""
    opened, judgements = parts.desk.open(review), parts.book.judgements(review)
    view = review_view(opened, judgements)
    found = compare(asked_neurons(neurons), view.cards, view.findings)
    pictures = {
        card.neuron: neuron_pictures(review, card.neuron, view.findings, class_name=view.line.class_name, most=_REAL)
        for card in found.cards
    }
    return parts.pages.page(
        request,
        "compare.html",
        view=view,
        answer=answer_panel(parts, opened),
        comparison=found,
        pictures=pictures,
        most=MOST,
    )
