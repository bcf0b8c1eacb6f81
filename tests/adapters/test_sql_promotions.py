"""The trail of promotions on both databases: kept whole, never rewritten, and one winner for each number."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from neuroinspect.adapters.sql_promotions import SqlPromotions
from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.errors import PromotionConflictError, ReviewError
from neuroinspect.promotion import Answer, Promotion, standing
from tests.adapters.review_store import REQUEST, approval, exit_code_of

NAME = "birds"
PROMOTERS = 10
_SECONDS = 120
_AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
FIRST = Promotion(NAME, 1, "first", None, 1, "a" * 64, "ada")


def promotion(number: int = 2, *, after: int = 2, by: str = "bob", **given: Any) -> Promotion:
    return Promotion(NAME, number, "promote", 1, after, f"{after:064}", by, **given)


@pytest.fixture
def book(review_url) -> SqlPromotions:
    """A trail with a first champion."""
    found = SqlPromotions(review_url, clock=lambda: _AT)
    found.append(FIRST)
    return found


def test_an_entry_is_kept_whole(book):
    rules = ({"name": "same_data", "asked": "x", "came": "y", "holds": False, "figure": {"value": 0.25}},)
    entry = promotion(rules=rules, reason="we know better", metrics_hash="f" * 64)
    kept = book.append(entry)
    assert kept == book.trail(NAME)[-1]
    assert (kept.at, kept.rules, kept.reason, kept.metrics_hash) == (_AT, rules, "we know better", "f" * 64)
    assert book.trail("another model") == []
    assert book.models() == [NAME]


def test_who_follows_an_entry_that_is_no_longer_the_last_hears_who_was_faster(book):
    book.append(promotion(after=4, by="cleo"))
    with pytest.raises(PromotionConflictError, match=r"cleo promoted version 4 on 2026-03-04 05:06 UTC .*look again"):
        book.append(promotion(after=5))
    with pytest.raises(PromotionConflictError, match="ends with entry 2, not with 8"):
        book.append(promotion(9))
    assert [one.after for one in book.trail(NAME)] == [1, 4]


def test_names_and_reasons_are_plain_text(book):
    for entry in (promotion(by="eve\u202e"), promotion(by=""), promotion(reason="\x1b[2J")):
        with pytest.raises(ReviewError):
            book.append(entry)
    assert len(book.trail(NAME)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE promotion SET after = 9",
        "DELETE FROM promotion",
        "INSERT OR REPLACE INTO promotion SELECT * FROM promotion",
        "TRUNCATE promotion",
    ],
)
def test_nobody_rewrites_the_trail(book, review_url, statement):
    is_sqlite = review_url.startswith("sqlite")
    if ("REPLACE" in statement and not is_sqlite) or ("TRUNCATE" in statement and is_sqlite):
        statement = "DELETE FROM promotion WHERE number = 1"  # the other database has no such statement
    engine = sa.create_engine(review_url, poolclass=sa.NullPool)
    with pytest.raises(sa.exc.DBAPIError, match="promotion is append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert [one.after for one in book.trail(NAME)] == [1]


def test_what_stands_on_a_review_is_read_where_it_is_decided(book, review_url, tmp_path):
    reviews = SqlReviews(review_url)
    assert book.answer(REQUEST.id) is None
    reviews.open(REQUEST.record(), run=tmp_path / "run")
    assert book.answer(REQUEST.id) is None
    reviews.decide(approval("ada").record())
    assert book.answer(REQUEST.id) == Answer(
        "approved",
        "ada",
        unverified=False,
        neurons=(3,),
        model=REQUEST.model,
        pictures=REQUEST.data_version,
        class_name="fish",
    )


def outcome_of(work: Callable[[], Any]) -> str:
    """What somebody is told: nothing, or the message of a conflict."""
    try:
        work()
    except PromotionConflictError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 (a child that says nothing would be waited for)
        return f"unexpected: {error!r}"
    return ""


def promoting(url: str, number: int) -> Callable[[], None]:
    return lambda: SqlPromotions(url).append(promotion(after=number + 2, by=f"promoter {number}"))


def in_threads(url: str) -> list[str]:
    barrier = Barrier(PROMOTERS)

    def run(number: int) -> str:
        barrier.wait(_SECONDS)
        return outcome_of(promoting(url, number))

    with ThreadPoolExecutor(PROMOTERS) as threads:
        return list(threads.map(run, range(PROMOTERS)))


def promote_in_a_process(url: str, number: int, barrier: Any, told: Any) -> None:
    barrier.wait(_SECONDS)
    told.put(outcome_of(promoting(url, number)))


def in_processes(url: str) -> list[str]:
    fork = multiprocessing.get_context("fork")
    barrier, told = fork.Barrier(PROMOTERS), fork.SimpleQueue()
    children = [
        fork.Process(target=promote_in_a_process, args=(url, number, barrier, told)) for number in range(PROMOTERS)
    ]
    for child in children:
        child.start()
    messages = [told.get() for _ in children]
    for child in children:
        child.join()
    return messages


@pytest.mark.parametrize("promoters", [in_threads, in_processes])
def test_of_ten_who_promote_at_once_one_wins_and_the_others_hear_who(book, review_url, promoters):
    told = Counter(promoters(review_url))
    trail = book.trail(NAME)
    assert [one.number for one in trail] == [1, 2]
    now = standing(trail)
    assert now.champion is not None
    assert told.pop("") == 1
    assert sum(told.values()) == PROMOTERS - 1
    who = f"{now.champion.by} promoted version {now.champion.after}"
    assert [message for message in told if who not in message or "champion is no longer version 1" not in message] == []


def die_before_the_commit(url: str) -> None:
    book = SqlPromotions(url)
    book.trail(NAME)
    sa.event.listen(sa.Engine, "commit", lambda connection: os.kill(os.getpid(), signal.SIGKILL))
    book.append(promotion(by="eve"))


def test_who_is_killed_before_the_commit_has_changed_nothing(book, review_url):
    assert exit_code_of(die_before_the_commit, review_url) == -signal.SIGKILL
    assert [one.after for one in book.trail(NAME)] == [1]
    assert book.append(promotion()).number == 2
