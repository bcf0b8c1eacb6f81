"""What follows the decisions of the review store: the orders, and how each one goes."""

from datetime import datetime

from neuroinspect.adapters.sql_records import edit_order
from neuroinspect.adapters.sql_store import SqlStore
from neuroinspect.review import EditOrder


class SqlOrders(SqlStore):
    """The orders of the review store, see SqlStore."""

    def edit_order(self, identifier: str) -> EditOrder | None:
        """What follows the decision of a review, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows() as rows:
            row = rows.orders.order(identifier)
        return None if row is None else edit_order(row)

    def open_orders(self) -> list[EditOrder]:
        """Everything that is ordered and not finished, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows() as rows:
            return [edit_order(row) for row in rows.orders.open_orders()]

    def count_attempt(self, key: str) -> None:
        """Note that an order is about to be started.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows(writing=True) as rows:
            rows.orders.count_attempt(key)

    def put_off(self, key: str, *, problem: str, again_at: datetime) -> None:
        """Note why an order could not be started, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows(writing=True) as rows:
            rows.orders.put_off(key, problem=problem, again_at=again_at)

    def mark_started(self, key: str, started: str, *, lost: int) -> None:
        """Note as what an order was started, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows(writing=True) as rows:
            rows.orders.mark_started(key, started, lost=lost)

    def give_up_start(self, key: str, started: str, *, problem: str, again_at: datetime | None) -> None:
        """Note that what was started is gone or failed, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows(writing=True) as rows:
            rows.orders.give_up_start(key, started, problem=problem, again_at=again_at)

    def retry(self, identifier: str) -> None:
        """Let an order that has stopped be started again, see the port.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows(writing=True) as rows:
            rows.orders.retry(identifier, at=self._clock())
