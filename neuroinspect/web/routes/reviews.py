"""The lists of reviews."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from neuroinspect.web.paging import page_number
from neuroinspect.web.review_list import Which, review_lists
from neuroinspect.web.site import Parts

router = APIRouter()


@router.get("/", include_in_schema=False)
def home() -> Response:
    """The list of reviews is the first page."""
    return RedirectResponse("/reviews", status_code=307)


@router.get("/reviews", include_in_schema=False)
def reviews(request: Request, parts: Parts) -> Response:
    """Reviews that wait for a decision, or those that are closed; filter and page stand in the address."""
    asked = request.query_params
    which: Which = "closed" if asked.get("status") == "closed" else "pending"
    lists = review_lists(
        parts.book.pending(),
        parts.book.closed(),
        which=which,
        class_name=asked.get("class", ""),
        number=page_number(asked.get("page", "")),
    )
    return parts.pages.page(request, "reviews.html", lists=lists)
