"""The rules of a decision, and the rule that decides without a person."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.errors import ReviewError
from neuroinspect.review import Candidate, auto_decision, decide, open_request, parse_decision
from neuroinspect.review.decision import check_strength
from tests.unit.review.questions import REQUEST, request_of


def test_an_approval_keeps_the_neurons_it_names():
    decision = decide(REQUEST, verdict="approved", neurons={"fish": [3, 17]}, by="ada", note="trees")
    assert decision.neurons == {"fish": (3, 17)}
    assert (decision.request, decision.by, decision.rule, decision.unverified) == (REQUEST.id, "ada", None, False)
    assert decision.strength == 1


def test_a_person_who_rejects_says_why():
    with pytest.raises(ReviewError, match="needs a reason"):
        decide(REQUEST, verdict="rejected", neurons={}, by="ada", note=" ")
    assert decide(REQUEST, verdict="rejected", neurons={}, by="auto", rule="there is none").verdict == "rejected"


def test_a_rejection_names_nothing():
    assert decide(REQUEST, verdict="rejected", neurons={"fish": []}, note="no cue", by="ada").neurons == {}


@pytest.mark.parametrize(
    ("verdict", "neurons", "by", "message"),
    [
        ("approved", {"fish": []}, "ada", "at least one neuron"),
        ("approved", {}, "ada", "at least one neuron"),
        ("approved", {"fish": [3, 3]}, "ada", "more than once"),
        ("approved", {"fish": [4]}, "ada", "not candidates"),
        ("approved", {"fish": [2**40]}, "ada", "not candidates"),
        ("approved", {"boat": [3]}, "ada", "about class 'fish'"),
        ("approved", {"fish": [3], "boat": [3]}, "ada", "about class 'fish'"),
        ("rejected", {"fish": [3]}, "ada", "no neurons"),
        ("approved", {"fish": [3]}, " ", "who decides"),
        ("approved", {"fish": [3]}, "a\0", "one line"),
    ],
)
def test_a_decision_that_breaks_a_rule_is_refused(verdict, neurons, by, message):
    with pytest.raises(ReviewError, match=message):
        decide(REQUEST, verdict=verdict, neurons=neurons, by=by)


def test_a_note_that_is_no_plain_text_is_refused():
    with pytest.raises(ReviewError, match="control character"):
        decide(REQUEST, verdict="rejected", neurons={}, by="ada", note="red \x1b[31m")


def from_json(text: str) -> object:
    """What the page or a file could bring; Python reads more than JSON allows."""
    return json.loads(text)


OUT_OF_RANGE = ["0", "-0.0", "-1", "1.0000001", "2", "NaN", "Infinity", "-Infinity", "1" + "0" * 400, "1e400"]
NO_NUMBER = ["true", "false", "null", '"0.5"', "[0.5]", "{}"]


@pytest.mark.parametrize("text", [*OUT_OF_RANGE, *NO_NUMBER])
def test_what_is_no_strength_is_refused_wherever_it_comes_from(text):
    with pytest.raises(ReviewError, match="a strength is a number above 0 and at most 1"):
        check_strength(from_json(text))
    record = decide(REQUEST, verdict="approved", neurons={"fish": [3]}, by="ada").record()
    with pytest.raises(ReviewError, match="strength"):
        parse_decision({**record, "strength": from_json(text)})


@given(st.floats() | st.integers())
def test_a_strength_is_above_nothing_and_at_most_everything(strength):
    inside = not math.isnan(strength) and 0 < strength <= 1
    try:
        kept = decide(REQUEST, verdict="approved", neurons={"fish": [3]}, by="ada", strength=strength).strength
    except ReviewError:
        assert not inside
    else:
        assert inside
        assert kept == strength


def test_a_rejection_has_no_strength():
    with pytest.raises(ReviewError, match="no strength"):
        decide(REQUEST, verdict="rejected", neurons={}, by="ada", note="no cue", strength=0.5)


@given(st.floats(0, 1, exclude_min=True), st.sets(st.sampled_from([2, 3, 8, 17]), min_size=1))
def test_a_decision_survives_its_record(strength, neurons):
    decision = decide(REQUEST, verdict="approved", neurons={"fish": sorted(neurons)}, by="ada", strength=strength)
    written = json.loads(json.dumps(decision.record()))
    assert parse_decision({"schema_version": 1, **written}) == decision


def test_a_decision_written_before_there_was_a_strength_goes_all_the_way():
    record = decide(REQUEST, verdict="approved", neurons={"fish": [3]}, by="ada").record()
    del record["strength"]
    assert parse_decision(record).strength == 1


@pytest.mark.parametrize(
    "change",
    [{"verdict": "maybe"}, {"neurons": {"fish": ["3"]}}, {"neurons": {"fish": [-3]}}, {"neurons": {"fish": [2**31]}}],
)
def test_a_damaged_decision_is_refused(change):
    record = decide(REQUEST, verdict="approved", neurons={"fish": [3]}, by="ada").record()
    with pytest.raises(ReviewError, match="not a Decision"):
        parse_decision({**record, **change})


def test_auto_takes_the_most_voted_neurons_that_are_not_merely_excessive():
    decision = auto_decision(REQUEST, count=2)
    assert decision.neurons == {"fish": (17, 2)}
    assert decision.unverified
    assert decision.rule is not None
    assert "top 2 insufficient" in decision.rule


def test_auto_rejects_where_no_neuron_is_insufficient():
    decision = auto_decision(request_of((8, "excessive", 1.0)), count=3)
    assert (decision.verdict, decision.neurons, decision.unverified) == ("rejected", {}, True)


candidates = st.lists(
    st.builds(
        Candidate,
        neuron=st.integers(0, 50),
        direction=st.sampled_from(["insufficient", "excessive", "both"]),
        vote_share=st.floats(0, 1),
    ),
    unique_by=lambda candidate: candidate.neuron,
)


@given(candidates, st.integers(1, 5), st.randoms())
def test_auto_does_not_depend_on_the_order_of_the_candidates(given_candidates, count, random):
    def chosen(some):
        request = open_request(some, class_name="c", class_index=0, model="m", data_version="d")
        return auto_decision(request, count=count).neurons

    shuffled = list(given_candidates)
    random.shuffle(shuffled)
    assert chosen(shuffled) == chosen(given_candidates)
