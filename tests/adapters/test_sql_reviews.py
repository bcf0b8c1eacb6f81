"""The review store on real SQLite files: one winner, nothing lost, nothing rewritten."""

import multiprocessing
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder, write_json
from neuroinspect.errors import MissingToolError, OutsideError, ReviewConflictError, ReviewError, SettingsError
from neuroinspect.review import Candidate, Decision, auto_decision, decide, open_request

REQUEST = open_request(
    [Candidate(neuron=neuron, direction="both", vote_share=0.5) for neuron in (3, 17)],
    class_name="fish",
    class_index=1,
    model="fingerprint",
    data_version="manifest:d",
)
DECIDERS = 50


def approval(by: str, *, neurons: tuple[int, ...] = (3,), unverified: bool = False) -> Decision:
    return decide(REQUEST, verdict="approved", neurons={"fish": neurons}, by=by, unverified=unverified)


def rejection(by: str) -> Decision:
    return decide(REQUEST, verdict="rejected", neurons={}, by=by)


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/state/reviews.db"


@pytest.fixture
def store(url, tmp_path) -> SqlReviews:
    """A store with one question."""
    reviews = SqlReviews(url)
    reviews.open(REQUEST.record(), run=tmp_path / "run")
    return reviews


def history(store: SqlReviews) -> list[tuple[str, str | None]]:
    return [(entry.what, entry.by) for entry in store.trail(REQUEST.id)]


def test_a_question_waits_until_it_is_answered(store):
    assert [review.request for review in store.pending()] == [REQUEST]
    assert (store.decided(), store.decision(REQUEST.id)) == ([], None)

    store.decide(approval("ada").record())
    (review,) = store.decided()
    assert (review.request, review.decision, store.pending()) == (REQUEST, approval("ada"), [])
    assert review.decided_at is not None
    assert review.decided_at.utcoffset() is not None
    assert review.opened_at <= review.decided_at
    assert store.decision(REQUEST.id) == approval("ada").record()


def test_the_same_question_from_another_run_is_not_asked_twice(store, tmp_path):
    store.open(REQUEST.record(), run=tmp_path / "other")
    assert [review.run for review in store.pending()] == [tmp_path / "run"]
    assert history(store) == [("opened", None)]


def test_a_second_answer_is_told_who_was_first_and_when(store):
    store.decide(approval("ada").record())
    (first,) = store.decided()
    with pytest.raises(
        ReviewConflictError, match=r"already approved by ada on .* UTC \(neurons 3\); --replace"
    ) as told:
        store.decide(rejection("bob").record())
    assert f"{first.decided_at:%Y-%m-%d %H:%M} UTC" in str(told.value)
    assert store.decision(REQUEST.id) == approval("ada").record()
    assert history(store) == [("opened", None), ("decided", "ada")]


def test_the_same_answer_again_changes_nothing(store):
    store.decide(approval("ada").record())
    store.decide(approval("ada").record())
    store.decide(approval("ada").record(), replace=True)
    assert history(store) == [("opened", None), ("decided", "ada")]


def test_a_replaced_answer_stays_in_the_trail(store):
    store.decide(approval("ada").record())
    store.decide(rejection("bob").record(), replace=True)
    assert store.decision(REQUEST.id) == rejection("bob").record()
    entries = store.trail(REQUEST.id)
    assert [entry.what for entry in entries] == ["opened", "decided", "replaced"]
    assert [entry.decision for entry in entries] == [None, approval("ada"), rejection("bob")]


def test_an_unverified_answer_never_takes_the_place_of_a_persons(store):
    store.decide(approval("ada").record())
    with pytest.raises(ReviewConflictError, match=r"by ada .* a person's"):
        store.decide(auto_decision(REQUEST, count=1).record(), replace=True)
    assert store.decision(REQUEST.id) == approval("ada").record()


def test_a_person_replaces_the_rule(store):
    store.decide(auto_decision(REQUEST, count=1).record())
    store.decide(approval("ada").record(), replace=True)
    assert history(store)[1:] == [("decided", "auto"), ("replaced", "ada")]


def test_an_answer_to_an_unknown_question_is_refused(url):
    with pytest.raises(ReviewError, match="has no request"):
        SqlReviews(url).decide(approval("ada").record())


def test_the_trail_names_the_model_the_data_and_the_run(url, tmp_path):
    runs = [RunFolder(tmp_path / name) for name in ("one", "two")]
    for run in runs:
        write_json(run.stage("diagnose") / "stage.json", {"inputs_hash": run.root.name})
    hashes = []
    for number, run in enumerate(runs):
        reviews = SqlReviews(f"{url}{number}")
        reviews.open(REQUEST.record(), run=run.root)
        (entry,) = reviews.trail(REQUEST.id)
        assert (entry.model, entry.data_version) == (REQUEST.model, REQUEST.data_version)
        hashes.append(entry.run_hash)
    assert len(set(hashes)) == 2


@pytest.mark.parametrize("statement", ["UPDATE review_trail SET by = 'eve'", "DELETE FROM review_trail"])
def test_nobody_rewrites_the_trail(store, tmp_path, statement):
    file = tmp_path / "state" / "reviews.db"
    with closing(sqlite3.connect(file)) as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    assert history(store) == [("opened", None)]


def test_an_approval_orders_one_edit_and_a_rejection_withdraws_it(store, tmp_path):
    assert store.edit_order(REQUEST.id) is None
    store.decide(approval("ada").record())
    order = store.edit_order(REQUEST.id)
    assert order is not None
    assert (order.key, order.run, order.started, order.attempts) == (f"edit:{REQUEST.id}", tmp_path / "run", None, 0)

    store.decide(rejection("bob").record(), replace=True)
    assert store.edit_order(REQUEST.id) is None


