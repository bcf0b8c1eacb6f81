"""A PostgreSQL database for the tests: on the server that is named, on one that runs, or on one started for them alone."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import sqlalchemy as sa

NAMED: Final = "NEUROINSPECT_TEST_POSTGRES"
WAY_OUT: Final = (
    f"`make system` installs what the tests need, and {NAMED} names a server (a SQLAlchemy URL) that they may use"
)
_RUNNING: Final = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
_SECONDS: Final = 60


class NoPostgresError(Exception):
    """There is no PostgreSQL, and none can be started; says what to install."""


@contextmanager
def database() -> Iterator[sa.URL]:
    """A new database, dropped at the end.

    Raises:
        NoPostgresError: no server is named, none runs here, and none can be started.
    """
    with _server() as server, another(server) as url:
        yield url


@contextmanager
def another(of: sa.URL) -> Iterator[sa.URL]:
    """One more database on the same server, dropped at the end."""
    name = f"neuroinspect_{uuid4().hex}"
    _execute(of, f'CREATE DATABASE "{name}"')
    try:
        yield of.set(database=name)
    finally:
        _execute(of, f'DROP DATABASE "{name}" WITH (FORCE)')


def empty_schema(of: sa.URL) -> str:
    """URL of an empty place in a database: whoever connects with it sees its own tables alone."""
    name = f"s{uuid4().hex}"
    _execute(of, f"CREATE SCHEMA {name}")
    return of.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


@contextmanager
def _server() -> Iterator[sa.URL]:
    named = os.environ.get(NAMED)
    if named:
        yield sa.make_url(named)
    elif _answers(sa.make_url(_RUNNING)):
        yield sa.make_url(_RUNNING)
    else:
        with own_server() as url:
            yield url


def _answers(url: sa.URL) -> bool:
    try:
        _execute(url, "SELECT 1")
    except sa.exc.OperationalError:
        return False
    return True


def _execute(url: sa.URL, statement: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 5})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)


@contextmanager
def own_server() -> Iterator[sa.URL]:
    """A server on a free port, with everything it has in one folder that goes with it.

    Raises:
        NoPostgresError: there are no programs of PostgreSQL, or they fail.
    """
    programs = _programs()
    # PostgreSQL refuses to run as root; its own user must reach the folder.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="neuroinspect-postgres-"))
    try:
        if as_user:
            shutil.chown(folder, "postgres")
        data = str(folder / "data")
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
        _call([*as_user, str(programs / "initdb"), "-D", data, *words], folder)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        control = [*as_user, str(programs / "pg_ctl"), "-D", data, "-w", "-t", str(_SECONDS)]
        _call([*control, "-l", str(folder / "log"), "-o", options, "start"], folder)
        try:
            yield sa.make_url(_RUNNING).set(port=port)
        finally:
            _call([*control, "-m", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda at: int(at.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    places = [*newest_first, *([] if on_path is None else [Path(on_path).parent])]
    found = next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)
    if found is None:
        raise NoPostgresError(f"there is no PostgreSQL here; {WAY_OUT}")
    return found


def _call(words: Sequence[str], folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=2 * _SECONDS, check=False)
    if done.returncode:
        log = folder / "log"
        raise NoPostgresError(
            f"{words[-1]} failed: {done.stderr.strip()} {log.read_text() if log.exists() else ''}; {WAY_OUT}"
        )
