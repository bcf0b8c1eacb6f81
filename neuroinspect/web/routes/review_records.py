"""Reviews and their neurons as JSON."""

from fastapi import APIRouter, HTTPException

from neuroinspect.web.inputs import NeuronNumber, ReviewId
from neuroinspect.web.links import neuron_link
from neuroinspect.web.neurons.picture_views import mistakes_of_neuron, neuron_pictures
from neuroinspect.web.neurons.review_view import review_view
from neuroinspect.web.records import (
    NeuronDetail,
    ReviewDetail,
    ReviewRecords,
    neuron_detail,
    review_detail,
    review_record,
)
from neuroinspect.web.site import Parts

router = APIRouter(prefix="/api/reviews")


@router.get("")
def list_reviews(parts: Parts) -> ReviewRecords:
    """All reviews."""
    return ReviewRecords(
        pending=[review_record(review) for review in parts.book.pending()],
        closed=[review_record(review) for review in parts.book.closed()],
    )


@router.get("/{review}")
def show_review(review: ReviewId, parts: Parts) -> ReviewDetail:
    """One review with its neurons."""
    opened, judgements = parts.desk.open(review), parts.book.judgements(review)
    return review_detail(review_view(opened, judgements), opened.stored, judgements)


@router.get("/{review}/neurons/{neuron}")
def show_neuron(review: ReviewId, neuron: NeuronNumber, parts: Parts) -> NeuronDetail:
    """One neuron in full."""
    opened, judgements = parts.desk.open(review), parts.book.judgements(review)
    view = review_view(opened, judgements)
    card = view.card(neuron)
    if card is None:
        raise HTTPException(404, "there is no such candidate")
    return neuron_detail(
        card,
        judgements.get(neuron),
        href=neuron_link(review, neuron),
        pictures=neuron_pictures(review, neuron, view.findings, class_name=view.line.class_name),
        mistakes=mistakes_of_neuron(review, neuron, view.findings, opened.params),
    )