def test_another_approval_orders_another_edit(store):
    store.decide(approval("ada").record())
    first = store.edit_order(REQUEST.id)
    assert first is not None
    store.mark_started(first.key, "a run")
    store.decide(approval("ada", neurons=(17,)).record(), replace=True)
    second = store.edit_order(REQUEST.id)
    assert second is not None
    assert second.key != first.key
    assert second.started is None


def at_once(decisions: list[Decision], url: str, *, replace: bool) -> list[str]:
    """What each of as many threads, each with its own store, is told: nothing, or the message of its conflict."""
    barrier = Barrier(len(decisions))

    def run(decision: Decision) -> str:
        reviews = SqlReviews(url)
        barrier.wait()
        try:
            reviews.open(REQUEST.record(), run=Path("run"))
            reviews.decide(decision.record(), replace=replace)
        except ReviewConflictError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(decisions)) as threads:
        return list(threads.map(run, decisions))


def test_of_fifty_who_decide_at_once_one_wins_and_the_others_hear_who(url):
    told = Counter(at_once([approval(f"reviewer {number}") for number in range(DECIDERS)], url, replace=False))
    store = SqlReviews(url)
    (review,) = store.decided()
    assert review.decision is not None
    winner = review.decision.by
    assert told.pop("") == 1
    assert sum(told.values()) == DECIDERS - 1
    assert all(f"approved by {winner} on" in message for message in told)
    assert history(store) == [("opened", None), ("decided", winner)]


def test_those_who_replace_at_once_leave_a_trail_of_every_answer_that_stood(store, url):
    store.decide(approval("ada").record())
    told = at_once([approval(f"reviewer {number}") for number in range(20)], url, replace=True)
    entries = store.trail(REQUEST.id)
    assert [entry.what for entry in entries[2:]] == ["replaced"] * told.count("")
    last = entries[-1].decision
    assert last is not None
    assert store.decision(REQUEST.id) == last.record()


def exit_code_of(work: Callable[..., None], *words: Any) -> int | None:
    """How a forked process ends that does this work."""
    child = multiprocessing.get_context("fork").Process(target=work, args=words)
    child.start()
    child.join()
    return child.exitcode


def decide_and_die(url: str) -> None:
    """What the child does: it dies when everything is written, and not yet committed."""
    import sqlalchemy as sa

    reviews = SqlReviews(url)
    reviews.open(REQUEST.record(), run=Path("run"))
    sa.event.listen(sa.Engine, "commit", lambda connection: os.kill(os.getpid(), signal.SIGKILL))
    reviews.decide(approval("ada").record())


def test_a_decider_killed_before_the_commit_has_decided_nothing(url):
    assert exit_code_of(decide_and_die, url) == -signal.SIGKILL

    store = SqlReviews(url)
    assert [review.request for review in store.pending()] == [REQUEST]
    assert (store.edit_order(REQUEST.id), history(store)) == (None, [("opened", None)])
    store.decide(approval("bob").record())
    assert store.decision(REQUEST.id) == approval("bob").record()


def test_a_forked_process_uses_the_store_it_inherits(store):
    assert exit_code_of(store.decide, approval("ada").record()) == 0
    assert history(store) == [("opened", None), ("decided", "ada")]


def test_a_file_is_in_wal_mode_and_left_closed(store, tmp_path):
    with closing(sqlite3.connect(tmp_path / "state" / "reviews.db")) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    # The last connection to close takes the log with it.
    assert not list((tmp_path / "state").glob("reviews.db-*"))


def test_tables_of_a_newer_version_are_left_alone(store, url, tmp_path):
    with closing(sqlite3.connect(tmp_path / "state" / "reviews.db")) as other, other:
        other.execute("UPDATE review_schema SET version = 2")
    with pytest.raises(OutsideError, match="version 2, this NeuroInspect knows version 1; update"):
        SqlReviews(url).pending()


def test_a_file_another_process_holds_is_named(store, url, tmp_path):
    impatient = SqlReviews(url, patience=0.05)
    with closing(sqlite3.connect(tmp_path / "state" / "reviews.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutsideError, match=r"locked.*wait for that one"):
            impatient.decide(approval("ada").record())
    impatient.decide(approval("ada").record())
    assert history(store)[-1] == ("decided", "ada")


def test_a_damaged_file_is_named_with_the_way_out(tmp_path):
    (tmp_path / "reviews.db").write_bytes(b"this is no database, whatever its name says" * 50)
    with pytest.raises(OutsideError, match=r"reviews\.db cannot be used .* backup"):
        SqlReviews(f"sqlite:///{tmp_path}/reviews.db").pending()


def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(OutsideError, match="NEUROINSPECT_REVIEW_URL"):
        SqlReviews(f"sqlite:///{tmp_path}/state/reviews.db").pending()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("hush", SettingsError),
        ("sqlite://", SettingsError),
        ("oracle://me:hush@host/database", SettingsError),
        ("postgresql+asyncpg://me:hush@host/database?password=hush", SettingsError),
        ("postgresql+pg8000://me:hush@host/database", MissingToolError),
    ],
)
def test_a_url_that_cannot_keep_reviews_is_refused_and_never_shown(url, error):
    with pytest.raises(error) as refused:
        SqlReviews(url).pending()
    assert "hush" not in str(refused.value)
    assert "NEUROINSPECT_REVIEW_URL" in str(refused.value)


def test_an_error_never_shows_the_password(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(OutsideError) as refused:
        SqlReviews(f"sqlite:///{tmp_path}/state/reviews.db?password=hush").pending()
    assert "hush" not in str(refused.value)
