"""The script that makes a team's databases, on a server of its own: roles belong to the whole server."""

import os
import subprocess
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.postgres import NoPostgresError, own_server
from tests.production import FOLDER

NAMES = ("mlflow", "prefect", "reviews")
PASSWORDS = {f"DATABASE_PASSWORD_{name.upper()}": f"it's {name}'s $1 \\ one" for name in NAMES}


@pytest.fixture(scope="module")
def server() -> Iterator[sa.URL]:
    try:
        with own_server() as url:
            yield url
    except NoPostgresError as error:
        pytest.skip(str(error))


def make(server: sa.URL, passwords: dict[str, str]) -> subprocess.CompletedProcess[str]:
    to = {"PGHOST": str(server.host), "PGPORT": str(server.port), "PGUSER": str(server.username)}
    words = ["sh", str(FOLDER / "databases.sh")]
    environment = {"PATH": os.environ["PATH"], **to, **passwords}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)


def ask(server: sa.URL, question: str) -> list[tuple[object, ...]]:
    engine = sa.create_engine(server, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(question)]


def test_each_database_belongs_to_a_role_that_alone_may_enter_it(server):
    for _ in range(2):  # what is there stays
        done = make(server, PASSWORDS)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    owners = ask(
        server,
        "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname <> 'postgres' AND NOT datistemplate",
    )
    assert sorted(owners) == [(name, name) for name in NAMES]
    allowed = ask(
        server,
        "SELECT rolname, datname FROM pg_roles, pg_database WHERE rolcanlogin AND NOT rolsuper AND NOT datistemplate "
        "AND datname <> 'postgres' AND has_database_privilege(rolname, datname, 'CONNECT')",
    )
    assert sorted(allowed) == [(name, name) for name in NAMES]
    assert len(set(ask(server, "SELECT rolpassword FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256%%'"))) == len(
        NAMES
    )


@pytest.mark.parametrize("name", sorted(PASSWORDS))
def test_a_password_that_is_missing_is_asked_for_and_nothing_is_made_without(server, name):
    done = make(server, {**PASSWORDS, name: ""})

    assert done.returncode != 0
    assert name in done.stderr
