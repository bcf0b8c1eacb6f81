"""Notices in the review store: written with what they tell, taken by one sender at a time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from neuroinspect.adapters.sql_notices import SqlNotices
from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.errors import ReviewConflictError
from tests.adapters.review_store import REQUEST, approval, rejection


@pytest.fixture
def store(review_url, tmp_path) -> SqlReviews:
    made = SqlReviews(review_url, notices=True)
    made.open(REQUEST.record(), run=tmp_path / "run")
    return made


def test_each_event_is_noted_with_what_it_was(store, review_url, tmp_path):
    store.decide(approval("ada").record())
    store.decide(rejection("bob").record(), replace=True)
    store.finish(rejection("bob").record(), run=tmp_path / "run", outcome="nothing was edited")
    opened, first, second, edited = SqlNotices(review_url).unsent()
    assert [one.event for one in (opened, first, second, edited)] == ["opened", "decided", "decided", "edited"]
    assert opened.decision is None
    assert (first.decision, second.decision) == (approval("ada"), rejection("bob"))
    assert edited.detail is not None
    assert edited.detail["outcome"] == "nothing was edited"
    assert {one.request for one in (opened, first, second, edited)} == {REQUEST.id}


def test_what_was_refused_is_not_told(store, review_url):
    store.decide(approval("ada").record())
    before = SqlNotices(review_url).unsent()
    with pytest.raises(ReviewConflictError):
        store.decide(rejection("bob").record())
    store.decide(approval("ada").record())
    assert SqlNotices(review_url).unsent() == before


def test_of_many_senders_one_takes_a_notice(store, review_url):
    (notice,) = SqlNotices(review_url).unsent()
    senders = [SqlNotices(review_url) for _ in range(10)]
    with ThreadPoolExecutor(len(senders)) as threads:
        taken = list(threads.map(lambda sender: sender.claim(notice), senders))
    assert taken.count(True) == 1
    (again,) = senders[0].unsent()
    assert again.attempts == 1


def test_what_is_sent_or_given_up_waits_no_longer(store, review_url):
    store.decide(approval("ada").record())
    notices = SqlNotices(review_url)
    first, second = notices.unsent()
    notices.mark_sent(first.key)
    notices.drop(second.key)
    assert notices.unsent() == []
    assert notices.claim(first) is False
    assert notices.claim(second) is False
