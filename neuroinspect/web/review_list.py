"""The lists of reviews: those that wait for a decision, and those that are closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from neuroinspect.review import StoredReview
from neuroinspect.web.links import review_link
from neuroinspect.web.paging import Paged, paged
from neuroinspect.web.times import Moment, moment_of

Which = Literal["pending", "closed"]
PAGE_SIZE: Final = 20
STATUS_WORDS: Final = {
    "pending": "Waits for a decision",
    "expired": "Expired undecided",
    "approved": "Approved",
    "rejected": "Rejected",
}


@dataclass(frozen=True, slots=True)
class ReviewLine:
    """One review as a list or the head of a page shows it.

    Attributes:
        short: beginning of the id.
        status_words: what became of it.
        model: where the classifier comes from; "" where that is not known.
        fingerprint: beginning of the classifier's fingerprint.
        run: name of the run folder that asked last.
        by: who decided; "" while nobody has.
        answer: what was decided, in words; "" while nothing was.
        unverified: no person looked at it.
    """

    id: str
    short: str
    href: str
    class_name: str
    status: str
    status_words: str
    model: str
    fingerprint: str
    run: str
    candidates: int
    judged: int
    opened: Moment
    expires: Moment | None
    decided: Moment | None
    by: str
    answer: str
    note: str
    unverified: bool

    @property
    def read_only(self) -> bool:
        """Whether it can no longer be answered."""
        return self.status != "pending"


@dataclass(frozen=True, slots=True)
class ReviewLists:
    """What the page of all reviews shows.

    Attributes:
        which: the list that is open.
        counts: how many each list holds, whatever the filter says.
        classes: names of the classes in the open list.
        chosen_class: "" for all.
        page: of the open list, filtered.
    """

    which: Which
    counts: dict[str, int]
    classes: tuple[str, ...]
    chosen_class: str
    page: Paged[ReviewLine]


def review_lists(
    pending: Sequence[StoredReview],
    closed: Sequence[StoredReview],
    *,
    which: Which,
    class_name: str = "",
    number: int = 1,
    now: datetime | None = None,
) -> ReviewLists:
    """What the page of all reviews shows.

    Args:
        pending: the reviews that wait.
        closed: the others.
        which: of the two.
        class_name: only reviews about this class; "": all.
        number: of the page, from 1.
        now: what times are seen from; None: the clock.
    """
    listed = closed if which == "closed" else pending
    shown = [review for review in listed if class_name in ("", review.request.class_name)]
    page = paged(shown, number=number, size=PAGE_SIZE)
    return ReviewLists(
        which=which,
        counts={"pending": len(pending), "closed": len(closed)},
        classes=tuple(sorted({review.request.class_name for review in listed})),
        chosen_class=class_name,
        page=Paged(
            tuple(review_line(review, now=now) for review in page.entries),
            page.number,
            page.pages,
            page.total,
            page.first,
        ),
    )


def review_line(review: StoredReview, *, now: datetime | None = None) -> ReviewLine:
    """What is known of a review without its run folder."""
    request, decision = review.request, review.decision
    params = review.run.params or {}
    model = params.get("model")
    return ReviewLine(
        id=request.id,
        short=request.id[:12],
        href=review_link(request.id),
        class_name=request.class_name,
        status=review.status,
        status_words=STATUS_WORDS[review.status],
        model=str(model.get("spec", "")) if isinstance(model, dict) else "",
        fingerprint=request.model[:12],
        run=review.run.root.name,
        candidates=len(request.candidates),
        judged=review.judged,
        opened=moment_of(review.opened_at, now=now),
        expires=moment_of(review.expires_at, now=now),
        decided=moment_of(review.decided_at, now=now),
        by="" if decision is None else decision.by,
        answer=_answer(review),
        note="" if decision is None else decision.note,
        unverified=decision is not None and decision.unverified,
    )


def _answer(review: StoredReview) -> str:
    decision = review.decision
    if decision is None:
        return ""
    if decision.verdict == "rejected":
        return "nothing is edited"
    neurons = decision.chosen
    listed = ", ".join(map(str, neurons[:8])) + (" …" if len(neurons) > 8 else "")
    strength = "" if decision.strength == 1 else f", strength {decision.strength:g}"
    return f"{'neuron' if len(neurons) == 1 else 'neurons'} {listed}{strength}"
