"""What reviewers say of single neurons, on both databases: kept at once, taken back in turn, and whatever they write."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.errors import ReviewConflictError, UnknownReviewError
from neuroinspect.review import Candidate, auto_decision, decide, judge, open_request
from tests.adapters.review_store import NEURONS, REQUEST, approval, history, said

# Whatever a file name, a class name or a form may bring: NUL, half a surrogate pair, bidi, markup, every plane.
ODD = "\0 \ud83d \udcff \u202egnp.exe <b>&amp; '; DROP TABLE review; -- {{7*7}} \U0001f469\u200d\U0001f33e \x1b[31m \u2028 ../x"


@pytest.fixture
def store(review_url, tmp_path) -> SqlReviews:
    """A store with one question."""
    reviews = SqlReviews(review_url)
    reviews.open(REQUEST.record(), run=tmp_path / "run")
    return reviews


def verdicts(store: SqlReviews) -> dict[int, tuple[str | None, str, str]]:
    return {neuron: (one.verdict, one.note, one.by) for neuron, one in store.judgements(REQUEST.id).items()}


def test_a_verdict_is_kept_at_once_and_what_was_before_stays_in_the_trail(store):
    first = store.judge(REQUEST.id, said(3, "core", note="fins"))
    assert store.judgements(REQUEST.id) == {3: first}
    assert first.at is not None
    store.judge(REQUEST.id, said(3, "spurious", "bob"))
    assert verdicts(store) == {3: ("spurious", "", "bob")}
    (review,) = store.pending()
    assert review.judged == 1
    assert history(store) == [("opened", None), ("judged", "ada"), ("judged", "bob")]
    assert store.trail(REQUEST.id)[-1].detail == {
        "neuron": 3,
        "verdict": "spurious",
        "note": "",
        "before": {"verdict": "core", "note": "fins", "by": "ada", "at": json.loads(first.model_dump_json())["at"]},
    }


def test_a_note_alone_is_kept_and_counts_for_no_verdict(store):
    store.judge(REQUEST.id, said(3, None, note="not sure"))
    assert verdicts(store) == {3: (None, "not sure", "ada")}
    assert [review.judged for review in store.pending()] == [0]
    store.judge(REQUEST.id, said(3, None))
    assert verdicts(store) == {}


def test_saying_the_same_again_changes_nothing_unless_somebody_else_says_it(store):
    first = store.judge(REQUEST.id, said(3, "core"))
    assert store.judge(REQUEST.id, said(3, "core")) == first
    assert len(history(store)) == 2
    store.judge(REQUEST.id, said(3, "core", "bob"))
    assert history(store)[2:] == [("judged", "bob")]


def test_undo_takes_back_the_reviewers_own_changes_in_turn(store):
    store.judge(REQUEST.id, said(17, "unclear", "bob", note="hm"))
    start = store.judgements(REQUEST.id)
    store.judge(REQUEST.id, said(3, "core"))
    store.judge(REQUEST.id, said(17, "spurious"))
    store.judge(REQUEST.id, said(3, None))
    assert [
        one and (one.neuron, one.verdict, one.by) for one in (store.undo(REQUEST.id, by="ada") for _ in range(4))
    ] == [
        (3, "core", "ada"),
        (17, "unclear", "bob"),
        (3, None, "ada"),
        None,
    ]
    assert store.judgements(REQUEST.id) == start
    assert history(store)[-3:] == [("undone", "ada")] * 3


def test_an_undo_of_what_somebody_else_has_spoken_of_since_is_refused(store):
    store.judge(REQUEST.id, said(3, "core"))
    store.judge(REQUEST.id, said(3, "spurious", "bob"))
    with pytest.raises(ReviewConflictError, match="bob has spoken of neuron 3 since"):
        store.undo(REQUEST.id, by="ada")
    assert verdicts(store) == {3: ("spurious", "", "bob")}
    assert len(history(store)) == 3


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(NEURONS), st.sampled_from(["core", "spurious", None]), st.sampled_from(["", "x"])),
        min_size=1,
        max_size=6,
    )
)
def test_as_many_undos_as_changes_lead_back_to_the_start(store, changes):
    start, told = store.judgements(REQUEST.id), len(history(store))
    for neuron, verdict, note in changes:
        store.judge(REQUEST.id, said(neuron, verdict, note=note))
    for _ in history(store)[told:]:
        store.undo(REQUEST.id, by="ada")
    assert store.judgements(REQUEST.id) == start
    assert store.undo(REQUEST.id, by="ada") is None


def test_after_the_decision_nothing_is_said_or_taken_back(store):
    store.judge(REQUEST.id, said(3, "core"))
    store.decide(approval("bob").record())
    for late in (lambda: store.judge(REQUEST.id, said(3, None)), lambda: store.undo(REQUEST.id, by="ada")):
        with pytest.raises(ReviewConflictError, match=r"already approved by bob .* what was said stands"):
            late()
    assert verdicts(store) == {3: ("core", "", "ada")}
    assert [review.judged for review in store.closed()] == [1]
    assert history(store)[2:] == [("decided", "bob")]


def test_a_note_of_ten_thousand_letters_of_any_plane_comes_back_as_it_went(store):
    note = ("Bäume,\n木\t\U0001f332" * 2000)[:10_000]
    store.judge(REQUEST.id, said(3, "spurious", "Zoë Ångström 山田", note=note))
    assert verdicts(store) == {3: ("spurious", note, "Zoë Ångström 山田")}
    store.undo(REQUEST.id, by="Zoë Ångström 山田")
    detail = store.trail(REQUEST.id)[-1].detail
    assert detail is not None
    assert detail["before"]["note"] == note
    store.decide(decide(REQUEST, verdict="rejected", neurons={}, by="ada", note=note).record())
    (review,) = store.closed()
    assert review.decision is not None
    assert review.decision.note == note


def test_whatever_a_class_is_called_its_review_is_kept_whole(review_url, tmp_path):
    store = SqlReviews(review_url, notices=True)
    largest = 2**31 - 1
    asked = open_request(
        [Candidate(neuron=largest, direction="both", vote_share=1e-300)],
        class_name=ODD.encode(errors="backslashreplace").decode() + "x" * 10_000,
        class_index=2**70,
        model="m",
        data_version="d",
    )
    params = {"odd": ODD, "deep": [[[{"x": 1.5}]]], "large": 2**200}
    store.open(asked.record(), run=tmp_path / "run", params=params)
    (review,) = store.pending()
    assert (review.request, review.run.params) == (asked, params)
    store.judge(asked.id, judge(asked, neuron=largest, verdict="spurious", by="ada"))
    answer = auto_decision(asked, count=1)
    store.decide(answer.record())
    store.finish(answer.record(), run=tmp_path / "run", outcome=ODD)
    (review,) = store.closed()
    assert (review.decision, review.judged) == (answer, 1)
    detail = store.trail(asked.id)[-1].detail
    assert detail is not None
    assert detail["outcome"] == ODD


def test_what_went_wrong_with_an_order_is_kept_in_letters_that_every_database_takes(store):
    store.decide(approval("ada").record())
    order = store.edit_order(REQUEST.id)
    assert order is not None
    store.mark_started(order.key, f"run {ODD}", lost=0)
    store.give_up_start(order.key, f"run {ODD}", problem=ODD, again_at=None)
    order = store.edit_order(REQUEST.id)
    assert order is not None
    assert (order.lost, order.started) == (1, None)
    assert order.problem is not None
    assert "DROP TABLE" in order.problem
    assert "\0" not in order.problem


@pytest.mark.parametrize("identifier", ["", "\0", "\ud83d", ODD, "x" * 100_000, "%", "' OR 1=1 --"])
def test_an_id_that_nobody_could_have_given_is_unknown(store, identifier):
    assert (store.review(identifier), store.decision(identifier), store.edit_order(identifier)) == (None, None, None)
    assert (store.trail(identifier), store.judgements(identifier)) == ([], {})
    with pytest.raises(UnknownReviewError, match="has no review") as refused:
        store.judge(identifier, said(3, "core"))
    assert len(str(refused.value)) < 300
    with pytest.raises(UnknownReviewError, match="has no review"):
        store.undo(identifier, by="ada")
