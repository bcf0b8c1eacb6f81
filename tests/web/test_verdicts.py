"""Verdicts by the page's API: kept at once, refused in words, undone."""

from dataclasses import replace
from pathlib import Path

import pytest

from neuroinspect.adapters.sql_reviews import SqlReviews
from tests.web.answering import Reviewer
from tests.web.reviews import MadeReview, made_review


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> MadeReview:
    return made_review(tmp_path_factory.mktemp("drawn"), drawn=10)


@pytest.fixture
def made(drawn: MadeReview, tmp_path: Path) -> MadeReview:
    """The same run for every test, each with a review store of its own."""
    store = SqlReviews(f"sqlite:///{tmp_path}/reviews.db")
    store.open(drawn.request.record(), run=drawn.run.root, params=drawn.params.model_dump(mode="json", by_alias=True))
    return replace(drawn, book=store)


@pytest.fixture
def ann(made: MadeReview) -> Reviewer:
    return Reviewer(made)


def test_a_verdict_is_kept_with_name_time_and_note(ann: Reviewer) -> None:
    neuron = ann.made.neurons[0]
    answer = ann.api(f"verdicts/{neuron}", "PUT", verdict="spurious", note="water")
    assert answer.status_code == 200
    judgement = answer.json()["judgement"]
    assert (judgement["verdict"], judgement["note"], judgement["by"]) == ("spurious", "water", "ann")
    assert judgement["at"]
    assert ann.made.book.judgements(ann.made.id)[neuron].verdict == "spurious"


def test_the_answer_says_how_far_the_review_is_judged_and_what_is_selected(ann: Reviewer) -> None:
    first, second, third = ann.made.neurons[:3]
    ann.made.say(second, "spurious", by="bob")
    ann.made.say(third, "unclear", by="bob")
    progress = ann.api(f"verdicts/{first}", "PUT", verdict="spurious").json()["progress"]
    assert progress["selection"] == sorted([first, second])
    assert (progress["judged"], progress["candidates"]) == (3, len(ann.made.neurons))
    assert (progress["spurious"], progress["core"], progress["unclear"]) == (2, 0, 1)


def test_a_verdict_of_null_takes_back_what_was_said(ann: Reviewer) -> None:
    neuron = ann.made.neurons[0]
    ann.api(f"verdicts/{neuron}", "PUT", verdict="core")
    answer = ann.api(f"verdicts/{neuron}", "PUT", verdict=None)
    assert answer.json()["progress"]["judged"] == 0
    assert neuron not in ann.made.book.judgements(ann.made.id)


def test_undo_goes_back_step_by_step_and_says_when_there_is_nothing(ann: Reviewer) -> None:
    neuron = ann.made.neurons[0]
    ann.api(f"verdicts/{neuron}", "PUT", verdict="core")
    ann.api(f"verdicts/{neuron}", "PUT", verdict="spurious")
    assert ann.api("undo", "POST").json()["judgement"]["verdict"] == "core"
    undone = ann.api("undo", "POST").json()["judgement"]
    assert (undone["neuron"], undone["verdict"]) == (neuron, None)
    assert ann.api("undo", "POST").json()["judgement"] is None


def test_undo_leaves_what_somebody_else_said_since(ann: Reviewer) -> None:
    neuron = ann.made.neurons[0]
    ann.api(f"verdicts/{neuron}", "PUT", verdict="core")
    ann.made.say(neuron, "unclear", by="bob")
    refused = ann.api("undo", "POST")
    assert refused.status_code == 409
    assert "bob" in refused.json()["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"verdict": "guilty"}, 422),
        ({"verdict": "core", "note": "x" * 10_001}, 422),
        ({"verdict": "core", "note": "\u001b[31mred"}, 422),
        ({"verdict": "core", "by": "somebody else"}, 422),
        ({}, 422),
    ],
)
def test_what_is_no_verdict_is_refused_and_nothing_is_kept(ann: Reviewer, body: dict, status: int) -> None:
    answer = ann.api(f"verdicts/{ann.made.neurons[0]}", "PUT", **body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert ann.made.book.judgements(ann.made.id) == {}


def test_only_candidates_can_be_judged(ann: Reviewer) -> None:
    refused = ann.api("verdicts/319", "PUT", verdict="core")
    assert refused.status_code == 422
    assert "not candidates" in refused.json()["error"]


def test_a_decided_review_takes_no_verdict_and_says_by_whom_it_was_decided(ann: Reviewer) -> None:
    ann.made.approve(ann.made.neurons[0], by="bob")
    for refused in (ann.api(f"verdicts/{ann.made.neurons[0]}", "PUT", verdict="core"), ann.api("undo", "POST")):
        assert refused.status_code == 409
        assert "bob" in refused.json()["error"]


def test_a_review_that_is_not_there_takes_none(ann: Reviewer) -> None:
    path = f"/api/reviews/{'0' * 64}/verdicts/1"
    answer = ann.client.put(path, headers={"X-CSRF-Token": ann.csrf}, json={"verdict": "core"})
    assert answer.status_code == 404


def test_a_call_that_no_page_of_ours_sent_is_refused(ann: Reviewer) -> None:
    path = f"/api/reviews/{ann.made.id}/verdicts/{ann.made.neurons[0]}"
    assert ann.client.put(path, json={"verdict": "core"}).status_code == 403
    assert ann.made.book.judgements(ann.made.id) == {}


def test_who_has_no_name_may_look_and_not_judge(made: MadeReview) -> None:
    nobody = Reviewer(made, name=None)
    assert nobody.api(f"verdicts/{made.neurons[0]}", "PUT", verdict="core").status_code == 403
    page = nobody.page(f"neurons/{made.neurons[0]}")
    assert "for looking only" in page.text
    assert "data-locked" in page.text
    assert 'data-verdict="spurious" aria-pressed' not in page.text


def test_the_record_of_a_review_holds_its_neurons_with_what_stands(ann: Reviewer) -> None:
    first = ann.made.neurons[0]
    ann.made.say(first, "unclear", by="bob", note="hm")
    record = ann.client.get(f"/api/reviews/{ann.made.id}").json()
    assert [one["neuron"] for one in record["asked"]] == ann.made.neurons
    assert record["asked"][0]["judgement"]["by"] == "bob"
    assert record["progress"]["judged"] == 1
    assert record["status"] == "pending"


def test_the_record_of_a_neuron_holds_its_pictures_and_mistakes(ann: Reviewer) -> None:
    record = ann.api(f"neurons/{ann.made.neurons[0]}").json()
    assert record["illusion"].startswith(f"/reviews/{ann.made.id}/pictures/")
    assert len(record["real"]) == 3
    assert record["mistakes"]
    undrawn = ann.api(f"neurons/{ann.made.neurons[-1]}").json()
    assert (undrawn["has_illusion"], undrawn["illusion"], undrawn["real"]) == (False, None, [])
    assert ann.api("neurons/319").status_code == 404


def test_the_list_of_reviews_as_json_has_both_lists(ann: Reviewer) -> None:
    assert [one["id"] for one in ann.get("/api/reviews").json()["pending"]] == [ann.made.id]
    ann.made.approve(*ann.made.neurons[:2], by="bob", note="water")
    lists = ann.get("/api/reviews").json()
    assert lists["pending"] == []
    closed = lists["closed"][0]
    assert (closed["decided_by"], closed["neurons"], closed["note"]) == ("bob", ann.made.neurons[:2], "water")
