"""The review store in a SQL database: SQLite in a file, or PostgreSQL by its URL."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuroinspect.adapters.sql_judgements import SqlJudgements
from neuroinspect.adapters.sql_orders import SqlOrders
from neuroinspect.adapters.sql_records import stored_review, trail_entry
from neuroinspect.adapters.sql_refusals import expired, known, refuse_to_replace
from neuroinspect.adapters.sql_store import now_in_utc
from neuroinspect.artifacts import STAGES, RunFolder, content_hash
from neuroinspect.errors import ReviewError
from neuroinspect.review import Decision, StoredReview, TrailEntry, parse_decision, parse_request

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from neuroinspect.adapters.sql_rows import Rows

_BEFORE_REVIEW: Final = STAGES[: STAGES.index("review")]


class SqlReviews(SqlJudgements, SqlOrders):
    """A ReviewBook behind one SQLAlchemy URL; threads and forked processes may share it.

    Args:
        url: SQLite or PostgreSQL. It may hold a password, so no message shows it.
        expires_after: how long a question that is opened from now on can be answered; None: for ever.
        notices: whether to note what is to be told outside; without somebody who sends them they would only gather.
        patience: seconds to wait for another process, or for a server.
        clock: tells the time.
    """

    def __init__(
        self,
        url: str,
        *,
        expires_after: timedelta | None = None,
        notices: bool = False,
        patience: float = 30,
        clock: Callable[[], datetime] = now_in_utc,
    ) -> None:
        super().__init__(url, patience=patience, clock=clock)
        self._expires_after = expires_after
        self._notices = notices

    def open(self, request: Mapping[str, Any], *, run: Path, params: Mapping[str, Any] | None = None) -> None:
        """Insert the request, see the port.

        Raises:
            ReviewError: it is not a request, or the run folder has a name that no database takes.
            OutsideError: the database cannot be used.
        """
        asked, asking = parse_request(request), _asking(run, params)
        values = {
            "id": asked.id,
            "model": asked.model,
            "data_version": asked.data_version,
            "request": asked.record(),
        }
        with self._rows(writing=True) as rows:
            now = self._clock()
            expires_at = None if self._expires_after is None else now + self._expires_after
            is_new = rows.insert({**values, "opened_at": now, "expires_at": expires_at})
            rows.lock(asked.id)
            waits_again = not is_new and rows.reopen(asked.id, now=now, expires_at=expires_at)
            rows.put_run(asked.id, {**asking, "asked_at": now})
            if is_new or waits_again:
                what = "opened" if is_new else "reopened"
                self._tell(rows, asked.id, "opened", what=what, by=None, at=now, run=asking["run"])

    def decision(self, identifier: str) -> Mapping[str, Any] | None:
        """The decision on a request, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows() as rows:
            row = rows.review(identifier)
        return None if row is None else row["decision"]

    def decide(
        self,
        decision: Mapping[str, Any],
        *,
        run: Path | None = None,
        params: Mapping[str, Any] | None = None,
        replace: bool = False,
        adopted: bool = False,
    ) -> None:
        """Take the decision, see the port.

        Raises:
            ReviewError: it is not a decision.
            UnknownReviewError: there is no such request.
            ReviewConflictError: somebody else decided first; the message names who and when.
            ReviewExpiredError: nobody answered in time.
            OutsideError: the database cannot be used.
        """
        answer = parse_decision(decision)
        asking = None if run is None else _asking(run, params)
        with self._rows(writing=True) as rows:
            standing, now = known(rows.lock(answer.request), answer.request), self._clock()
            if standing["decision"] is not None and parse_decision(standing["decision"]) == answer:
                return
            values = {
                "status": answer.verdict.upper(),
                "decision": answer.record(),
                "decided_by": answer.by,
                "decided_at": now,
            }
            what = "adopted" if adopted else "decided"
            if not rows.take(answer.request, values, now=now):
                if standing["decision"] is None:
                    raise expired(standing)
                refuse_to_replace(standing, answer, asked=replace)
                rows.replace(answer.request, values)
                what = "replaced"
            if asking is not None:
                rows.note_run(answer.request, {**asking, "asked_at": now})
            place = rows.latest_run(answer.request) if asking is None else asking["run"]
            entry = {"by": answer.by, "run": place, "decision": answer.record()}
            self._tell(rows, answer.request, "decided", what=what, at=now, **entry)
            order = _order_key(answer, place, number=standing["decisions"], at=now)
            rows.orders.put_order(answer.request, order, run=place, at=now)

    def finish(self, decision: Mapping[str, Any], *, run: Path, outcome: str) -> None:
        """Note that what follows a decision is done, see the port.

        Raises:
            ReviewError: it is not a decision.
            OutsideError: the database cannot be used.
        """
        answer, place = parse_decision(decision), _place(run)
        with self._rows(writing=True) as rows:
            standing, now = rows.lock(answer.request), self._clock()
            if standing is None or standing["decision"] is None or parse_decision(standing["decision"]) != answer:
                return
            rows.orders.finish(answer.request, run=place, at=now)
            if not _is_told(rows.entries(answer.request), place):
                entry = {"decision": answer.record(), "detail": {"run": place, "outcome": outcome}}
                self._tell(rows, answer.request, "edited", what="edited", by=None, at=now, run=place, **entry)

    def review(self, identifier: str) -> StoredReview | None:
        """One review, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        now = self._clock()
        with self._rows() as rows:
            return next((stored_review(*found, now=now) for found in rows.stored(identifier)), None)

    def pending(self) -> list[StoredReview]:
        """The reviews that wait for a decision, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        now = self._clock()
        with self._rows() as rows:
            return [stored_review(*found, now=now) for found in rows.pending(now=now)]

    def closed(self) -> list[StoredReview]:
        """The reviews that are decided or expired, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        now = self._clock()
        with self._rows() as rows:
            return [stored_review(*found, now=now) for found in rows.closed(now=now)]

    def trail(self, identifier: str) -> list[TrailEntry]:
        """Everything that happened to a review, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows() as rows:
            return [trail_entry(row) for row in rows.entries(identifier)]

    def _tell(self, rows: "Rows", identifier: str, event: str, *, at: datetime, **entry: Any) -> None:
        """An entry of the trail, and a notice of it where somebody sends them."""
        number = rows.append(identifier, at=at, **entry)
        if self._notices:
            rows.put_notice(identifier, event, number=number, at=at)


def _order_key(answer: Decision, place: str, *, number: int, at: datetime) -> str:
    """A key of this order alone: starters outlive a store that is lost or another project's, in which the same is asked."""
    return f"edit:{answer.request}:{content_hash([answer.record(), place, number, at])[:16]}"


def _asking(run: Path, params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"run": _place(run), "params": params, "run_hash": _run_hash(run)}


def _place(run: Path) -> str:
    place = str(run.resolve())
    try:
        place.encode()
    except UnicodeEncodeError as error:
        raise ReviewError(
            f"the name of the run folder {place!a} is no text, so no review store can keep it; give the folder another name"
        ) from error
    return place


def _run_hash(run: Path) -> str:
    records = {stage: RunFolder(run).stage_record(stage) for stage in _BEFORE_REVIEW}
    return content_hash({stage: record["inputs_hash"] for stage, record in records.items() if record is not None})


def _is_told(entries: Sequence["RowMapping"], place: str) -> bool:
    """Whether the trail says already what came of the standing decision in a run folder."""
    for entry in reversed(entries):
        if entry["what"] == "edited" and entry["detail"]["run"] == place:
            return True
        if entry["what"] in {"decided", "adopted", "replaced"}:
            return False
    return False
