"""Verdicts on neurons, each kept at once."""

from fastapi import APIRouter

from neuroinspect.review import NeuronJudgement, judge
from neuroinspect.web.inputs import NeuronNumber, ReviewId
from neuroinspect.web.neurons.review_view import progress_of
from neuroinspect.web.records import VerdictAnswer, VerdictBody, progress_record, verdict_record
from neuroinspect.web.safety.guard import RequiredReviewer
from neuroinspect.web.site import Parts, Site

router = APIRouter(prefix="/api/reviews/{review}")


@router.put("/verdicts/{neuron}")
def put_verdict(
    review: ReviewId,
    neuron: NeuronNumber,
    said: VerdictBody,
    reviewer: RequiredReviewer,
    parts: Parts,
) -> VerdictAnswer:
    """Say what a neuron is; the review must wait for its decision."""
    request = parts.desk.stored(review).request
    judgement = judge(request, neuron=neuron, verdict=said.verdict, by=reviewer, note=said.note)
    return _answer(parts, review, parts.book.judge(review, judgement))


@router.post("/undo")
def undo(review: ReviewId, reviewer: RequiredReviewer, parts: Parts) -> VerdictAnswer:
    """Take back the reviewer's last change; the judgement is null where there is nothing to undo."""
    parts.desk.stored(review)
    return _answer(parts, review, parts.book.undo(review, by=reviewer))


def _answer(parts: Site, review: str, standing: NeuronJudgement | None) -> VerdictAnswer:
    candidates = len(parts.desk.stored(review).request.candidates)
    progress = progress_of(candidates, parts.book.judgements(review))
    return VerdictAnswer(judgement=verdict_record(standing), progress=progress_record(progress))
