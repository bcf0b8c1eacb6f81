"""The statements of the review store over one connection: reviews, who asks them, what is said of them, and the trail."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from neuroinspect.adapters.sql_order_rows import OrderRows
from neuroinspect.adapters.sql_schema import judgements, notices, reviews, runs, trail

Which = sa.ColumnElement[bool]
# A review, with how many of its neurons are `judged`, and the run folders that ask it, the latest first.
Stored = tuple[sa.RowMapping, list[sa.RowMapping]]
_LATEST_FIRST: Final = (runs.c.asked_at.desc(), runs.c.run)


class Rows:
    """Rows of the review tables inside one transaction.

    Attributes:
        orders: what follows the decisions.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.orders = OrderRows(connection)

    def review(self, identifier: str) -> sa.RowMapping | None:
        """One review."""
        return self._connection.execute(sa.select(reviews).where(_one(identifier))).mappings().one_or_none()

    def lock(self, identifier: str) -> sa.RowMapping | None:
        """One review, which nobody else changes until the transaction ends."""
        # SQLite has no such clause and needs none: its writing transactions wait for each other.
        query = sa.select(reviews).where(_one(identifier)).with_for_update()
        return self._connection.execute(query).mappings().one_or_none()

    def stored(self, identifier: str) -> list[Stored]:
        """One review, with what readers see of it; none where there is none."""
        return self._stored(_one(identifier), reviews.c.opened_at)

    def pending(self, *, now: datetime) -> list[Stored]:
        """The reviews that wait, the longest first."""
        return self._stored(_waiting(now), reviews.c.opened_at)

    def closed(self, *, now: datetime) -> list[Stored]:
        """The reviews that are decided or expired, the latest first."""
        return self._stored(~_waiting(now), sa.func.coalesce(reviews.c.decided_at, reviews.c.expires_at).desc())

    def _stored(self, which: Which, order: sa.ColumnElement[Any]) -> list[Stored]:
        said = (judgements.c.review == reviews.c.id) & judgements.c.verdict.is_not(None)
        judged = sa.select(sa.func.count()).select_from(judgements).where(said).scalar_subquery()
        query = sa.select(reviews, judged.label("judged")).where(which).order_by(order, reviews.c.id)
        asking = sa.select(runs).join(reviews).where(which).order_by(*_LATEST_FIRST)
        found = list(self._connection.execute(query).mappings())
        by_review: defaultdict[str, list[sa.RowMapping]] = defaultdict(list)
        for row in self._connection.execute(asking).mappings():
            by_review[row["review"]].append(row)
        return [(row, by_review[row["id"]]) for row in found]

    def insert(self, values: Mapping[str, Any]) -> bool:
        """A new review; False where there is one with its id."""
        try:
            with self._connection.begin_nested():
                self._connection.execute(reviews.insert().values(status="PENDING", decisions=0, **values))
        except sa.exc.IntegrityError:
            return False
        return True

    def reopen(self, identifier: str, *, now: datetime, expires_at: datetime | None) -> bool:
        """Let an expired review wait again; False where it is not expired."""
        expired = _one(identifier) & (reviews.c.status == "PENDING") & ~_waiting(now)
        return self._connection.execute(reviews.update().where(expired).values(expires_at=expires_at)).rowcount == 1

    def take(self, identifier: str, values: Mapping[str, Any], *, now: datetime) -> bool:
        """Decide a review while it waits, in one statement; False where it does not."""
        return self._decide(_one(identifier) & _waiting(now), values)

    def replace(self, identifier: str, values: Mapping[str, Any]) -> None:
        """Decide a locked review again."""
        self._decide(_one(identifier), values)

    def _decide(self, which: Which, values: Mapping[str, Any]) -> bool:
        statement = reviews.update().where(which).values(decisions=reviews.c.decisions + 1, **values)
        return self._connection.execute(statement).rowcount == 1

    def latest_run(self, identifier: str) -> str:
        """The run folder that asked a review last."""
        query = sa.select(runs.c.run).where(runs.c.review == identifier).order_by(*_LATEST_FIRST).limit(1)
        return str(self._connection.execute(query).scalar_one())

    def put_run(self, identifier: str, values: Mapping[str, Any]) -> None:
        """Note that a run folder asks a review; settings that are not given leave those that are known."""
        given = {name: value for name, value in values.items() if value is not None}
        if not self._connection.execute(runs.update().where(_run(identifier, values["run"])).values(**given)).rowcount:
            self._connection.execute(runs.insert().values(review=identifier, **values))

    def note_run(self, identifier: str, values: Mapping[str, Any]) -> None:
        """Note a run folder that a review is decided on; of one that asked before, what is known stays."""
        same = _run(identifier, values["run"])
        known = self._connection.execute(sa.select(runs.c.params).where(same)).first()
        if known is None:
            self._connection.execute(runs.insert().values(review=identifier, **values))
        elif known.params is None and values["params"] is not None:
            self._connection.execute(runs.update().where(same).values(params=values["params"]))

    def judgements(self, identifier: str) -> list[sa.RowMapping]:
        """What was said of the neurons of a review."""
        query = sa.select(judgements).where(judgements.c.review == identifier).order_by(judgements.c.neuron)
        return list(self._connection.execute(query).mappings())

    def judgement(self, identifier: str, neuron: int) -> sa.RowMapping | None:
        """What was said of one neuron."""
        same = (judgements.c.review == identifier) & (judgements.c.neuron == neuron)
        return self._connection.execute(sa.select(judgements).where(same)).mappings().one_or_none()

    def put_judgement(self, identifier: str, values: Mapping[str, Any]) -> None:
        """What is said of a neuron, in place of what was said before."""
        same = (judgements.c.review == identifier) & (judgements.c.neuron == values["neuron"])
        if not self._connection.execute(judgements.update().where(same).values(**values)).rowcount:
            self._connection.execute(judgements.insert().values(review=identifier, **values))

    def append(
        self,
        identifier: str,
        *,
        what: str,
        by: str | None,
        at: datetime,
        run: str | None = None,
        decision: Any = None,
        detail: Any = None,
    ) -> int:
        """An entry of the trail, with the hashes of the model, the data and the run: the one given, or that asked last.

        Returns:
            The number of the entry.
        """
        hashes = sa.select(reviews.c.model, reviews.c.data_version, runs.c.run_hash).join(runs).where(_one(identifier))
        latest = hashes.order_by((runs.c.run == (run or "")).desc(), *_LATEST_FIRST).limit(1)
        values = {"what": what, "by": by, "at": at, "decision": decision, "detail": detail}
        statement = trail.insert().values(
            review=identifier, **values, **self._connection.execute(latest).mappings().one()
        )
        return int(self._connection.execute(statement.returning(trail.c.number)).scalar_one())

    def entries(self, identifier: str) -> list[sa.RowMapping]:
        """The trail of a review, the oldest entry first."""
        query = sa.select(trail).where(trail.c.review == identifier).order_by(trail.c.number)
        return list(self._connection.execute(query).mappings())

    def put_notice(self, identifier: str, event: str, *, number: int, at: datetime) -> None:
        """Something that is to be told outside: the event of one entry of the trail."""
        key = f"{event}:{identifier}:{number}"
        statement = notices.insert().values(key=key, review=identifier, event=event, at=at, attempts=0)
        self._connection.execute(statement)


def _run(identifier: str, run: str) -> Which:
    return (runs.c.review == identifier) & (runs.c.run == run)


def _one(identifier: str) -> Which:
    return reviews.c.id == identifier


def _waiting(now: datetime) -> Which:
    return (reviews.c.status == "PENDING") & (reviews.c.expires_at.is_(None) | (reviews.c.expires_at > now))
