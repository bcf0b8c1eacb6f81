"""The gate between finding and editing: takes a decision, and settles which one stands.

The review store, where there is one, is the truth, and the run folder holds a copy of its answer. Whoever calls these holds the
lock of the run folder.
"""

import logging
from collections.abc import Mapping
from typing import Any

from neuroinspect.artifacts import RunFolder
from neuroinspect.errors import (
    ArtifactError,
    ReviewConflictError,
    ReviewError,
    ReviewOutdatedError,
    UnknownReviewError,
)
from neuroinspect.ports import ReviewStore, Tools
from neuroinspect.review import AUTO, Decision, ReviewRequest, StoredReview, auto_decision, decide, parse_decision
from neuroinspect.settings import Params
from neuroinspect.stages.review import check_answers, read_decision, read_request, require_current, save_decision

log = logging.getLogger(__name__)


def settle_review(run: RunFolder, params: Params, *, tools: Tools | None = None, auto: bool = False) -> Decision | None:
    """The decision on the question a run asks, written into its folder; None while nobody has decided.

    The review store, where there is one, is the truth and the folder holds a copy. A decision that lies in the folder alone
    is taken into the store as unverified: nobody can say who wrote a file.

    Args:
        run: with a finished review stage.
        params: for the rule of the automatic decision, and for the edit that follows.
        tools: with the review store.
        auto: decide by rule where no person has.

    Raises:
        StageOrderError: the question has not been opened.
        ReviewError: the decision breaks a rule of the review.
        OutsideError: the store cannot be reached.
    """
    store = None if tools is None else tools.reviews
    standing = read_decision(run) if store is None else _from_store(run, store, params)
    if auto and (standing is None or (standing.by == AUTO and standing.unverified)):
        decision = auto_decision(read_request(run), count=params.review.auto_count)
        standing = _take_unless_decided(run, decision, store=store, params=params, replace=standing is not None)
    return standing


def log_decision(decision: Decision) -> None:
    """Say who decided what."""
    log.info("review: %s by %s%s", decision.verdict, decision.by, f" ({decision.rule})" if decision.rule else "")


def refuse_outdated(
    request: ReviewRequest,
    *,
    run: RunFolder | None,
    params: Params | None,
    stored: StoredReview | None = None,
    replace: bool = False,
) -> None:
    """Refuse a person's answer to a question that no run asks any more. Page and command line call it before they store anything.

    Args:
        request: the question.
        run: the run folder that asks it; None where none can be read from here.
        params: settings of that run; None where they are not known.
        stored: what the store holds of it, where there is one. A question that is decided or expired is left to the store, which
            names who decided, or since when it is too late.
        replace: the answer may take the place of an earlier one.

    Raises:
        ReviewOutdatedError: the model, the data or the finding changed since, or nobody can say whether they did.
        ModelError: the classifier cannot be loaded.
    """
    if stored is not None and (stored.status == "expired" or (stored.decision is not None and not replace)):
        return
    if run is None or params is None:
        raise ReviewOutdatedError(
            f"no run folder of review {request.id[:12]} can be read from here, so nobody can say whether it still holds; "
            "bring the folder back, or let `neuroinspect run` ask again"
        )
    require_current(run, params, request)


def kept_settings(params: Params) -> dict[str, Any]:
    """Settings of all stages as the review store keeps them for the edit; `parse_params` reads them."""
    return params.model_dump(mode="json", by_alias=True)


def take_decision(
    run: RunFolder,
    decision: Decision,
    *,
    store: ReviewStore | None,
    params: Params | None = None,
    replace: bool = False,
) -> None:
    """Take a decision: in the store first, where there is one, then as a copy in the run folder.

    Args:
        run: whose question it answers; its edit goes on there.
        decision: the answer.
        store: the review store.
        params: settings of the run, which the store keeps for its edit.
        replace: take the place of an earlier decision.

    Raises:
        ReviewError: it answers another request.
        ReviewConflictError: somebody else decided first, and may not be replaced.
        OutsideError: the store cannot be reached.
        RunFolderError: the folder cannot be written.
    """
    if store is not None:
        if not replace:
            _from_store(run, store, params)  # a decision that lies in the folder alone came first
        _take_in_store(run, decision, store, params=params, replace=replace)
    save_decision(run, decision, replace=replace or store is not None)


def _take_in_store(
    run: RunFolder,
    decision: Decision,
    store: ReviewStore,
    *,
    params: Params | None,
    replace: bool = False,
    adopted: bool = False,
) -> None:
    request, settings = read_request(run), None if params is None else kept_settings(params)
    check_answers(decision, request)
    try:
        store.decide(decision.record(), run=run.root, params=settings, replace=replace, adopted=adopted)
    except UnknownReviewError:  # not opened beforehand: that would let an expired question wait again
        store.open(request.record(), run=run.root, params=settings)
        store.decide(decision.record(), run=run.root, replace=replace, adopted=adopted)


def _take_unless_decided(
    run: RunFolder, decision: Decision, *, store: ReviewStore | None, params: Params, replace: bool
) -> Decision:
    """Take a decision that no person made; one that a person takes at the same moment goes before it."""
    try:
        take_decision(run, decision, store=store, params=params, replace=replace)
    except ReviewConflictError:
        first = None if store is None else _from_store(run, store, params)
        if first is None:
            raise
        return first
    return decision


def _from_store(run: RunFolder, store: ReviewStore, params: Params | None) -> Decision | None:
    request = read_request(run)
    kept = store.decision(request.id)
    if kept is None:
        copy = read_decision(run)
        if copy is None or copy.request != request.id:
            return None
        kept = _adopt(run, copy, store, params)
    decision = parse_decision(kept)
    if _holds_another(run, decision):
        log.warning(
            "review: the review store holds %s by %s; what lies in %s is not that decision, and is replaced",
            decision.verdict,
            decision.by,
            run.stage("review"),
        )
    save_decision(run, decision, replace=True)
    return decision


def _holds_another(run: RunFolder, decision: Decision) -> bool:
    try:
        copy = read_decision(run)
    except (ReviewError, ArtifactError):
        return True
    return copy is not None and copy != decision


def _adopt(run: RunFolder, copy: Decision, store: ReviewStore, params: Params | None) -> Mapping[str, Any]:
    """Take the decision found in a run folder into the store; what the store holds then."""
    request = read_request(run)
    found = decide(
        request,
        verdict=copy.verdict,
        neurons=copy.neurons,
        by=copy.by,
        strength=copy.strength,
        note=copy.note,
        rule=copy.rule,
        unverified=True,
    )
    try:
        _take_in_store(run, found, store, params=params, adopted=True)
    except ReviewConflictError:
        log.info("review: decided while the decision of %s was read", run.root)
    return store.decision(request.id) or found.record()
