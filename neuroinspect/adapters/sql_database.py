"""The way to the database of the review store: a SQLite file, or PostgreSQL by its URL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.pool import NullPool

from neuroinspect.adapters.sql_migrations import make_or_move_on, version_of
from neuroinspect.adapters.sql_schema import SCHEMA
from neuroinspect.errors import MissingToolError, OutsideError, SettingsError

_WRITING: Final = "neuroinspect_writing"
_KINDS: Final = ("sqlite", "postgresql")
_EXAMPLES: Final = "sqlite:////FOLDER/reviews.db or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
_SERVER_DRIVERS: Final = ("psycopg", "psycopg2")


def connect(url: str, *, patience: float) -> sa.Engine:
    """A way to the database; nothing is opened yet.

    No connection outlives its transaction, so an engine may be used by threads and over a fork, and needs no closing.

    Args:
        url: SQLAlchemy's.
        patience: seconds to wait for another process's lock, or for a server.

    Raises:
        SettingsError: the URL names no database of a kind that is served. The message never shows it.
        MissingToolError: the driver is not installed.
    """
    try:
        parsed = sa.make_url(url)
        kind = parsed.get_backend_name()
        if kind not in _KINDS or parsed.database in {None, "", ":memory:"} or parsed.get_dialect().is_async:
            raise SettingsError(
                f"NEUROINSPECT_REVIEW_URL names no database that can keep reviews; expected {_EXAMPLES}"
            )
        arguments: dict[str, Any] = {"timeout": patience} if kind == "sqlite" else {}
        if parsed.get_driver_name() in _SERVER_DRIVERS:
            arguments["connect_timeout"] = max(1, round(patience))
        engine = sa.create_engine(parsed, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
    except sa.exc.ArgumentError:
        raise SettingsError(f"NEUROINSPECT_REVIEW_URL is no URL that SQLAlchemy knows; expected {_EXAMPLES}") from None
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"NEUROINSPECT_REVIEW_URL needs the driver {error.name}, which is not installed; pip install {error.name}"
        ) from error
    if kind == "sqlite":
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        sa.event.listen(engine, "begin", partial(_begin_postgres, patience=patience))
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # SQLAlchemy begins transactions, not the driver: see _begin_sqlite.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer waits for the lock at once; one that has read first would be refused where it writes.
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _begin_postgres(connection: sa.Connection, *, patience: float) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, round(patience * 1000))}")
    if not connection.get_execution_options().get(_WRITING, False):
        # Several questions to one state of the store, as SQLite gives them.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def prepare(engine: sa.Engine) -> None:
    """Make the tables where they are not there, and move those of an older version on.

    Raises:
        OutsideError: the database cannot be used, or a newer version of this tool made its tables.
    """
    with _explained(engine), _alone(engine):
        if _is_ready(engine):
            return
        try:
            with _begun(engine, writing=True) as connection:
                make_or_move_on(connection)
        except sa.exc.DBAPIError:
            # Another process may have done the same between our look and our attempt.
            if not _is_ready(engine):
                raise


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Make a SQLite file ready for many at once, while nobody else has it open: SQLite does not wait for others there."""
    file = engine.url.database
    if engine.dialect.name != "sqlite" or file is None or file.startswith("file:"):
        yield
        return
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
        yield


@contextmanager
def transaction(engine: sa.Engine, *, writing: bool) -> Iterator[sa.Connection]:
    """One transaction: committed at its end, undone by an exception.

    Raises:
        OutsideError: the database cannot be used.
    """
    with _explained(engine), _begun(engine, writing=writing) as connection:
        yield connection


@contextmanager
def _begun(engine: sa.Engine, *, writing: bool) -> Iterator[sa.Connection]:
    with engine.connect() as connection, connection.execution_options(**{_WRITING: writing}).begin():
        yield connection


def _is_ready(engine: sa.Engine) -> bool:
    with _begun(engine, writing=False) as connection:
        version = version_of(connection)
    if version is None or version < SCHEMA:
        return False
    if version != SCHEMA:
        raise OutsideError(
            f"the review store has tables of version {version}, this NeuroInspect knows version {SCHEMA}; update "
            "NeuroInspect, or name another store with NEUROINSPECT_REVIEW_URL"
        )
    return True


@contextmanager
def _explained(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        way_out = next((way for sign, way in _WAYS_OUT.items() if sign in reason.lower()), _WAY_OUT)
        # Neither user nor password nor options: one of them may be a secret.
        url = engine.url
        place = sa.URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()
        raise OutsideError(f"the review store {place} cannot be used ({reason}); {way_out}") from error


_DAMAGED = "put a backup in its place, or move it away: decisions in run folders are then adopted as unverified"
_WAYS_OUT: Final = {
    "lock timeout": "another process holds it for long; wait for that one, then run the same command again",
    "locked": "another process holds it for long; wait for that one, then run the same command again",
    "not a database": _DAMAGED,
    "malformed": _DAMAGED,
    "readonly": "make the file and its folder writable, or name another with NEUROINSPECT_REVIEW_URL",
    "unable to open": "make its folder writable, or name another file with NEUROINSPECT_REVIEW_URL",
    "permission denied": "make its folder writable, or name another file with NEUROINSPECT_REVIEW_URL",
    "is full": "free some space, then run the same command again",
}
_WAY_OUT: Final = "start its server or correct NEUROINSPECT_REVIEW_URL, then run the same command again"
