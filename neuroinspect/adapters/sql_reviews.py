"""The review store in a SQL database: SQLite in a file, or PostgreSQL by its URL."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroinspect.artifacts import STAGES, RunFolder, content_hash
from neuroinspect.errors import ReviewConflictError, ReviewError
from neuroinspect.review import Decision, ReviewRequest, parse_decision, parse_request

if TYPE_CHECKING:
    from sqlalchemy import Engine, RowMapping

    from neuroinspect.adapters.sql_rows import Rows

_BEFORE_REVIEW = STAGES[: STAGES.index("review")]


@dataclass(frozen=True, slots=True)
class StoredReview:
    """One question of the store.

    Attributes:
        request: the question.
        run: the run folder that asked it first.
        opened_at: when.
        decision: the answer, or None while it is pending.
        decided_at: when it was given.
    """

    request: ReviewRequest
    run: Path
    opened_at: datetime
    decision: Decision | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """One thing that happened to a review; never changed afterwards.

    Attributes:
        at: when.
        what: "opened", "decided", "adopted" (a decision found in a run folder) or "replaced".
        by: who; None where the pipeline did.
        model: fingerprint of the classifier.
        data_version: of the pictures.
        run_hash: of the inputs of every stage before the review.
        decision: the answer that stood from then on.
    """

    at: datetime
    what: str
    by: str | None
    model: str
    data_version: str
    run_hash: str
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class EditOrder:
    """An edit to start, written together with the approval.

    Attributes:
        key: equal for equal orders, so that starting twice starts one.
        run: the run folder to edit.
        started: what the starter called it; None before that.
        attempts: how often it was tried.
    """

    key: str
    run: Path
    started: str | None
    attempts: int


class SqlReviews:
    """A ReviewStore behind one SQLAlchemy URL; threads and forked processes may share it.

    Args:
        url: SQLite or PostgreSQL. It may hold a password, so no message shows it.
        patience: seconds to wait for another process, or for a server.
    """

    def __init__(self, url: str, *, patience: float = 30) -> None:
        self._url = url
        self._patience = patience
        self._engine: Engine | None = None

    def open(self, request: Mapping[str, Any], *, run: Path) -> None:
        """Insert the request, see the port.

        Raises:
            ReviewError: it is not a request.
            OutsideError: the database cannot be used.
        """
        asked, now = parse_request(request), _now()
        with self._transaction() as rows:
            if rows.review(asked.id) is not None:
                return
        values = {
            "id": asked.id,
            "class_name": asked.class_name,
            "model": asked.model,
            "data_version": asked.data_version,
            "request": asked.record(),
            "run": str(run.resolve()),
            "run_hash": _run_hash(run),
            "opened_at": now,
        }
        with self._transaction(writing=True) as rows:
            if rows.insert(values):
                rows.append(asked.id, what="opened", by=None, at=now)

    def decision(self, identifier: str) -> Mapping[str, Any] | None:
        """The decision on a request, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._transaction() as rows:
            row = rows.review(identifier)
        return None if row is None else row["decision"]

    def decide(self, decision: Mapping[str, Any], *, replace: bool = False, adopted: bool = False) -> None:
        """Take the decision, see the port.

        Raises:
            ReviewError: it is not a decision, or there is no such request.
            ReviewConflictError: somebody else decided first; the message names who and when.
            OutsideError: the database cannot be used.
        """
        answer, now = parse_decision(decision), _now()
        values = {
            "status": answer.verdict.upper(),
            "decision": answer.record(),
            "decided_by": answer.by,
            "decided_at": now,
        }
        with self._transaction(writing=True) as rows:
            what, key = "adopted" if adopted else "decided", f"edit:{answer.request}"
            if not rows.take(answer.request, values):
                standing = rows.review(answer.request)
                if standing is None:
                    raise ReviewError(
                        f"the review store has no request {answer.request[:12]}; `neuroinspect review show` opens it"
                    )
                if standing["decision"] == answer.record():
                    return
                _refuse_to_replace(standing, answer, asked=replace)
                if not rows.replace(answer.request, values, after=standing["decisions"]):
                    raise _conflict(rows.review(answer.request) or standing)
                what, key = "replaced", f"{key}:{standing['decisions']}"
            rows.append(answer.request, what=what, by=answer.by, at=now, decision=answer.record())
            rows.put_order(answer.request, key if answer.verdict == "approved" else None)

    def pending(self) -> list[StoredReview]:
        """The reviews that wait for a decision, the longest first.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._transaction() as rows:
            return [_review(row) for row in rows.all_reviews(pending=True)]

    def decided(self) -> list[StoredReview]:
        """The reviews that are decided, the latest first.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._transaction() as rows:
            return [_review(row) for row in rows.all_reviews(pending=False)]

    def trail(self, identifier: str) -> list[TrailEntry]:
        """Everything that happened to a review, the oldest first; empty where there is no such review.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._transaction() as rows:
            return [_entry(row) for row in rows.entries(identifier)]

    def edit_order(self, identifier: str) -> EditOrder | None:
        """The edit of an approved review; None where it is not approved.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._transaction() as rows:
            row = rows.order(identifier)
        return None if row is None else EditOrder(row["key"], Path(row["run"]), row["started"], row["attempts"])

    def count_attempt(self, key: str) -> None:
        """Note that the edit of an order is about to be started.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._transaction(writing=True) as rows:
            rows.count_attempt(key)

    def mark_started(self, key: str, started: str) -> None:
        """Note as what the edit of an order was started.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._transaction(writing=True) as rows:
            rows.mark_started(key, started)

    @contextmanager
    def _transaction(self, *, writing: bool = False) -> "Iterator[Rows]":
        from neuroinspect.adapters.sql_rows import Rows
        from neuroinspect.adapters.sql_schema import connect, prepare, transaction

        if self._engine is None:
            engine = connect(self._url, patience=self._patience)
            prepare(engine)
            self._engine = engine
        with transaction(self._engine, writing=writing) as connection:
            yield Rows(connection)


