"""Approving the edit of the selection, or rejecting the finding: by a form in two steps, or by one call."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from neuroinspect.errors import NeuroInspectError, ReviewError
from neuroinspect.review import Verdict
from neuroinspect.web.errors import status_of
from neuroinspect.web.inputs import ReviewId
from neuroinspect.web.safety.guard import RequiredReviewer
from neuroinspect.web.site import Parts
from neuroinspect.web.trail import decided

router = APIRouter()
_MOST_NEURONS = 10_000


class DecisionRequest(BaseModel):
    """An answer to a review.

    Attributes:
        neurons: those the reviewer saw as spurious; empty where rejected.
        strength: above 0, at most 1, the edit in full.
        note: why; a rejection needs it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verdict: Verdict
    neurons: tuple[int, ...] = Field(default=(), max_length=_MOST_NEURONS)
    strength: float = 1.0
    note: str = ""


class DecisionAnswer(BaseModel):
    """The decision that stands now, in words, and where to see what comes of it."""

    verdict: Verdict
    neurons: tuple[int, ...]
    strength: float
    by: str
    sentence: str
    outcome: str


class DecisionForm(BaseModel):
    """The same answer as a form sends it; "yes" in `confirmed` is the second step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    csrf: str = ""
    verdict: Verdict
    neurons: str = Field(default="", max_length=60_000)
    strength: str = Field(default="1", max_length=40)
    note: str = ""
    confirmed: Literal["", "yes"] = ""


@router.post("/api/reviews/{review}/decision")
def decide_by_call(
    review: ReviewId, asked: DecisionRequest, reviewer: RequiredReviewer, parts: Parts
) -> DecisionAnswer:
    """Approve the edit of the selection, or reject the finding."""
    decision = parts.desk.decide(
        review,
        verdict=asked.verdict,
        neurons=asked.neurons,
        strength=asked.strength,
        note=asked.note,
        by=reviewer,
    )
    parts.nudge()
    return DecisionAnswer(
        verdict=decision.verdict,
        neurons=decision.chosen,
        strength=decision.strength,
        by=decision.by,
        sentence=decided(decision),
        outcome=_outcome(review),
    )


@router.post(
    "/reviews/{review}/decision",
    response_class=HTMLResponse,
    responses={303: {"description": "decided; where to see what comes of it"}},
)
def decide_by_form(
    request: Request,
    review: ReviewId,
    form: Annotated[DecisionForm, Form()],
    reviewer: RequiredReviewer,
    parts: Parts,
) -> Response:
    """The first step shows what will happen, the second makes it happen; a refusal is shown beside what was asked."""
    opened = parts.desk.open(review)
    values: dict[str, Any] = {"review": opened.stored, "form": form, "reviewer_name": reviewer, "decision": None}
    try:
        answer = parts.desk.answer(
            opened,
            verdict=form.verdict,
            neurons=_read_neurons(form.neurons),
            strength=_read_strength(form) if form.verdict == "approved" else 1.0,
            note=form.note.replace("\r\n", "\n"),
            by=reviewer,
        )
        if form.confirmed:
            parts.desk.keep(opened, answer)
    except NeuroInspectError as error:
        status = status_of(error)
        return parts.pages.page(request, "decision.html", status=status, **values, problem=str(error), sentence="")
    if not form.confirmed:
        values |= {"decision": answer}
        return parts.pages.page(request, "decision.html", **values, problem="", sentence=decided(answer))
    parts.nudge()
    return RedirectResponse(_outcome(review), status_code=303)


def _outcome(review: str) -> str:
    return f"/reviews/{review}/outcome"


def _read_neurons(text: str) -> list[int]:
    named = text.replace(",", " ").split()
    if not all(name.isascii() and name.isdigit() and len(name) < 10 for name in named):
        raise ReviewError(f"expected the numbers of neurons with commas between them, got {text[:80]!r}")
    return [int(name) for name in named]


def _read_strength(form: DecisionForm) -> float:
    try:
        return float(form.strength)
    except ValueError as error:
        raise ReviewError(f"a strength is a number above 0 and at most 1; got {form.strength!r}") from error
