"""The notices of the review store that wait to be sent; SqlReviews writes them together with what they tell."""

from typing import TYPE_CHECKING, Final

from neuroinspect.adapters.sql_store import SqlStore
from neuroinspect.review import parse_decision
from neuroinspect.review.notice import Notice

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

_AT_ONCE: Final = 50


class SqlNotices(SqlStore):
    """A NoticeBook behind one SQLAlchemy URL, see SqlStore."""

    def unsent(self) -> list[Notice]:
        """Those that nobody has sent, see the protocol; no more than a round can send.

        Raises:
            OutsideError: the database cannot be used.
        """
        import sqlalchemy as sa

        from neuroinspect.adapters.sql_schema import notices, trail

        # Tried least first: one that is never taken keeps nobody waiting.
        waiting = sa.select(notices).where(notices.c.sent_at.is_(None))
        waiting = waiting.order_by(notices.c.attempts, notices.c.at, notices.c.key).limit(_AT_ONCE)
        with self._transaction() as connection:
            found = list(connection.execute(waiting).mappings())
            told = sa.select(trail).where(trail.c.number.in_([_number(row) for row in found]))
            entries = {row["number"]: row for row in connection.execute(told).mappings()}
        return [_notice(row, entries[_number(row)]) for row in found]

    def claim(self, notice: Notice) -> bool:
        """Count one more attempt, see the protocol.

        Raises:
            OutsideError: the database cannot be used.
        """
        from neuroinspect.adapters.sql_schema import notices

        same = (notices.c.key == notice.key) & notices.c.sent_at.is_(None) & (notices.c.attempts == notice.attempts)
        with self._transaction(writing=True) as connection:
            counted = notices.update().where(same).values(attempts=notice.attempts + 1)
            return connection.execute(counted).rowcount == 1

    def mark_sent(self, key: str) -> None:
        """Note that it was taken, see the protocol.

        Raises:
            OutsideError: the database cannot be used.
        """
        from neuroinspect.adapters.sql_schema import notices

        with self._transaction(writing=True) as connection:
            connection.execute(notices.update().where(notices.c.key == key).values(sent_at=self._clock()))

    def drop(self, key: str) -> None:
        """Give it up, see the protocol.

        Raises:
            OutsideError: the database cannot be used.
        """
        from neuroinspect.adapters.sql_schema import notices

        with self._transaction(writing=True) as connection:
            connection.execute(notices.delete().where(notices.c.key == key, notices.c.sent_at.is_(None)))


def _number(row: "RowMapping") -> int:
    """Of the entry of the trail that it tells: the end of its key."""
    return int(row["key"].rpartition(":")[2])


def _notice(row: "RowMapping", entry: "RowMapping") -> Notice:
    decision = None if entry["decision"] is None else parse_decision(entry["decision"])
    return Notice(row["key"], row["review"], row["event"], row["at"], row["attempts"], decision, entry["detail"])
