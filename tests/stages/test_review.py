"""Stage review: the question stays the same while the finding does, and so does its answer."""

import pandas as pd
import pytest

from neuroinspect.artifacts import RunFolder, write_json, write_table
from neuroinspect.errors import ReviewError, StageOrderError
from neuroinspect.review import auto_decision, decide
from neuroinspect.settings import parse_params
from neuroinspect.stages.review import read_decision, read_request, require_decision, review, save_decision

PARAMS = parse_params(
    {"model": {"spec": "neuroinspect.demo.backbone:scene_net"}, "data": {"table": "t.csv"}, "device": "cpu"}
)


def diagnosed(run: RunFolder, *, share: float = 0.5, status: str = "explained") -> RunFolder:
    """A run with the stages before the review drawn by hand."""
    write_json(run.stage("validate") / "stage.json", {"summary": {"data_version": "d"}})
    summary = {"status": status, "class": "fish", "class_index": 3}
    write_json(run.stage("diagnose") / "stage.json", {"summary": summary})
    neurons = pd.DataFrame(
        {"neuron": [7, 3, 5], "direction": ["excessive", "insufficient", "both"], "vote_share": [0.2, share, share]}
    )
    write_table(run.stage("diagnose") / "neurons.parquet", neurons)
    return run


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return diagnosed(RunFolder(tmp_path / "run"))


def test_the_request_holds_the_candidates_most_voted_first(run):
    result = review(run, PARAMS)
    request = read_request(run)
    assert [candidate.neuron for candidate in request.candidates] == [3, 5, 7]
    assert (request.class_name, request.class_index) == ("fish", 3)
    assert request.data_version == "manifest:d"
    assert result.summary["request"] == request.id


def test_the_same_finding_is_not_asked_again_and_keeps_its_answer(run):
    review(run, PARAMS)
    decision = auto_decision(read_request(run), count=1)
    save_decision(run, decision)
    assert review(diagnosed(run), PARAMS).reused
    assert require_decision(run, PARAMS) == decision


def test_another_finding_asks_again_and_drops_the_old_answer(run):
    review(run, PARAMS)
    save_decision(run, auto_decision(read_request(run), count=1))
    assert not review(diagnosed(run, share=0.6), PARAMS).reused
    assert read_decision(run) is None


def test_without_an_answer_the_edit_is_told_to_wait(run):
    review(run, PARAMS)
    with pytest.raises(StageOrderError, match="neuroinspect review decide"):
        require_decision(run, PARAMS)


def test_an_answer_to_another_question_is_refused(run):
    review(run, PARAMS)
    decision = auto_decision(read_request(run), count=1)
    review(diagnosed(run, share=0.6), PARAMS)
    with pytest.raises(ReviewError, match="decide again"):
        save_decision(run, decision)


def test_the_first_answer_stands_until_it_is_replaced(run):
    review(run, PARAMS)
    first = decide(read_request(run), verdict="rejected", neurons={}, note="no cue", by="ada")
    second = decide(read_request(run), verdict="approved", neurons={"fish": [3]}, by="bob")
    save_decision(run, first)
    save_decision(run, first)
    with pytest.raises(ReviewError, match="already rejected by ada"):
        save_decision(run, second)
    save_decision(run, second, replace=True)
    assert require_decision(run, PARAMS) == second


def test_an_answer_does_not_outlive_the_finding_it_answers(run):
    review(run, PARAMS)
    save_decision(run, auto_decision(read_request(run), count=1))
    diagnosed(run, share=0.6)
    with pytest.raises(ReviewError, match="decide again"):
        require_decision(run, PARAMS)


def test_a_class_without_mistakes_has_no_question(run):
    with pytest.raises(ReviewError, match="nothing to review"):
        review(diagnosed(run, status="nothing_to_explain"), PARAMS)
