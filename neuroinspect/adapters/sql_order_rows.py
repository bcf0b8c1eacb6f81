"""The statements of the review store over one connection: what follows the decisions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from neuroinspect.adapters.sql_schema import orders, runs


class OrderRows:
    """Rows of the orders inside one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def order(self, identifier: str) -> sa.RowMapping | None:
        """What is ordered for a review, with the settings of its run."""
        return self._connection.execute(_orders().where(orders.c.review == identifier)).mappings().one_or_none()

    def open_orders(self) -> Sequence[sa.RowMapping]:
        """What is ordered and not finished, the oldest first."""
        query = _orders().where(orders.c.finished_at.is_(None)).order_by(orders.c.ordered_at, orders.c.key)
        return self._connection.execute(query).mappings().all()

    def put_order(self, identifier: str, key: str, *, run: str, at: datetime) -> None:
        """Order what follows a decision, in place of any other order of the review."""
        self._connection.execute(orders.delete().where(orders.c.review == identifier))
        self._connection.execute(
            orders.insert().values(key=key, review=identifier, run=run, attempts=0, lost=0, ordered_at=at)
        )

    def count_attempt(self, key: str) -> None:
        """One more attempt to start an order."""
        self._connection.execute(orders.update().where(orders.c.key == key).values(attempts=orders.c.attempts + 1))

    def put_off(self, key: str, *, problem: str, again_at: datetime) -> None:
        """An order that is not started waits until then."""
        waiting = orders.update().where(orders.c.key == key, orders.c.started.is_(None))
        self._connection.execute(waiting.values(problem=problem, again_at=again_at))

    def mark_started(self, key: str, started: str, *, lost: int) -> None:
        """The order was started as this run; nothing where it was started before, or more starts were given up."""
        same = (orders.c.key == key) & orders.c.started.is_(None) & (orders.c.lost == lost)
        self._connection.execute(orders.update().where(same).values(started=started, problem=None, again_at=None))

    def give_up_start(self, key: str, started: str, *, problem: str, again_at: datetime | None) -> None:
        """Forget a start; nothing where the order was not started as this."""
        statement = orders.update().where(orders.c.key == key, orders.c.started == started)
        forgotten = statement.values(started=None, lost=orders.c.lost + 1, problem=problem, again_at=again_at)
        self._connection.execute(forgotten)

    def retry(self, identifier: str, *, at: datetime) -> None:
        """An order that has stopped can be started from now on."""
        stopped = (orders.c.review == identifier) & orders.c.started.is_(None) & (orders.c.lost > 0)
        statement = orders.update().where(stopped, orders.c.again_at.is_(None), orders.c.finished_at.is_(None))
        self._connection.execute(statement.values(again_at=at))

    def finish(self, identifier: str, *, run: str, at: datetime) -> bool:
        """The order of a review is done in the run folder it names; False where it was before, or names another."""
        same = (orders.c.review == identifier) & (orders.c.run == run) & orders.c.finished_at.is_(None)
        statement = orders.update().where(same).values(finished_at=at, problem=None, again_at=None)
        return self._connection.execute(statement).rowcount == 1


def _orders() -> sa.Select[Any]:
    same = (runs.c.review == orders.c.review) & (runs.c.run == orders.c.run)
    return sa.select(orders, runs.c.params).outerjoin(runs, same)
