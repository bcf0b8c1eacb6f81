"""The review store on both databases: one answer stands, an order follows it, and the trail keeps what was before."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder, write_json
from neuroinspect.errors import ReviewConflictError, ReviewError, ReviewExpiredError, UnknownReviewError
from neuroinspect.review import auto_decision
from tests.adapters.review_store import REQUEST, approval, history, question, rejection, said

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def store(review_url, tmp_path) -> SqlReviews:
    """A store with one question."""
    reviews = SqlReviews(review_url)
    reviews.open(REQUEST.record(), run=tmp_path / "run")
    return reviews


def execute(url: str, statement: str) -> list[Any]:
    """Do something to the tables behind the store's back."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.exec_driver_sql(statement)
        return list(result) if result.returns_rows else []


def test_a_question_waits_until_it_is_answered(store):
    assert [review.request for review in store.pending()] == [REQUEST]
    assert (store.closed(), store.decision(REQUEST.id)) == ([], None)

    store.decide(approval("ada").record())
    (review,) = store.closed()
    assert (review.request, review.decision, review.status) == (REQUEST, approval("ada"), "approved")
    assert store.pending() == []
    assert review.decided_at is not None
    assert review.decided_at.utcoffset() is not None
    assert review.opened_at <= review.decided_at
    assert store.decision(REQUEST.id) == approval("ada").record()
    assert store.review(REQUEST.id) == review


def test_the_same_question_from_another_run_is_not_asked_twice(store, tmp_path):
    store.open(REQUEST.record(), run=tmp_path / "other")
    (review,) = store.pending()
    assert [run.root for run in review.runs] == [tmp_path / "other", tmp_path / "run"]
    assert review.run == review.runs[0]
    assert history(store) == [("opened", None)]


def test_settings_that_are_not_given_leave_those_that_are_known(store, tmp_path):
    store.open(REQUEST.record(), run=tmp_path / "run", params={"seed": 1})
    store.open(REQUEST.record(), run=tmp_path / "run")
    (review,) = store.pending()
    assert [run.params for run in review.runs] == [{"seed": 1}]
    store.open(REQUEST.record(), run=tmp_path / "run", params={"seed": 2})
    (review,) = store.pending()
    assert review.run.params == {"seed": 2}


def test_a_second_answer_is_told_who_was_first_and_when(store):
    store.decide(approval("ada").record())
    (first,) = store.closed()
    with pytest.raises(
        ReviewConflictError, match=r"already approved by ada on .* UTC \(neurons 3\); --replace"
    ) as told:
        store.decide(rejection("bob").record())
    assert f"{first.decided_at:%Y-%m-%d %H:%M} UTC" in str(told.value)
    assert store.decision(REQUEST.id) == approval("ada").record()
    assert history(store) == [("opened", None), ("decided", "ada")]


def test_the_same_answer_again_changes_nothing(store):
    store.decide(approval("ada").record())
    before = store.edit_order(REQUEST.id)
    store.decide(approval("ada").record())
    store.decide(approval("ada").record(), replace=True)
    assert history(store) == [("opened", None), ("decided", "ada")]
    assert store.edit_order(REQUEST.id) == before


def test_a_replaced_answer_stays_in_the_trail(store):
    store.decide(approval("ada", strength=0.25).record())
    store.decide(rejection("bob").record(), replace=True)
    assert store.decision(REQUEST.id) == rejection("bob").record()
    entries = store.trail(REQUEST.id)
    assert [entry.what for entry in entries] == ["opened", "decided", "replaced"]
    assert [entry.decision for entry in entries] == [None, approval("ada", strength=0.25), rejection("bob")]


def test_an_unverified_answer_never_takes_the_place_of_a_persons(store):
    store.decide(approval("ada").record())
    with pytest.raises(ReviewConflictError, match=r"by ada .* a person's"):
        store.decide(auto_decision(REQUEST, count=1).record(), replace=True)
    assert store.decision(REQUEST.id) == approval("ada").record()


def test_a_person_replaces_the_rule(store):
    store.decide(auto_decision(REQUEST, count=1).record())
    store.decide(approval("ada").record(), replace=True)
    assert history(store)[1:] == [("decided", "auto"), ("replaced", "ada")]


