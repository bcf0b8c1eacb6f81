"""The review a command is about: that of a run folder, or one of the store by its id."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from neuroinspect.artifacts import RunFolder
from neuroinspect.assembly import needed_review_store, review_store
from neuroinspect.chain import with_resolved_model
from neuroinspect.cli.options import read_machinery, read_params, run_folder, stage_tools
from neuroinspect.errors import ReviewError, SettingsError, UnknownReviewError
from neuroinspect.gate import kept_settings
from neuroinspect.review import ReviewRequest, StoredReview
from neuroinspect.settings import Params
from neuroinspect.stages.review import read_request
from neuroinspect.web.desk import ReviewDesk

if TYPE_CHECKING:
    from neuroinspect.adapters.sql_reviews import SqlReviews

SHOWN: Final = 12
_SHORTEST: Final = 6
_NEAR: Final = 5

ReviewId = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="ID", help="a review of the store, in place of --run: 6 or more letters of its id, from `list`"
    ),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A review as a command finds it.

    Attributes:
        request: the question.
        run: the run folder that asks it; None where none can be read from here.
        params: settings of that run; None where they are not known.
        store: the review store; None where the extra `pipeline` is not installed.
        stored: what the store holds of it; None where it holds nothing.
    """

    request: ReviewRequest
    run: RunFolder | None
    params: Params | None
    store: "SqlReviews | None"
    stored: StoredReview | None


def asked_by_id(params_file: Path, identifier: str, *, out: Path | None) -> Asked:
    """A review of the store, with the run folder and the settings it was asked with.

    Raises:
        SettingsError: a run folder is named as well.
        UnknownReviewError: the store has none whose id begins so.
        ReviewError: it has several, or the beginning is too short.
        MissingToolError: there is no store.
    """
    if out is not None:
        raise SettingsError("--id and --out both name a review; give one of them")
    store = needed_review_store(read_machinery(params_file))
    stored = by_prefix([*store.pending(), *store.closed()], identifier)
    opened = ReviewDesk(store).open(stored.request.id)
    return Asked(stored.request, opened.run, opened.params, store, opened.stored)


def asked_by_run(folder: RunFolder, params: Params, params_file: Path) -> Asked:
    """The review that a run folder asks, with the settings of the params file.

    Raises:
        StageOrderError: the run has not asked.
        OutsideError: the store cannot be used.
    """
    store, request = review_store(read_machinery(params_file)), read_request(folder)
    return Asked(request, folder, params, store, None if store is None else store.review(request.id))


def asked_in_store(
    params_file: Path, run_name: str, out: Path | None, identifier: str | None
) -> tuple["SqlReviews", ReviewRequest]:
    """A review of the store, and the store; that of a run folder is opened where the store does not know it yet.

    Raises:
        NeuroInspectError: as `asked_by_id` and `asked_by_run`, or there is no store.
    """
    store = needed_review_store(read_machinery(params_file))
    if identifier is not None:
        return store, asked_by_id(params_file, identifier, out=out).request
    params = read_params(params_file)
    folder = run_folder(params, run_name, out)
    asked = asked_by_run(folder, params, params_file)
    if asked.stored is None:
        open_in_store(asked, with_resolved_model(params, stage_tools(params_file), run=folder))
    return store, asked.request


def open_in_store(asked: Asked, params: Params) -> None:
    """Put the question of a run folder into the store, or note that one more run asks it; an expired one stays expired.

    Raises:
        OutsideError: the store cannot be used.
    """
    if asked.store is not None and asked.run is not None and (asked.stored is None or asked.stored.status != "expired"):
        asked.store.open(asked.request.record(), run=asked.run.root, params=kept_settings(params))


def by_prefix(known: Sequence[StoredReview], prefix: str) -> StoredReview:
    """The one review whose id begins so.

    Raises:
        UnknownReviewError: there is none; the message names the near ones.
        ReviewError: there are several, or the beginning is too short.
    """
    wanted = prefix.strip().lower()
    if len(wanted) < _SHORTEST:
        raise ReviewError(f"--id {prefix}: expected at least {_SHORTEST} letters of an id; `review list` shows them")
    found = [review for review in known if review.request.id.startswith(wanted)]
    if len(found) > 1:
        raise ReviewError(f"--id {prefix}: {len(found)} reviews begin so: {_named(found)}; give more letters")
    if found:
        return found[0]
    ids = {review.request.id[: len(wanted)]: review for review in known}
    near = [ids[one] for one in difflib.get_close_matches(wanted, ids, n=_NEAR)] or list(known)[:_NEAR]
    there = f"; there are {_named(near)}" if near else "; the store is empty, and `neuroinspect run` opens a review"
    raise UnknownReviewError(f"--id {prefix}: the review store has no review that begins so{there}")


def _named(reviews: Sequence[StoredReview]) -> str:
    shown = [f"{one.request.id[:SHOWN]} ({one.request.class_name}, {one.status})" for one in reviews[:_NEAR]]
    more = len(reviews) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
