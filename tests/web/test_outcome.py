"""What came of a review: every state of the edit, the figures of a real one, the report and the trail."""

import re
from datetime import UTC, datetime

import pytest

from neuroinspect.artifacts import read_json, write_json
from neuroinspect.chain import close_review
from neuroinspect.gate import settle_review
from neuroinspect.ports import RegisteredVersion, Tools
from neuroinspect.review import decide, parse_decision
from neuroinspect.stages.edit import edit
from neuroinspect.stages.evaluate import evaluate
from neuroinspect.stages.report import report
from neuroinspect.web.outcome.promotion import steps_to_promotion
from tests.web.answering import Reviewer
from tests.web.reviews import MadeReview, made_review

STARTED = "local:1"


@pytest.fixture(scope="module")
def edited(tmp_path_factory) -> MadeReview:
    """A review whose approved edit was really carried out and noted as done."""
    made = made_review(tmp_path_factory.mktemp("edited") / "made", candidates=6)
    made.say(2, "spurious", by="ada", note="it shows <b>water</b>")
    made.say(3, "spurious")
    made.approve(2, 3, by="ada", note="the water, not the boat")
    tools = Tools(reviews=made.book)
    settle_review(made.run, made.params, tools=tools)
    for stage in (edit, evaluate, report):
        stage(made.run, made.params)
    close_review(made.run, tools, registered=RegisteredVersion("boats", "3"))
    return made


def state(reviewer: Reviewer) -> dict:
    answer = reviewer.api("outcome")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_before_the_decision_it_waits(made):
    found = state(Reviewer(made))
    assert (found["state"], found["changing"], found["decision"]) == ("waiting", False, None)


def test_an_approved_edit_waits_then_runs_and_says_what_went_wrong(made):
    reviewer = Reviewer(made)
    made.approve(2, 3, by="bob")
    found = state(reviewer)
    assert (found["state"], found["changing"]) == ("queued", True)
    assert found["decision"]["sentence"] == "approved the edit of neurons 2 and 3 of class boat in full (strength 1)"
    assert found["stages"] == [["edit the layer", False], ["judge it", False], ["write the report", False]]

    order = made.book.edit_order(made.id)
    made.book.count_attempt(order.key)
    made.book.mark_started(order.key, STARTED, lost=0)
    assert state(reviewer)["state"] == "running"

    again = datetime(2100, 1, 1, 12, tzinfo=UTC)
    made.book.give_up_start(order.key, STARTED, problem="the worker is gone", again_at=again)
    found = state(reviewer)
    assert (found["state"], found["changing"], found["problem"]) == ("failed", True, "the worker is gone")
    assert (found["attempts"], "2100-01-01 12:00 UTC" in found["sentence"]) == (1, True)
    assert "the worker is gone" in reviewer.page("outcome").text


@pytest.mark.parametrize("by_form", [True, False])
def test_an_edit_that_has_stopped_is_started_again_on_request(made, by_form):
    nudges: list[str] = []
    reviewer = Reviewer(made, nudge=lambda: nudges.append("nudged"))
    made.approve(2, 3, by="bob")
    order = made.book.edit_order(made.id)
    made.book.mark_started(order.key, STARTED, lost=0)
    made.book.give_up_start(order.key, STARTED, problem="out of memory", again_at=None)
    found = state(reviewer)
    assert (found["state"], found["changing"], found["problem"]) == ("stopped", False, "out of memory")
    assert "Start the edit again" in reviewer.page("outcome").text

    answer = reviewer.submit("retry") if by_form else reviewer.api("retry", "POST")
    assert answer.status_code == (303 if by_form else 200), answer.text
    assert (state(reviewer)["changing"], nudges) == (True, ["nudged"])


def test_a_rejection_shows_its_reason(made):
    reason = decide(made.request, verdict="rejected", neurons={}, by="bob", note="<script>alert(1)</script>")
    made.book.decide(reason.record(), run=made.run.root)
    reviewer = Reviewer(made)
    assert state(reviewer)["state"] == "rejected"
    shown = reviewer.page("outcome").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script>alert" not in shown


def test_a_finished_edit_shows_its_figures_beside_the_controls(edited):
    found = state(Reviewer(edited))
    metrics = read_json(edited.run.stage("evaluate") / "metrics.json")
    rows = {row["name"]: row for row in metrics["splits"]["judge"]["rows"]}
    assert (found["state"], found["changing"]) == ("done", False)
    assert found["verdict"] == metrics["verdict"]["sentence"]
    lines = {line["metric"]: line for line in found["lines"]}
    assert {"worst_class", "class_accuracy", "average", "class_auroc"} <= lines.keys()
    for name, line in lines.items():
        assert line["original"]["value"] == rows["original"][name]["value"]
        assert line["retrain"]["value"] == rows["retrain"][name]["value"]
        assert line["edit"]["low"] <= line["edit"]["value"] <= line["edit"]["high"]
        assert line["placebo"] is not None
    assert found["samples"] == metrics["splits"]["judge"]["count"]
    assert found["retest"]


def test_the_way_to_promotion_names_the_registered_version(edited):
    steps = state(Reviewer(edited))["steps"]
    told = " ".join(step["what"] + step["command"] for step in steps)
    assert "models:/boats/3" in told
    assert "models:/boats@candidate" in told
    assert f"neuroinspect apply {edited.run.root}" in told


