"""What the JSON addresses of reviews and neurons take and give."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from neuroinspect.review import Direction, NeuronJudgement, NeuronVerdict, StoredReview
from neuroinspect.review.wording import LONGEST_NOTE
from neuroinspect.web.neurons.cards import Card
from neuroinspect.web.neurons.picture_views import NeuronPictures, Photo
from neuroinspect.web.neurons.review_view import Progress, ReviewView


class WebRecord(BaseModel):
    """A JSON body or answer: frozen, and without fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProgressRecord(WebRecord):
    """How far a review is judged; `selection` are the neurons called spurious, what an edit would be about."""

    judged: int
    candidates: int
    spurious: int
    core: int
    unclear: int
    selection: list[int]


class ReviewRecord(WebRecord):
    """One review, without its neurons."""

    id: str
    class_name: str
    class_index: int
    status: Literal["pending", "expired", "approved", "rejected"]
    model: str
    data_version: str
    candidates: int
    judged: int
    opened_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    neurons: list[int]
    strength: float | None
    note: str
    unverified: bool


class ReviewRecords(WebRecord):
    """All reviews: those that wait, the longest first, and those that are closed, the latest first."""

    pending: list[ReviewRecord]
    closed: list[ReviewRecord]


class VerdictBody(WebRecord):
    """What is said of a neuron; a verdict of null takes back what was said."""

    verdict: NeuronVerdict | None
    note: str = Field(default="", max_length=LONGEST_NOTE)


class VerdictRecord(WebRecord):
    """What stands of a neuron."""

    neuron: int
    verdict: NeuronVerdict | None
    note: str
    by: str
    at: datetime | None


class VerdictAnswer(WebRecord):
    """What stands of a neuron after a change, and how far the review is judged; null where there was nothing to undo."""

    judgement: VerdictRecord | None
    progress: ProgressRecord


class NeuronRecord(WebRecord):
    """One candidate: figures that are not known are null."""

    neuron: int
    direction: Direction
    vote_share: float
    word: str | None
    has_illusion: bool
    figures: dict[str, float | None]
    suggested: bool
    gain_alone: float | None
    judgement: VerdictRecord | None


class PhotoRecord(WebRecord):
    """A real picture; its address is null where the file cannot be read."""

    src: str | None
    label: str
    prediction: str


class NeuronDetail(NeuronRecord):
    """One candidate in full: addresses of its pictures, and the mistakes that voted for it."""

    href: str
    illusion: str | None
    mask: str | None
    feature_visualization: str | None
    real: list[PhotoRecord]
    mistakes: list[PhotoRecord]


class ReviewDetail(ReviewRecord):
    """One review; `asked` are its neurons, the most voted first."""

    progress: ProgressRecord
    notices: list[str]
    asked: list[NeuronRecord]


def progress_record(progress: Progress) -> ProgressRecord:
    """How far a review is judged."""
    return ProgressRecord(
        judged=progress.judged,
        candidates=progress.candidates,
        selection=list(progress.selection),
        spurious=progress.counts["spurious"],
        core=progress.counts["core"],
        unclear=progress.counts["unclear"],
    )


def review_record(review: StoredReview) -> ReviewRecord:
    """One review, without its neurons."""
    request, decision = review.request, review.decision
    return ReviewRecord(
        id=request.id,
        class_name=request.class_name,
        class_index=request.class_index,
        status=review.status,
        model=request.model,
        data_version=request.data_version,
        candidates=len(request.candidates),
        judged=review.judged,
        opened_at=review.opened_at,
        expires_at=review.expires_at,
        decided_at=review.decided_at,
        decided_by=None if decision is None else decision.by,
        neurons=[] if decision is None else list(decision.chosen),
        strength=None if decision is None else decision.strength,
        note="" if decision is None else decision.note,
        unverified=decision is not None and decision.unverified,
    )


def verdict_record(judgement: NeuronJudgement | None) -> VerdictRecord | None:
    """What stands of a neuron; None where nothing does."""
    return None if judgement is None else VerdictRecord(**judgement.model_dump())


def neuron_record(card: Card, judgement: NeuronJudgement | None) -> NeuronRecord:
    """One candidate."""
    return NeuronRecord(
        neuron=card.neuron,
        direction=card.direction,
        vote_share=card.vote_share,
        word=card.word or None,
        has_illusion=card.is_drawn,
        figures=dict(card.figures),
        suggested=card.is_suggested,
        gain_alone=card.gain,
        judgement=verdict_record(judgement),
    )


def neuron_detail(
    card: Card, judgement: NeuronJudgement | None, *, href: str, pictures: NeuronPictures, mistakes: tuple[Photo, ...]
) -> NeuronDetail:
    """One candidate in full."""
    made = {"illusion": pictures.illusion, "mask": pictures.mask, "feature_visualization": pictures.alone}
    return NeuronDetail(
        **neuron_record(card, judgement).model_dump(),
        href=href,
        **{name: (picture.src or None) if picture else None for name, picture in made.items()},
        real=[_photo(photo) for photo in pictures.real],
        mistakes=[_photo(photo) for photo in mistakes],
    )


def review_detail(view: ReviewView, review: StoredReview, judgements: dict[int, NeuronJudgement]) -> ReviewDetail:
    """One review with its neurons."""
    return ReviewDetail(
        **review_record(review).model_dump(),
        progress=progress_record(view.progress),
        notices=list(view.notices),
        asked=[neuron_record(card, judgements.get(card.neuron)) for card in view.cards],
    )


def _photo(photo: Photo) -> PhotoRecord:
    return PhotoRecord(src=photo.picture.src or None, label=photo.label, prediction=photo.prediction)