def _now() -> datetime:
    return datetime.now(UTC)


def _run_hash(run: Path) -> str:
    records = {stage: RunFolder(run).stage_record(stage) for stage in _BEFORE_REVIEW}
    return content_hash({stage: record["inputs_hash"] for stage, record in records.items() if record is not None})


def _refuse_to_replace(standing: "RowMapping", answer: Decision, *, asked: bool) -> None:
    if not asked:
        raise _conflict(standing)
    if answer.unverified and not parse_decision(standing["decision"]).unverified:
        raise _conflict(standing, "an unverified decision does not take the place of a person's")


def _conflict(standing: "RowMapping", way_out: str = "--replace changes that") -> ReviewConflictError:
    decision = parse_decision(standing["decision"])
    named = ", ".join(str(neuron) for neurons in decision.neurons.values() for neuron in neurons)
    when = f"{standing['decided_at']:%Y-%m-%d %H:%M} UTC"
    return ReviewConflictError(
        f"this request is already {decision.verdict} by {decision.by} on {when}"
        f"{f' (neurons {named})' if named else ''}; {way_out}"
    )


def _review(row: "RowMapping") -> StoredReview:
    return StoredReview(
        request=parse_request(row["request"]),
        run=Path(row["run"]),
        opened_at=row["opened_at"],
        decision=_decision(row),
        decided_at=row["decided_at"],
    )


def _entry(row: "RowMapping") -> TrailEntry:
    return TrailEntry(
        at=row["at"],
        what=row["what"],
        by=row["by"],
        model=row["model"],
        data_version=row["data_version"],
        run_hash=row["run_hash"],
        decision=_decision(row),
    )


def _decision(row: "RowMapping") -> Decision | None:
    return None if row["decision"] is None else parse_decision(row["decision"])
