"""What every part of the review store does to reach its database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from neuroinspect.adapters.sql_rows import Rows


def now_in_utc() -> datetime:
    """The time."""
    return datetime.now(UTC)


class SqlStore:
    """A part of the review store behind one SQLAlchemy URL; threads and forked processes may share it.

    Args:
        url: SQLite or PostgreSQL. It may hold a password, so no message shows it.
        patience: seconds to wait for another process, or for a server.
        clock: tells the time.
    """

    def __init__(self, url: str, *, patience: float = 30, clock: Callable[[], datetime] = now_in_utc) -> None:
        self._url = url
        self._patience = patience
        self._clock = clock
        self._engine: Engine | None = None

    @contextmanager
    def _transaction(self, *, writing: bool = False) -> "Iterator[Connection]":
        """One transaction; the tables are made, or moved on, before the first.

        Raises:
            OutsideError: the database cannot be used.
        """
        # Loaded when it is used: the command line starts sooner.
        from neuroinspect.adapters.sql_database import connect, prepare, transaction

        if self._engine is None:
            engine = connect(self._url, patience=self._patience)
            prepare(engine)
            self._engine = engine
        with transaction(self._engine, writing=writing) as connection:
            yield connection

    @contextmanager
    def _rows(self, *, writing: bool = False) -> "Iterator[Rows]":
        """The reviews in one transaction.

        Raises:
            OutsideError: the database cannot be used.
        """
        from neuroinspect.adapters.sql_rows import Rows

        with self._transaction(writing=writing) as connection:
            yield Rows(connection)
