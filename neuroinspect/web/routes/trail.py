"""Everything that happened to a review."""

from fastapi import APIRouter
from pydantic import BaseModel

from neuroinspect.web.inputs import ReviewId
from neuroinspect.web.site import Parts
from neuroinspect.web.trail import TrailLine, trail_lines

router = APIRouter()


class Trail(BaseModel):
    """The trail of a review, the oldest entry first."""

    review: str
    entries: list[TrailLine]


@router.get("/api/reviews/{review}/trail")
def trail(review: ReviewId, parts: Parts) -> Trail:
    """Who did what when, on which model, data and run."""
    parts.desk.open(review)
    return Trail(review=review, entries=trail_lines(parts.book.trail(review)))
