"""`neuroinspect review list`."""

from typing import Annotated, Any, Final

import typer

from neuroinspect.assembly import needed_review_store
from neuroinspect.cli.options import DEFAULT_PARAMS, Json, ParamsFile, Quiet, read_machinery
from neuroinspect.cli.review.asked import SHOWN
from neuroinspect.cli.screen import as_shown, session, table_of
from neuroinspect.review import StoredReview
from neuroinspect.review.history import Status

_LONG: Final = {"class", "by", "run"}


def add_command(app: typer.Typer) -> None:
    """Add `list`."""
    app.command("list")(list_)


def list_(
    status: Annotated[Status | None, typer.Option("--status", help="only those that stand so")] = None,
    class_name: Annotated[str | None, typer.Option("--class", metavar="CLASS", help="only those about a class")] = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List the reviews of the store: those that wait, then those that are decided or expired."""
    with session(quiet=quiet, as_json=as_json) as screen:
        store = needed_review_store(read_machinery(params_file))
        pending, closed = (_wanted(some, status, class_name) for some in (store.pending(), store.closed()))
        rows = [_row(review) for review in (*pending, *closed)]
        filtered = status is not None or class_name is not None
        nothing = "no review fits" if filtered else "no review has been opened yet; `neuroinspect run` opens one"
        screen.finish(
            {"pending": [_record(review) for review in pending], "closed": [_record(review) for review in closed]},
            table_of(rows, long=_LONG) if rows else nothing,
        )


def _wanted(reviews: list[StoredReview], status: Status | None, class_name: str | None) -> list[StoredReview]:
    return [
        review
        for review in reviews
        if status in {None, review.status} and class_name in {None, review.request.class_name}
    ]


def _row(review: StoredReview) -> dict[str, str]:
    request, decision = review.request, review.decision
    unverified = " (unverified)" if decision is not None and decision.unverified else ""
    expires = "" if review.expires_at is None or decision is not None else f"{review.expires_at:%Y-%m-%d %H:%M}"
    return {
        "id": request.id[:SHOWN],
        "class": as_shown(request.class_name),
        "judged": f"{review.judged}/{len(request.candidates)}",
        "status": review.status,
        "expires (UTC)": expires,
        "by": "" if decision is None else f"{as_shown(decision.by)}{unverified}",
        "since (UTC)": f"{review.decided_at or review.opened_at:%Y-%m-%d %H:%M}",
        "run": as_shown(str(review.run.root)),
    }


def _record(review: StoredReview) -> dict[str, Any]:
    return {
        "request": review.request.record(),
        "run": review.run.root,
        "status": review.status,
        "judged": review.judged,
        "opened_at": review.opened_at.isoformat(),
        "expires_at": None if review.expires_at is None else review.expires_at.isoformat(),
        "decision": None if review.decision is None else review.decision.record(),
        "decided_at": None if review.decided_at is None else review.decided_at.isoformat(),
    }
