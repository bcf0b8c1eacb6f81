"""Tables of the review store, and the way to the database they lie in.

Nothing here is for SQLite alone: the same tables serve a laptop and, by its URL, a PostgreSQL server.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator

from neuroinspect.errors import MissingToolError, OutsideError, SettingsError

SCHEMA: Final = 1
_WRITING: Final = "neuroinspect_writing"
_EXAMPLES: Final = "sqlite:////FOLDER/reviews.db or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
_SERVER_DRIVERS: Final = ("psycopg", "psycopg2")


class _UtcTime(TypeDecorator[datetime]):
    """A time with its zone, also where the database keeps none."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        """Into the database: in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        """Out of the database: in UTC."""
        return None if value is None else value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


_tables = sa.MetaData()
_json = sa.JSON(none_as_null=True)
versions = sa.Table("review_schema", _tables, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
reviews = sa.Table(
    "review",
    _tables,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("class", sa.Text, key="class_name", nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("data_version", sa.Text, nullable=False),
    sa.Column("request", _json, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("run_hash", sa.String(64), nullable=False),
    sa.Column(
        "status", sa.String(16), sa.CheckConstraint("status IN ('PENDING', 'APPROVED', 'REJECTED')"), nullable=False
    ),
    sa.Column("decision", _json),
    sa.Column("decided_by", sa.Text),
    sa.Column("decisions", sa.Integer, nullable=False),
    sa.Column("opened_at", _UtcTime, nullable=False),
    sa.Column("decided_at", _UtcTime),
)
trail = sa.Table(
    "review_trail",
    _tables,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("review", sa.ForeignKey(reviews.c.id), nullable=False, index=True),
    sa.Column("at", _UtcTime, nullable=False),
    sa.Column("by", sa.Text),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("data_version", sa.Text, nullable=False),
    sa.Column("run_hash", sa.String(64), nullable=False),
    sa.Column("decision", _json),
)
outbox = sa.Table(
    "review_outbox",
    _tables,
    sa.Column("key", sa.String(96), primary_key=True),
    sa.Column("review", sa.ForeignKey(reviews.c.id), nullable=False, unique=True),
    sa.Column("started", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),
)

# Nobody rewrites the trail, whatever program opens the database.
_APPEND_ONLY: Final = {
    "sqlite": tuple(
        f"CREATE TRIGGER review_trail_{what.lower()} BEFORE {what} ON review_trail "
        "BEGIN SELECT RAISE(ABORT, 'review_trail is append-only'); END"
        for what in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION review_trail_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION ''review_trail is append-only''; END'",
        "CREATE TRIGGER review_trail_append_only BEFORE UPDATE OR DELETE ON review_trail "
        "FOR EACH ROW EXECUTE FUNCTION review_trail_refuse()",
    ),
}


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
        if kind not in _APPEND_ONLY or parsed.database in {None, "", ":memory:"} or parsed.get_dialect().is_async:
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
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # SQLAlchemy begins transactions, not the driver: see _begin_sqlite.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer waits for the lock at once; one that has read first would be refused where it writes.
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def prepare(engine: sa.Engine) -> None:
    """Make the tables where they are not there.

    Raises:
        OutsideError: the database cannot be used, or a newer version of this tool made its tables.
    """
    with _explained(engine), _alone(engine):
        if _is_ready(engine):
            return
        try:
            with _begun(engine, writing=True) as connection:
                if not sa.inspect(connection).has_table(versions.name):
                    _tables.create_all(connection)
                    for command in _APPEND_ONLY[engine.dialect.name]:
                        connection.exec_driver_sql(command)
                    connection.execute(versions.insert().values(version=SCHEMA))
        except sa.exc.DBAPIError:
            # Another process may have made the same tables between our look and our attempt.
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
        if not sa.inspect(connection).has_table(versions.name):
            return False
        version = connection.scalar(sa.select(versions.c.version))
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
    "locked": "another process holds it for long; wait for that one, then run the same command again",
    "not a database": _DAMAGED,
    "malformed": _DAMAGED,
    "readonly": "make the file and its folder writable, or name another with NEUROINSPECT_REVIEW_URL",
    "unable to open": "make its folder writable, or name another file with NEUROINSPECT_REVIEW_URL",
    "permission denied": "make its folder writable, or name another file with NEUROINSPECT_REVIEW_URL",
    "is full": "free some space, then run the same command again",
}
_WAY_OUT: Final = "start its server or correct NEUROINSPECT_REVIEW_URL, then run the same command again"
