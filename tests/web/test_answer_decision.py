"""Approving and rejecting on the page: what is kept, and what is refused before anything is."""

from datetime import UTC, datetime, timedelta

import pytest

from neuroinspect.adapters.sql_reviews import SqlReviews
from tests.web.answering import Reviewer
from tests.web.reviews import MadeReview, made_review


@pytest.fixture
def nudges() -> list[str]:
    return []


@pytest.fixture
def reviewer(made: MadeReview, nudges: list[str]) -> Reviewer:
    """At a review in which neurons 2 and 3 are judged spurious."""
    made.say(2, "spurious")
    made.say(3, "spurious")
    made.say(5, "core")
    return Reviewer(made, nudge=lambda: nudges.append("nudged"))


def kinds(made: MadeReview) -> list[str]:
    return [entry.what for entry in made.book.trail(made.id)]


def test_approving_the_selection_keeps_the_decision_and_starts_what_follows(reviewer, made, nudges):
    answer = reviewer.api("decision", "POST", verdict="approved", neurons=[2, 3], strength=0.5, note="the water")
    assert answer.status_code == 200, answer.text
    assert answer.json()["sentence"] == "approved the edit of neurons 2 and 3 of class boat at strength 0.5"
    assert answer.json()["outcome"] == f"/reviews/{made.id}/outcome"
    decision = made.book.review(made.id).decision
    assert (decision.by, decision.note, decision.strength, dict(decision.neurons)) == (
        "ann",
        "the water",
        0.5,
        {"boat": (2, 3)},
    )
    assert nudges == ["nudged"]


def test_a_rejection_is_kept_with_its_reason(reviewer, made, nudges):
    answer = reviewer.api("decision", "POST", verdict="rejected", note="the labels are wrong")
    assert answer.status_code == 200, answer.text
    assert made.book.review(made.id).decision.note == "the labels are wrong"
    assert nudges == ["nudged"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"verdict": "approved", "neurons": [2, 3, 319]}, 422, "319 are not candidates"),
        ({"verdict": "approved", "neurons": [2, 2]}, 422, "more than once"),
        ({"verdict": "approved", "neurons": []}, 422, "at least one neuron"),
        ({"verdict": "approved", "neurons": [2, 3], "strength": 0}, 422, "above 0"),
        ({"verdict": "approved", "neurons": [2, 3], "strength": 1.01}, 422, "above 0"),
        ({"verdict": "approved", "neurons": [2, 3], "note": "a\x1b[31m"}, 422, "control character"),
        ({"verdict": "rejected"}, 422, "needs a reason"),
        ({"verdict": "rejected", "note": " \n"}, 422, "needs a reason"),
        ({"verdict": "rejected", "note": "x", "neurons": [2]}, 422, "has no neurons"),
        ({"verdict": "perhaps"}, 422, "verdict"),
        ({"verdict": "approved", "neurons": [2, 3], "by": "eve"}, 422, "by"),
        ({"verdict": "approved", "neurons": [2]}, 409, "now spurious too: 3"),
        ({"verdict": "approved", "neurons": [2, 3, 5]}, 409, "no longer spurious: 5"),
    ],
)
def test_a_wrong_answer_is_refused_and_nothing_is_kept(reviewer, made, nudges, body, status, told):
    before = kinds(made)
    answer = reviewer.api("decision", "POST", **body)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["error"]
    assert (made.book.review(made.id).status, kinds(made), nudges) == ("pending", before, [])


def test_the_second_to_decide_is_told_who_was_first_and_when(reviewer, made, nudges):
    made.approve(2, 3, by="bob")
    before = kinds(made)
    answer = reviewer.api("decision", "POST", verdict="rejected", note="no")
    assert (answer.status_code, answer.json()["kind"]) == (409, "ReviewConflictError")
    assert "bob approved the edit of neurons 2 and 3 of class boat in full" in answer.json()["error"]
    assert f"{made.book.review(made.id).decided_at:%Y-%m-%d %H:%M} UTC" in answer.json()["error"]
    assert (kinds(made), nudges) == (before, [])


def test_the_same_answer_again_is_no_conflict(reviewer, made):
    body = {"verdict": "approved", "neurons": [2, 3], "note": "twice"}
    assert [reviewer.api("decision", "POST", **body).status_code for _ in range(2)] == [200, 200]
    assert kinds(made).count("decided") == 1


def test_an_expired_review_is_not_answered(tmp_path):
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    book = SqlReviews(f"sqlite:///{tmp_path / 'reviews.db'}", expires_after=timedelta(days=1), clock=lambda: now[0])
    made = made_review(tmp_path / "made", book=book)
    made.say(2, "spurious")
    reviewer = Reviewer(made)
    now[0] += timedelta(days=2)
    answer = reviewer.api("decision", "POST", verdict="approved", neurons=[2])
    assert (answer.status_code, answer.json()["kind"]) == (410, "ReviewExpiredError")
    assert book.review(made.id).decision is None


def test_a_model_that_changed_since_is_not_edited(reviewer, made):
    source = made.params.model.python_path / "drawn_network.py"
    (made.run.stage("diagnose") / "neurons.parquet").rename(source.with_name("moved.parquet"))
    (made.run.stage("diagnose") / "stage.json").unlink()
    answer = reviewer.api("decision", "POST", verdict="approved", neurons=[2, 3])
    assert (answer.status_code, answer.json()["kind"]) == (412, "ReviewOutdatedError")
    assert made.book.review(made.id).status == "pending"


def test_nobody_decides_without_a_name(made):
    made.say(2, "spurious")
    answer = Reviewer(made, None).api("decision", "POST", verdict="approved", neurons=[2])
    assert answer.status_code == 403
    assert made.book.review(made.id).status == "pending"


def test_a_form_shows_first_what_will_happen(reviewer, made):
    shown = reviewer.submit("decision", verdict="approved", neurons="2, 3", strength="0.25", note="the water")
    assert shown.status_code == 200, shown.text
    assert "approve the edit of neurons 2 and 3 of class" in shown.text
    assert made.book.review(made.id).status == "pending"


def test_a_confirmed_form_decides_and_leads_to_the_outcome(reviewer, made, nudges):
    done = reviewer.submit(
        "decision", verdict="approved", neurons="2,3", strength="0.25", note="a\r\nb", confirmed="yes"
    )
    assert (done.status_code, done.headers["location"]) == (303, f"/reviews/{made.id}/outcome")
    decision = made.book.review(made.id).decision
    assert (decision.strength, decision.note, nudges) == (0.25, "a\nb", ["nudged"])


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({"neurons": "2,three"}, 422, "numbers of neurons"),
        ({"neurons": "2,3", "strength": "strong"}, 422, "strength is a number"),
        ({"neurons": "2,3", "strength": "nan"}, 422, "above 0"),
        ({"neurons": "2"}, 409, "now spurious too: 3"),
    ],
)
def test_a_form_that_is_refused_says_why_beside_what_was_asked(reviewer, made, fields, status, told):
    for confirmed in ("", "yes"):
        shown = reviewer.submit(
            "decision", verdict="approved", note="<b>mine</b>", confirmed=confirmed, **{"strength": "1", **fields}
        )
        assert shown.status_code == status, shown.text
        assert told in shown.text
        assert "&lt;b&gt;mine&lt;/b&gt;" in shown.text
    assert made.book.review(made.id).status == "pending"
