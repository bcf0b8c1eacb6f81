"""The statements of the review store over one connection."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from neuroinspect.adapters.sql_schema import outbox, reviews, trail


class Rows:
    """Rows of the review tables inside one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def review(self, identifier: str) -> sa.RowMapping | None:
        """One review."""
        return self._connection.execute(sa.select(reviews).where(reviews.c.id == identifier)).mappings().one_or_none()

    def all_reviews(self, *, pending: bool) -> list[sa.RowMapping]:
        """The reviews that wait, the longest first; or those that are decided, the latest first."""
        query = sa.select(reviews).where((reviews.c.status == "PENDING") == pending)
        order = reviews.c.opened_at if pending else reviews.c.decided_at.desc()
        return list(self._connection.execute(query.order_by(order, reviews.c.id)).mappings())

    def insert(self, values: Mapping[str, Any]) -> bool:
        """A new review; False where there is one with its id."""
        try:
            with self._connection.begin_nested():
                self._connection.execute(reviews.insert().values(status="PENDING", decisions=0, **values))
        except sa.exc.IntegrityError:
            return False
        return True

    def take(self, identifier: str, values: Mapping[str, Any]) -> bool:
        """Decide a review while it is pending, in one statement; False where it is not."""
        return self._decide(values, reviews.c.id == identifier, reviews.c.status == "PENDING")

    def replace(self, identifier: str, values: Mapping[str, Any], *, after: int) -> bool:
        """Decide a review again, in one statement; False where it no longer has just the `after` decisions seen."""
        return self._decide(values, reviews.c.id == identifier, reviews.c.decisions == after)

    def _decide(self, values: Mapping[str, Any], *conditions: sa.ColumnElement[bool]) -> bool:
        statement = reviews.update().where(*conditions).values(decisions=reviews.c.decisions + 1, **values)
        return self._connection.execute(statement).rowcount == 1

    def append(self, identifier: str, *, what: str, by: str | None, at: datetime, decision: Any = None) -> None:
        """An entry of the trail, with the hashes that stand in the review."""
        row = self._connection.execute(
            sa.select(reviews.c.model, reviews.c.data_version, reviews.c.run_hash).where(reviews.c.id == identifier)
        ).mappings()
        self._connection.execute(
            trail.insert().values(review=identifier, what=what, by=by, at=at, decision=decision, **row.one())
        )

    def entries(self, identifier: str) -> list[sa.RowMapping]:
        """The trail of a review, the oldest entry first."""
        query = sa.select(trail).where(trail.c.review == identifier).order_by(trail.c.number)
        return list(self._connection.execute(query).mappings())

    def order(self, identifier: str) -> sa.RowMapping | None:
        """The edit that is ordered for a review, with the run folder."""
        query = sa.select(outbox, reviews.c.run).join(reviews).where(outbox.c.review == identifier)
        return self._connection.execute(query).mappings().one_or_none()

    def put_order(self, identifier: str, key: str | None) -> None:
        """Order an edit under a key in place of any other; None withdraws it."""
        self._connection.execute(outbox.delete().where(outbox.c.review == identifier))
        if key is not None:
            self._connection.execute(outbox.insert().values(key=key, review=identifier, attempts=0))

    def count_attempt(self, key: str) -> None:
        """One more attempt to start an edit."""
        self._connection.execute(outbox.update().where(outbox.c.key == key).values(attempts=outbox.c.attempts + 1))

    def mark_started(self, key: str, started: str) -> None:
        """The edit was started as this run."""
        self._connection.execute(outbox.update().where(outbox.c.key == key).values(started=started))