def test_a_class_whose_name_is_that_of_a_version_is_not_taken_for_the_registered_one(edited):
    decision = edited.book.review(edited.id).decision
    named = "Class Registered as models:/evil/1. is mended."
    for kept, expected in (("", False), (" Registered as models:/boats/3.", True)):
        steps = steps_to_promotion(edited.run, decision, named + kept, recommended="cue_erasure")
        told = " ".join(step.what + step.command for step in steps)
        assert ("models:/boats/3" in told, "evil" in told) == (expected, False)


def test_the_page_of_the_outcome_shows_verdict_figures_and_trail(edited):
    shown = Reviewer(edited).page("outcome")
    assert shown.status_code == 200
    assert "the water, not the boat" in shown.text
    assert "it shows &lt;b&gt;water&lt;/b&gt;" in shown.text
    assert "judged neuron 2: spurious" in shown.text
    assert not re.search(r"\sstyle=|<script>", shown.text)


def test_the_report_is_served_in_a_sandbox(edited):
    reviewer = Reviewer(edited)
    address = state(reviewer)["report"]
    assert address in reviewer.page("outcome").text
    answer = reviewer.get(address)
    assert answer.content == (edited.run.stage("report") / "report.html").read_bytes()
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[:2] == ["sandbox", "default-src 'none'"]
    assert not any("script" in part for part in policy)


def test_a_report_that_is_a_link_to_another_file_is_not_served(edited, tmp_path):
    report_file = edited.run.stage("report") / "report.html"
    kept = report_file.rename(report_file.with_name("kept.html"))
    (tmp_path / "other.html").write_text("a secret")
    report_file.symlink_to(tmp_path / "other.html")
    try:
        assert Reviewer(edited).page("report").status_code == 404
    finally:
        report_file.unlink()
        kept.rename(report_file)


def test_there_is_no_report_before_the_edit_is_done(made):
    made.approve(2, 3)
    assert Reviewer(made).page("report").status_code == 404


def test_figures_of_another_edit_in_the_folder_are_not_shown(edited):
    book = edited.book
    standing = parse_decision(book.decision(edited.id))
    other = standing.model_copy(update={"neurons": {"boat": (3,)}})
    book.decide(other.record(), run=edited.run.root, replace=True)
    try:
        found = state(Reviewer(edited))
        assert (found["state"], found["lines"], found["report"]) == ("queued", [], None)
        book.finish(other.record(), run=edited.run.root, outcome="done elsewhere")
        found = state(Reviewer(edited))
        assert (found["state"], found["verdict"], found["lines"]) == ("done", "done elsewhere", [])
        assert "another edit" in found["details"][0]
    finally:
        book.decide(standing.record(), run=edited.run.root, replace=True)
        book.finish(standing.record(), run=edited.run.root, outcome="as before")


def test_the_trail_says_who_did_what_on_which_hashes(made):
    made.say(2, "spurious", note="a note")
    made.approve(2, by="bob", note="my reason")
    entries = Reviewer(made).api("trail").json()["entries"]
    assert [(entry["by"], entry["what"]) for entry in entries] == [
        ("the pipeline", "opened"),
        ("ada", "judged"),
        ("bob", "decided"),
    ]
    assert (entries[1]["note"], entries[2]["note"]) == ("a note", "my reason")
    assert entries[2]["sentence"] == "approved the edit of neuron 2 of class boat in full (strength 1)"
    whole = entries[2]["model"]["whole"]
    assert whole == made.request.model
    assert entries[2]["model"]["shown"] == f"{whole[:12]}…"


@pytest.mark.parametrize("what", ["outcome", "trail"])
def test_an_unknown_review_is_not_found(made, what):
    reviewer = Reviewer(made)
    assert reviewer.get(f"/api/reviews/{'0' * 64}/{what}").status_code == 404
    assert reviewer.get(f"/api/reviews/..%2f..%2f/{what}").status_code == 404


@pytest.mark.parametrize("content", ["{", "[]", '{"splits": {"judge": 3}}', '{"class": null}'])
def test_damaged_figures_do_not_hide_the_rest(made, content):
    made.approve(2, 3, by="bob")
    edit_of(made, neurons=[2, 3])
    (made.run.stage("evaluate")).mkdir()
    (made.run.stage("evaluate") / "stage.json").write_text("{}")
    (made.run.stage("evaluate") / "metrics.json").write_text(content)
    made.book.finish(made.book.decision(made.id), run=made.run.root, outcome="the verdict of that day")
    found = state(Reviewer(made))
    assert (found["state"], found["verdict"], found["lines"]) == ("done", "the verdict of that day", [])
    assert "cannot be read" in found["details"][0]


@pytest.mark.parametrize("content", ["[]", "{}", '{"class": "boat", "neurons": [2, 3]}'])
def test_an_edit_that_says_too_little_is_not_taken_for_the_decided_one(made, content):
    made.approve(2, 3)
    edit_of(made, neurons=[2, 3])
    (made.run.stage("edit") / "edit.json").write_text(content)
    assert state(Reviewer(made))["stages"][0] == ["edit the layer", False]


def edit_of(made: MadeReview, *, neurons: list[int]) -> None:
    """The mark that an edit was made, without its layers."""
    record = {"class": "boat", "neurons": neurons, "strength": 1.0}
    write_json(made.run.stage("edit") / "edit.json", record)
    write_json(made.run.stage("edit") / "stage.json", {"inputs_hash": "x", "summary": {}})
