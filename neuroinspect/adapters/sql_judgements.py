"""What reviewers say of single neurons before they decide, kept at once."""

from datetime import datetime
from typing import TYPE_CHECKING

from neuroinspect.adapters.sql_records import judgement_of, trail_entry
from neuroinspect.adapters.sql_refusals import conflict, expired, known
from neuroinspect.adapters.sql_store import SqlStore
from neuroinspect.review import NeuronJudgement
from neuroinspect.review.judgement import JUDGED, UNDONE, change_of, change_to_undo, taken_back

if TYPE_CHECKING:
    from neuroinspect.adapters.sql_rows import Rows


class SqlJudgements(SqlStore):
    """The judgements of the review store, see SqlStore."""

    def judgements(self, identifier: str) -> dict[int, NeuronJudgement]:
        """What was last said of each neuron, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows() as rows:
            found = [judgement_of(row) for row in rows.judgements(identifier)]
        return {one.neuron: one for one in found if one.verdict is not None or one.note}

    def judge(self, identifier: str, judgement: NeuronJudgement) -> NeuronJudgement:
        """Keep what was said of a neuron, see the port.

        Raises:
            UnknownReviewError: there is no such review.
            ReviewConflictError: it is decided.
            ReviewExpiredError: it has expired.
            OutsideError: the database cannot be used.
        """
        with self._rows(writing=True) as rows:
            now = self._hold(rows, identifier)
            standing = _standing(rows, identifier, judgement.neuron)
            if standing is not None and standing.model_copy(update={"at": judgement.at}) == judgement:
                return standing
            kept = judgement.model_copy(update={"at": now})
            _put(rows, identifier, kept, in_place_of=standing, what=JUDGED, by=kept.by, at=now)
            return kept

    def undo(self, identifier: str, *, by: str) -> NeuronJudgement | None:
        """Take back the reviewer's last change, see the port.

        Raises:
            UnknownReviewError: there is no such review.
            ReviewConflictError: it is decided, or somebody else has spoken of that neuron since.
            ReviewExpiredError: it has expired.
            OutsideError: the database cannot be used.
        """
        with self._rows(writing=True) as rows:
            now = self._hold(rows, identifier)
            change = change_to_undo([trail_entry(row) for row in rows.entries(identifier)], by=by)
            if change is None or change.detail is None:
                return None
            standing = _standing(rows, identifier, change.detail["neuron"])
            before = taken_back(change, standing, by=by)
            kept = before if before.at is not None else before.model_copy(update={"at": now})
            _put(rows, identifier, kept, in_place_of=standing, what=UNDONE, by=by, at=now)
            return kept

    def _hold(self, rows: "Rows", identifier: str) -> datetime:
        """Keep a review that waits as it is until the transaction ends; the time from then on."""
        standing, now = known(rows.lock(identifier), identifier), self._clock()
        if standing["decision"] is not None:
            raise conflict(standing, "what was said stands")
        if standing["expires_at"] is not None and standing["expires_at"] <= now:
            raise expired(standing)
        return now


def _put(
    rows: "Rows",
    identifier: str,
    kept: NeuronJudgement,
    *,
    in_place_of: NeuronJudgement | None,
    what: str,
    by: str,
    at: datetime,
) -> None:
    rows.put_judgement(identifier, {**kept.said(), "by": kept.by, "at": kept.at})
    rows.append(identifier, what=what, by=by, at=at, detail=change_of(kept, in_place_of))


def _standing(rows: "Rows", identifier: str, neuron: int) -> NeuronJudgement | None:
    row = rows.judgement(identifier, neuron)
    return None if row is None else judgement_of(row)
