"""A review store as version 1 made it: its own statements, and a review in each state it knew."""

import json
from typing import Any, Final

import sqlalchemy as sa

from neuroinspect.review import Decision, ReviewRequest, decide
from tests.adapters.review_store import question

PENDING, STARTED, ORDERED, REJECTED, REPLACED = (question(name) for name in ("boat", "car", "dog", "elk", "fox"))
DECIDED_AT: Final = "2026-03-02 12:00:00.000000"
_OPENED_AT: Final = "2026-03-01 12:00:00.000000"
_TABLES: Final = (
    """CREATE TABLE review (
        id VARCHAR(64) NOT NULL,
        class TEXT NOT NULL,
        model TEXT NOT NULL,
        data_version TEXT NOT NULL,
        request JSON NOT NULL,
        run TEXT NOT NULL,
        run_hash VARCHAR(64) NOT NULL,
        status VARCHAR(16) NOT NULL CHECK (status IN ('PENDING', 'APPROVED', 'REJECTED')),
        decision JSON,
        decided_by TEXT,
        decisions INTEGER NOT NULL,
        opened_at {time} NOT NULL,
        decided_at {time},
        PRIMARY KEY (id)
    )""",
    "CREATE TABLE review_schema (version INTEGER NOT NULL, PRIMARY KEY (version))",
    """CREATE TABLE review_outbox (
        "key" VARCHAR(96) NOT NULL,
        review VARCHAR(64) NOT NULL,
        started TEXT,
        attempts INTEGER NOT NULL,
        PRIMARY KEY ("key"),
        UNIQUE (review),
        FOREIGN KEY(review) REFERENCES review (id)
    )""",
    """CREATE TABLE review_trail (
        number {serial} NOT NULL,
        review VARCHAR(64) NOT NULL,
        at {time} NOT NULL,
        "by" TEXT,
        what VARCHAR(16) NOT NULL,
        model TEXT NOT NULL,
        data_version TEXT NOT NULL,
        run_hash VARCHAR(64) NOT NULL,
        decision JSON,
        PRIMARY KEY (number),
        FOREIGN KEY(review) REFERENCES review (id)
    )""",
    "CREATE INDEX ix_review_trail_review ON review_trail (review)",
)
_APPEND_ONLY: Final = {
    "sqlite": (
        "CREATE TRIGGER review_trail_update BEFORE UPDATE ON review_trail "
        "BEGIN SELECT RAISE(ABORT, 'review_trail is append-only'); END",
        "CREATE TRIGGER review_trail_delete BEFORE DELETE ON review_trail "
        "BEGIN SELECT RAISE(ABORT, 'review_trail is append-only'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION review_trail_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION ''review_trail is append-only''; END'",
        "CREATE TRIGGER review_trail_append_only BEFORE UPDATE OR DELETE ON review_trail "
        "FOR EACH ROW EXECUTE FUNCTION review_trail_refuse()",
    ),
}
_REVIEW: Final = sa.text(
    "INSERT INTO review (id, class, model, data_version, request, run, run_hash, status, decision, decided_by, decisions, "
    "opened_at, decided_at) VALUES (:id, :class, :model, :data_version, :request, :run, :run_hash, :status, :decision, "
    ":decided_by, :decisions, :opened_at, :decided_at)"
)
_ENTRY: Final = sa.text(
    'INSERT INTO review_trail (review, at, "by", what, model, data_version, run_hash, decision) VALUES (:review, :at, :by, '
    ":what, :model, :data_version, :run_hash, :decision)"
)
_ORDER: Final = sa.text(
    'INSERT INTO review_outbox ("key", review, started, attempts) VALUES (:key, :review, :started, :attempts)'
)


def answer(request: ReviewRequest, *, neurons: tuple[int, ...] = (3,)) -> Decision:
    verdict: Any = "approved" if neurons else "rejected"
    return decide(request, verdict=verdict, neurons={request.class_name: neurons}, by="ada", note="trees")


def make_version_1(url: str) -> None:
    """Make the store, with a pending review, two approved ones (one started), and two rejected ones (one approved before)."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    kind = engine.dialect.name
    types = {"sqlite": ("DATETIME", "INTEGER"), "postgresql": ("TIMESTAMP WITH TIME ZONE", "SERIAL")}[kind]
    with engine.begin() as connection:
        for statement in _TABLES:
            connection.exec_driver_sql(statement.format(time=types[0], serial=types[1]))
        for statement in _APPEND_ONLY[kind]:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("INSERT INTO review_schema (version) VALUES (1)")
        open_as_version_1(connection, PENDING)
        for request, started in ((STARTED, "a Prefect run"), (ORDERED, None)):
            open_as_version_1(connection, request)
            _decide(connection, answer(request), decisions=1)
            order = {"key": f"edit:{request.id}", "review": request.id, "started": started, "attempts": 2}
            connection.execute(_ORDER, order)
        open_as_version_1(connection, REJECTED)
        _decide(connection, answer(REJECTED, neurons=()), decisions=1)
        open_as_version_1(connection, REPLACED)
        _decide(connection, answer(REPLACED), decisions=1)
        _decide(connection, answer(REPLACED, neurons=()), decisions=2)


def open_as_version_1(connection: sa.Connection, request: ReviewRequest) -> None:
    """What version 1 does when a run asks."""
    values = {
        "id": request.id,
        "class": request.class_name,
        **_hashes(request),
        "request": json.dumps(request.record()),
        "run": f"/runs/{request.class_name}",
        "status": "PENDING",
        "decision": None,
        "decided_by": None,
        "decisions": 0,
        "opened_at": _on(connection, _OPENED_AT),
        "decided_at": None,
    }
    connection.execute(_REVIEW, values)
    entry = {"review": request.id, "at": values["opened_at"], "by": None, "what": "opened", "decision": None}
    connection.execute(_ENTRY, {**entry, **_hashes(request)})


def decide_as_version_1(connection: sa.Connection, request: ReviewRequest) -> None:
    """What version 1 does when somebody approves."""
    _decide(connection, answer(request), decisions=1)
    connection.execute(_ORDER, {"key": "edit", "review": request.id, "started": None, "attempts": 0})


def _decide(connection: sa.Connection, decision: Decision, *, decisions: int) -> None:
    record = decision.record()
    del record["strength"]  # version 1 knew none
    values = {
        "status": decision.verdict.upper(),
        "decision": json.dumps(record),
        "by": decision.by,
        "at": _on(connection, DECIDED_AT),
        "id": decision.request,
        "decisions": decisions,
    }
    connection.execute(
        sa.text(
            "UPDATE review SET status = :status, decision = :decision, decided_by = :by, decided_at = :at, "
            "decisions = :decisions WHERE id = :id"
        ),
        values,
    )
    request = next(one for one in (PENDING, STARTED, ORDERED, REJECTED, REPLACED) if one.id == decision.request)
    what = "decided" if decisions == 1 else "replaced"
    entry = {"review": request.id, "at": values["at"], "by": "ada", "what": what, "decision": values["decision"]}
    connection.execute(_ENTRY, {**entry, **_hashes(request)})


def _hashes(request: ReviewRequest) -> dict[str, str]:
    return {"model": request.model, "data_version": request.data_version, "run_hash": f"hash of {request.class_name}"}


def _on(connection: sa.Connection, time: str) -> str:
    return time if connection.dialect.name == "sqlite" else f"{time}+00"
