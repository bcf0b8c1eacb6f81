"""Many at once on both databases: one answer stands, nothing is said after it, and whoever is killed has changed nothing."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.errors import ReviewConflictError
from neuroinspect.review import Decision
from tests.adapters.review_store import REQUEST, approval, exit_code_of, history, said

DECIDERS = 50
_SECONDS = 120


@pytest.fixture
def store(review_url, tmp_path) -> SqlReviews:
    """A store with one question."""
    reviews = SqlReviews(review_url)
    reviews.open(REQUEST.record(), run=tmp_path / "run", params={"seed": 1})
    return reviews


def outcome_of(work: Callable[[], Any]) -> str:
    """What somebody is told: nothing, or the message of a conflict."""
    try:
        work()
    except ReviewConflictError as error:
        return str(error)
    return ""


def at_once(work: Sequence[Callable[[], Any]]) -> list[str]:
    """What each of as many threads is told."""
    barrier = Barrier(len(work))

    def run(one: Callable[[], Any]) -> str:
        barrier.wait(_SECONDS)
        return outcome_of(one)

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(run, work))


def deciding(url: str, decision: Decision, *, replace: bool = False) -> Callable[[], None]:
    """Somebody with a store of their own, as in another process."""
    return lambda: SqlReviews(url).decide(decision.record(), replace=replace)


def decide_in_a_process(url: str, number: int, barrier: Any, told: Any) -> None:
    barrier.wait(_SECONDS)
    told.put(outcome_of(deciding(url, approval(f"reviewer {number}"))))


def in_processes(url: str) -> list[str]:
    """What each of as many forked processes is told."""
    fork = multiprocessing.get_context("fork")
    barrier, told = fork.Barrier(DECIDERS), fork.SimpleQueue()
    children = [
        fork.Process(target=decide_in_a_process, args=(url, number, barrier, told)) for number in range(DECIDERS)
    ]
    for child in children:
        child.start()
    messages = [told.get() for _ in children]
    for child in children:
        child.join()
    return messages


def in_threads(url: str) -> list[str]:
    return at_once([deciding(url, approval(f"reviewer {number}")) for number in range(DECIDERS)])


@pytest.mark.parametrize("deciders", [in_threads, in_processes])
def test_of_fifty_who_decide_at_once_one_wins_and_the_others_hear_who(store, review_url, deciders):
    told = Counter(deciders(review_url))
    (review,) = store.closed()
    assert review.decision is not None
    winner = review.decision.by
    assert told.pop("") == 1
    assert sum(told.values()) == DECIDERS - 1
    assert all(f"already approved by {winner} on" in message for message in told)
    assert history(store) == [("opened", None), ("decided", winner)]
    assert [(order.request, order.params) for order in store.open_orders()] == [(REQUEST.id, {"seed": 1})]


def test_those_who_replace_at_once_leave_a_trail_of_every_answer_that_stood(store, review_url):
    store.decide(approval("ada").record())
    told = at_once([deciding(review_url, approval(f"reviewer {number}"), replace=True) for number in range(20)])
    assert told == [""] * 20
    entries = store.trail(REQUEST.id)
    assert [entry.what for entry in entries[2:]] == ["replaced"] * 20
    last = entries[-1].decision
    assert last is not None
    assert store.decision(REQUEST.id) == last.record()
    assert [order.request for order in store.open_orders()] == [REQUEST.id]


def test_nothing_is_said_after_the_decision(store, review_url):
    judging = [
        lambda by=f"reviewer {number}": SqlReviews(review_url).judge(REQUEST.id, said(3, "core", by))
        for number in range(10)
    ]
    told = at_once([*judging[:5], deciding(review_url, approval("ada")), *judging[5:]])
    assert told[5] == ""
    late = [message for message in told if message]
    assert all("already approved by ada" in message and "what was said stands" in message for message in late)
    whats = [what for what, _ in history(store)]
    assert whats == ["opened", *["judged"] * (10 - len(late)), "decided"]
    times = [entry.at for entry in store.trail(REQUEST.id)]
    assert times == sorted(times)


def test_a_question_opened_by_many_at_once_is_asked_once(review_url, tmp_path):
    def opening(number: int) -> Callable[[], None]:
        return lambda: SqlReviews(review_url).open(REQUEST.record(), run=tmp_path / f"run {number % 3}", params={})

    assert at_once([opening(number) for number in range(12)]) == [""] * 12
    store = SqlReviews(review_url)
    (review,) = store.pending()
    assert {run.root for run in review.runs} == {tmp_path / f"run {number}" for number in range(3)}
    assert len(review.runs) == 3
    assert history(store) == [("opened", None)]


def test_a_question_known_already_that_a_new_folder_asks_many_times_at_once_gets_that_folder_once(
    store, review_url, tmp_path
):
    def opening() -> None:
        SqlReviews(review_url).open(REQUEST.record(), run=tmp_path / "new", params={})

    assert at_once([opening] * 12) == [""] * 12
    (review,) = store.pending()
    assert [run.root for run in review.runs] == [tmp_path / "new", tmp_path / "run"]


def test_undo_and_judge_at_once_leave_what_the_trail_says(store, review_url):
    for number in range(6):
        store.judge(REQUEST.id, said(3, "core" if number % 2 else "spurious"))

    def judging(number: int) -> Callable[[], Any]:
        return lambda: SqlReviews(review_url).judge(REQUEST.id, said(3, "unclear", note=f"{number}"))

    def undoing() -> None:
        SqlReviews(review_url).undo(REQUEST.id, by="ada")

    assert at_once([work for number in range(6) for work in (judging(number), undoing)]) == [""] * 12
    entries = [entry.detail for entry in store.trail(REQUEST.id) if entry.detail is not None]
    assert len(entries) == 18
    standing: dict[str, Any] = {"verdict": None, "note": ""}
    for detail in entries:
        assert {name: detail["before"][name] for name in standing} == standing
        standing = {name: detail[name] for name in standing}
    (kept,) = store.judgements(REQUEST.id).values()
    assert kept.said() == {"neuron": 3, **standing}
    for _ in range(6):
        store.undo(REQUEST.id, by="ada")
    assert store.judgements(REQUEST.id) == {}


def test_many_who_finish_at_once_finish_it_once(store, review_url, tmp_path):
    store.decide(approval("ada").record())

    def finishing() -> None:
        SqlReviews(review_url).finish(approval("ada").record(), run=tmp_path / "run", outcome="done")

    assert at_once([finishing] * 10) == [""] * 10
    assert store.open_orders() == []
    assert [what for what, _ in history(store)] == ["opened", "decided", "edited"]


def die_before_the_commit(url: str, work: str) -> None:
    """What the child does: it dies when everything is written, and not yet committed."""
    import sqlalchemy as sa

    reviews = SqlReviews(url)
    reviews.pending()
    sa.event.listen(sa.Engine, "commit", lambda connection: os.kill(os.getpid(), signal.SIGKILL))
    if work == "decide":
        reviews.decide(approval("eve").record())
    elif work == "judge":
        reviews.judge(REQUEST.id, said(3, "core", "eve"))
    else:
        reviews.open(REQUEST.record(), run=Path("another"))


@pytest.mark.parametrize("work", ["open", "judge", "decide"])
def test_who_is_killed_before_the_commit_has_changed_nothing(store, review_url, work, tmp_path):
    assert exit_code_of(die_before_the_commit, review_url, work) == -signal.SIGKILL

    (review,) = store.pending()
    assert ([run.root for run in review.runs], review.judged) == ([tmp_path / "run"], 0)
    assert (store.edit_order(REQUEST.id), history(store)) == (None, [("opened", None)])
    store.decide(approval("bob").record())
    assert store.decision(REQUEST.id) == approval("bob").record()


def test_a_forked_process_uses_the_store_it_inherits(store):
    assert exit_code_of(store.decide, approval("ada").record()) == 0
    assert history(store) == [("opened", None), ("decided", "ada")]