def test_a_question_nobody_asked_has_neither_answer_nor_story(store):
    unknown = question("boat")
    with pytest.raises(UnknownReviewError, match="has no review"):
        store.decide(auto_decision(unknown, count=1).record())
    with pytest.raises(UnknownReviewError, match="has no review"):
        store.judge(unknown.id, said(3, "core"))
    store.finish(auto_decision(unknown, count=1).record(), run=Path("run"), outcome="done")
    assert (store.review(unknown.id), store.decision(unknown.id), store.edit_order(unknown.id)) == (None, None, None)
    assert (store.trail(unknown.id), store.judgements(unknown.id)) == ([], {})


def test_the_trail_names_the_model_the_data_and_the_run_it_happened_on(review_url, tmp_path):
    runs = [RunFolder(tmp_path / name) for name in ("one", "two")]
    for run in runs:
        write_json(run.stage("diagnose") / "stage.json", {"inputs_hash": run.root.name})
    store = SqlReviews(review_url)
    store.open(REQUEST.record(), run=runs[0].root)
    store.judge(REQUEST.id, said(3, "core"))
    store.open(REQUEST.record(), run=runs[1].root)
    store.judge(REQUEST.id, said(3, "spurious"))
    store.decide(approval("ada").record(), run=runs[0].root)
    store.finish(approval("ada").record(), run=runs[0].root, outcome="done")
    entries = store.trail(REQUEST.id)
    assert {(entry.model, entry.data_version) for entry in entries} == {(REQUEST.model, REQUEST.data_version)}
    (review,) = store.closed()
    hashes = {run.root: run.run_hash for run in review.runs}
    one, two = hashes[runs[0].root], hashes[runs[1].root]
    assert one != two
    assert [(entry.what, entry.run_hash) for entry in entries] == [
        ("opened", one),
        ("judged", one),
        ("judged", two),
        ("decided", one),
        ("edited", one),
    ]


REWRITINGS = {
    "sqlite": [
        "UPDATE review_trail SET what = 'lost'",
        "DELETE FROM review_trail",
        "REPLACE INTO review_trail SELECT number, review, at, 'eve', what, model, data_version, run_hash, decision, detail "
        "FROM review_trail",
    ],
    "postgresql": [
        "UPDATE review_trail SET what = 'lost'",
        "DELETE FROM review_trail",
        "TRUNCATE review_trail",
        "TRUNCATE review CASCADE",
    ],
}


def test_nobody_rewrites_the_trail(store, review_url):
    before = store.trail(REQUEST.id)
    for statement in REWRITINGS[sa.make_url(review_url).get_backend_name()]:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            execute(review_url, statement)
    assert store.trail(REQUEST.id) == before
    store.decide(approval("ada").record())
    assert history(store) == [("opened", None), ("decided", "ada")]


def test_every_decision_orders_what_follows_it_in_place_of_the_order_before(store, tmp_path):
    assert store.edit_order(REQUEST.id) is None
    store.decide(approval("ada").record())
    order = store.edit_order(REQUEST.id)
    assert order is not None
    assert order.key.startswith(f"edit:{REQUEST.id}:")
    assert (order.run, order.started, order.attempts) == (tmp_path / "run", None, 0)

    store.decide(rejection("bob").record(), replace=True)
    (another,) = store.open_orders()
    assert another.key not in {order.key, ""}


def test_the_same_answer_in_a_store_that_begins_anew_is_an_order_of_its_own(store, tmp_path):
    # A Prefect server and the folder of local edits outlive a store, and answer a known key with the edit they have.
    anew = SqlReviews(f"sqlite:///{tmp_path / 'anew.db'}")
    anew.open(REQUEST.record(), run=tmp_path / "run")
    for one in (store, anew):
        one.decide(approval("ada").record())
    assert anew.decision(REQUEST.id) == store.decision(REQUEST.id)
    assert [order.key for order in anew.open_orders()] != [order.key for order in store.open_orders()]


def test_another_approval_orders_another_edit(store):
    store.decide(approval("ada").record())
    first = store.edit_order(REQUEST.id)
    assert first is not None
    store.mark_started(first.key, "a run", lost=0)
    store.decide(approval("ada", neurons=(17,)).record(), replace=True)
    second = store.edit_order(REQUEST.id)
    assert second is not None
    assert second.key != first.key
    assert second.started is None
    store.mark_started(first.key, "the first again", lost=0)
    assert store.edit_order(REQUEST.id) == second


