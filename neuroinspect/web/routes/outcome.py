"""What came of a review, and the report of its run."""

from typing import Final

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from neuroinspect.web.inputs import ReviewId
from neuroinspect.web.neurons.picture_files import file_inside
from neuroinspect.web.outcome.outcome import Outcome, outcome_of, run_of_report
from neuroinspect.web.outcome.strips import strips
from neuroinspect.web.safety.guard import required_reviewer
from neuroinspect.web.site import Parts
from neuroinspect.web.trail import trail_lines

router = APIRouter()
# The report is one file with its styles and pictures in it. Sandboxed it runs no script and has no origin of its own.
_REPORT_POLICY: Final = "; ".join(
    ("sandbox", "default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", "frame-ancestors 'none'")
)


@router.get("/api/reviews/{review}/outcome")
def outcome(review: ReviewId, parts: Parts) -> Outcome:
    """How far the edit is, and what it is worth once it is done."""
    stored = parts.desk.stored(review)
    return outcome_of(stored, parts.book.edit_order(review), parts.book.trail(review))


@router.get("/reviews/{review}/outcome", response_class=HTMLResponse)
def outcome_page(request: Request, review: ReviewId, parts: Parts) -> Response:
    """The same as a page, with the trail."""
    stored = parts.desk.stored(review)
    entries = parts.book.trail(review)
    found = outcome_of(stored, parts.book.edit_order(review), entries)
    return parts.pages.page(
        request,
        "outcome.html",
        review=stored,
        outcome=found,
        strips=strips(found.lines, edited=found.edited),
        trail=trail_lines(entries),
    )


@router.post("/api/reviews/{review}/retry", dependencies=[Depends(required_reviewer)])
def retry(review: ReviewId, parts: Parts) -> Outcome:
    """Let an edit that has stopped be started again; nothing where it has not."""
    parts.desk.stored(review)
    parts.book.retry(review)
    parts.nudge()
    return outcome(review, parts)


@router.post(
    "/reviews/{review}/retry",
    dependencies=[Depends(required_reviewer)],
    response_class=HTMLResponse,
    status_code=303,
)
def retry_by_form(review: ReviewId, parts: Parts) -> Response:
    """The same by a form."""
    retry(review, parts)
    return RedirectResponse(f"/reviews/{review}/outcome", status_code=303)


@router.get("/reviews/{review}/report", response_class=FileResponse)
def report(review: ReviewId, parts: Parts) -> Response:
    """The report of the run the decision led to, as it was written."""
    stored = parts.desk.stored(review)
    run = run_of_report(stored, parts.book.edit_order(review))
    file = None if run is None else file_inside(run.stage("report"), "report.html")
    if file is None:
        raise HTTPException(404)
    return FileResponse(file.path, media_type="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})
