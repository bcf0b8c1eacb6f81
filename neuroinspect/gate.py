"""The gate between finding and editing: takes a decision, and settles which one stands.

The review store, where there is one, is the truth, and the run folder holds a copy of its answer. Whoever calls these holds the
lock of the run folder.
"""

import logging
from collections.abc import Mapping
from typing import Any

from neuroinspect.artifacts import RunFolder
from neuroinspect.errors import ArtifactError, ReviewConflictError, ReviewError
from neuroinspect.ports import ReviewStore, Tools
from neuroinspect.review import AUTO, Decision, ReviewRequest, auto_decision, decide, parse_decision
from neuroinspect.settings import Params
from neuroinspect.stages.review import check_answers, read_decision, read_request, save_decision

log = logging.getLogger(__name__)


def settle_review(run: RunFolder, params: Params, *, tools: Tools | None = None, auto: bool = False) -> Decision | None:
    """The decision on the question a run asks, written into its folder; None while nobody has decided.

    The review store, where there is one, is the truth and the folder holds a copy. A decision that lies in the folder alone
    is taken into the store as unverified: nobody can say who wrote a file.

    Args:
        run: with a finished review stage.
        params: for the rule of the automatic decision.
        tools: with the review store.
        auto: decide by rule where no person has.

    Raises:
        StageOrderError: the question has not been opened.
        ReviewError: the decision breaks a rule of the review.
        OutsideError: the store cannot be reached.
    """
    store = None if tools is None else tools.reviews
    standing = read_decision(run) if store is None else _from_store(run, store)
    if auto and (standing is None or (standing.by == AUTO and standing.unverified)):
        decision = auto_decision(read_request(run), count=params.review.auto_count)
        standing = _take_unless_decided(run, decision, store=store, replace=standing is not None)
    return standing


def log_decision(decision: Decision) -> None:
    """Say who decided what."""
    log.info("review: %s by %s%s", decision.verdict, decision.by, f" ({decision.rule})" if decision.rule else "")


def take_decision(run: RunFolder, decision: Decision, *, store: ReviewStore | None, replace: bool = False) -> None:
    """Take a decision: in the store first, where there is one, then as a copy in the run folder.

    Raises:
        ReviewError: it answers another request.
        ReviewConflictError: somebody else decided first, and may not be replaced.
        OutsideError: the store cannot be reached.
        RunFolderError: the folder cannot be written.
    """
    if store is not None:
        if not replace:
            _from_store(run, store)  # a decision that lies in the folder alone came first
        _take_in_store(run, decision, store, replace=replace)
    save_decision(run, decision, replace=replace or store is not None)


def _take_in_store(
    run: RunFolder, decision: Decision, store: ReviewStore, *, replace: bool = False, adopted: bool = False
) -> None:
    request = read_request(run)
    check_answers(decision, request)
    store.open(request.record(), run=run.root)
    store.decide(decision.record(), replace=replace, adopted=adopted)


def _take_unless_decided(
    run: RunFolder, decision: Decision, *, store: ReviewStore | None, replace: bool = False
) -> Decision:
    """Take a decision that no person made; one that a person takes at the same moment goes before it."""
    try:
        take_decision(run, decision, store=store, replace=replace)
    except ReviewConflictError:
        first = None if store is None else _from_store(run, store)
        if first is None:
            raise
        return first
    return decision


def _from_store(run: RunFolder, store: ReviewStore) -> Decision | None:
    request = read_request(run)
    kept = store.decision(request.id)
    if kept is None:
        copy = read_decision(run)
        if copy is None or copy.request != request.id:
            return None
        kept = _adopt(run, request, copy, store)
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


def _adopt(run: RunFolder, request: ReviewRequest, copy: Decision, store: ReviewStore) -> Mapping[str, Any]:
    """Take the decision found in a run folder into the store; what the store holds then."""
    found = decide(
        request,
        verdict=copy.verdict,
        neurons=copy.neurons,
        by=copy.by,
        note=copy.note,
        rule=copy.rule,
        unverified=True,
    )
    try:
        _take_in_store(run, found, store, adopted=True)
    except ReviewConflictError:
        log.info("review: decided while the decision of %s was read", run.root)
    return store.decision(request.id) or found.record()