def test_an_order_names_the_folder_the_decision_was_taken_on(store, tmp_path):
    store.open(REQUEST.record(), run=tmp_path / "run", params={"seed": 1})
    store.open(REQUEST.record(), run=tmp_path / "later", params={"seed": 2})
    store.decide(approval("ada").record(), run=tmp_path / "run")
    order = store.edit_order(REQUEST.id)
    assert order is not None
    assert (order.run, order.params) == (tmp_path / "run", {"seed": 1})
    store.decide(approval("bob").record(), replace=True)
    order = store.edit_order(REQUEST.id)
    assert order is not None
    assert (order.run, order.params) == (tmp_path / "later", {"seed": 2})


def test_a_decision_on_a_folder_that_never_asked_brings_its_settings_along(store, tmp_path):
    store.decide(approval("ada").record(), run=tmp_path / "new", params={"seed": 3})
    order = store.edit_order(REQUEST.id)
    assert order is not None
    assert (order.run, order.params) == (tmp_path / "new", {"seed": 3})
    (review,) = store.closed()
    assert {run.root for run in review.runs} == {tmp_path / "run", tmp_path / "new"}

    store.decide(approval("bob").record(), run=tmp_path / "run", params={"seed": 4}, replace=True)
    order = store.edit_order(REQUEST.id)
    assert order is not None
    assert (order.run, order.params) == (tmp_path / "run", {"seed": 4})
    store.decide(approval("ada").record(), run=tmp_path / "run", params={"seed": 5}, replace=True)
    order = store.edit_order(REQUEST.id)
    assert order is not None
    assert order.params == {"seed": 4}


def test_a_folder_that_asks_later_leaves_the_order_alone_and_its_own_edit_is_noted(store, tmp_path):
    store.decide(approval("ada").record(), run=tmp_path / "run")
    order = store.edit_order(REQUEST.id)
    assert order is not None
    store.open(REQUEST.record(), run=tmp_path / "renamed")
    store.finish(approval("ada").record(), run=tmp_path / "renamed", outcome="it helps")
    assert store.open_orders() == [order]
    store.finish(approval("ada").record(), run=tmp_path / "run", outcome="it helps too")
    assert store.open_orders() == []
    assert [entry.detail for entry in store.trail(REQUEST.id) if entry.what == "edited"] == [
        {"run": str(tmp_path / "renamed"), "outcome": "it helps"},
        {"run": str(tmp_path / "run"), "outcome": "it helps too"},
    ]


def test_what_is_finished_twice_is_noted_once_for_each_decision(store, tmp_path):
    for decision in (approval("ada"), approval("bob"), approval("ada")):
        store.decide(decision.record(), run=tmp_path / "run", replace=True)
        for _ in range(2):
            store.finish(decision.record(), run=tmp_path / "run", outcome="done")
        assert store.open_orders() == []
    assert [what for what, _ in history(store)] == ["opened", *["decided", "edited"], *["replaced", "edited"] * 2]


def test_a_decision_that_stands_no_longer_is_not_finished(store, tmp_path):
    store.decide(approval("ada").record())
    store.decide(approval("bob").record(), replace=True)
    store.finish(approval("ada").record(), run=tmp_path / "run", outcome="done")
    assert len(store.open_orders()) == 1
    assert history(store)[-1] == ("replaced", "bob")


def test_an_expired_question_can_be_answered_no_more_until_it_is_asked_again(review_url, tmp_path):
    clock = Clock()
    store = SqlReviews(review_url, expires_after=timedelta(days=2), clock=clock)
    store.open(REQUEST.record(), run=tmp_path / "run")
    store.judge(REQUEST.id, said(3, "spurious"))
    (review,) = store.pending()
    assert (review.expires_at, review.status) == (NOON + timedelta(days=2), "pending")

    clock.go_on(days=2, microseconds=-1)
    store.judge(REQUEST.id, said(3, "core"))
    clock.go_on(microseconds=1)
    (review,) = store.closed()
    assert (review.status, review.decision, store.pending()) == ("expired", None, [])
    assert store.review(REQUEST.id) == review
    late = [
        lambda: store.decide(approval("ada").record()),
        lambda: store.decide(approval("ada").record(), replace=True),
        lambda: store.judge(REQUEST.id, said(17, "core")),
        lambda: store.undo(REQUEST.id, by="ada"),
    ]
    for answer in late:
        with pytest.raises(
            ReviewExpiredError, match="expired on 2026-01-03 12:00 UTC; `neuroinspect run` asks it again"
        ):
            answer()
    assert (store.edit_order(REQUEST.id), len(history(store))) == (None, 3)

    clock.go_on(days=1)
    store.open(REQUEST.record(), run=tmp_path / "run")
    (review,) = store.pending()
    assert (review.expires_at, review.opened_at, review.judged) == (NOON + timedelta(days=5), NOON, 1)
    assert history(store)[3:] == [("reopened", None)]
    store.decide(approval("ada").record())
    clock.go_on(days=9)
    (review,) = store.closed()
    assert review.status == "approved"
    store.open(REQUEST.record(), run=tmp_path / "run")
    assert history(store)[4:] == [("decided", "ada")]


def test_a_question_asked_again_in_time_expires_when_it_would_have(review_url, tmp_path):
    clock = Clock()
    store = SqlReviews(review_url, expires_after=timedelta(days=2), clock=clock)
    store.open(REQUEST.record(), run=tmp_path / "run")
    clock.go_on(days=1)
    store.open(REQUEST.record(), run=tmp_path / "run")
    (review,) = store.pending()
    assert (review.expires_at, review.run.asked_at) == (NOON + timedelta(days=2), NOON + timedelta(days=1))


def test_lists_show_the_longest_wait_and_the_latest_end_first(review_url, tmp_path):
    clock = Clock()
    store = SqlReviews(review_url, expires_after=timedelta(days=3.5), clock=clock)
    asked = [question(name) for name in ("a", "b", "c", "d")]
    for one in asked:
        store.open(one.record(), run=tmp_path / one.class_name)
        clock.go_on(days=1)
    assert [review.request.class_name for review in store.pending()] == ["b", "c", "d"]
    store.decide(auto_decision(asked[3], count=1).record())
    clock.go_on(days=1)
    assert [review.request.class_name for review in store.closed()] == ["b", "d", "a"]


def test_notices_are_written_with_what_they_tell_where_somebody_sends_them(review_url, tmp_path):
    for notices in (False, True):
        asked = question(f"{notices}")
        store = SqlReviews(review_url, notices=notices)
        answer = auto_decision(asked, count=1).record()
        store.open(asked.record(), run=tmp_path / "run")
        store.open(asked.record(), run=tmp_path / "other")
        store.judge(asked.id, said(3, "core"))
        store.decide(answer)
        store.decide(answer)
        with pytest.raises(ReviewConflictError):
            store.decide(auto_decision(asked, count=2).record())
        store.finish(answer, run=tmp_path / "other", outcome="done")
        store.finish(answer, run=tmp_path / "other", outcome="done")
    numbers = [row[0] for row in execute(review_url, "SELECT number FROM review_trail ORDER BY number")]
    told = execute(review_url, 'SELECT "key", review, event, attempts, sent_at FROM review_notice ORDER BY at, "key"')
    assert [tuple(row)[1:] for row in told] == [(asked.id, one, 0, None) for one in ("opened", "decided", "edited")]
    assert [row[0] for row in told] == [
        f"opened:{asked.id}:{numbers[4]}",
        f"decided:{asked.id}:{numbers[6]}",
        f"edited:{asked.id}:{numbers[7]}",
    ]


def test_a_run_folder_whose_name_is_no_text_is_refused(store, tmp_path):
    with pytest.raises(ReviewError, match="give the folder another name"):
        store.open(REQUEST.record(), run=tmp_path / "\udcff")
    with pytest.raises(ReviewError, match="give the folder another name"):
        store.decide(approval("ada").record(), run=tmp_path / "\udcff")
    assert history(store) == [("opened", None)]


def statements_of(work: Callable[[], object]) -> int:
    """How many statements a call sends to the database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return len(sent)


def test_a_long_list_takes_as_many_statements_as_a_short_one(store, tmp_path):
    lists = (store.pending, store.closed, store.open_orders)
    short = [statements_of(one) for one in lists]
    for number in range(12):
        asked = question(f"{number}")
        store.open(asked.record(), run=tmp_path / f"{number}")
        if number % 2:
            store.decide(auto_decision(asked, count=1).record())
    assert [statements_of(one) for one in lists] == short
    assert (len(store.pending()), len(store.closed()), len(store.open_orders())) == (7, 6, 6)
