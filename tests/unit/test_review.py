"""The rules of a decision, and the rule that decides without a person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.errors import ReviewError
from neuroinspect.review import (
    Candidate,
    ReviewRequest,
    auto_decision,
    decide,
    open_request,
    parse_decision,
    parse_request,
)


def request_of(*candidates: tuple[int, str, float], model: str = "m") -> ReviewRequest:
    return open_request(
        [Candidate(neuron=neuron, direction=direction, vote_share=share) for neuron, direction, share in candidates],
        class_name="fish",
        class_index=3,
        model=model,
        data_version="d",
    )


REQUEST = request_of((3, "insufficient", 0.5), (17, "both", 0.9), (8, "excessive", 1.0), (2, "insufficient", 0.5))


def test_the_same_finding_has_the_same_id():
    assert request_of((1, "both", 0.5)).id == request_of((1, "both", 0.5)).id


@pytest.mark.parametrize("other", [request_of((1, "both", 0.5), model="n"), request_of((1, "both", 0.6)), request_of()])
def test_another_model_or_other_candidates_are_another_finding(other):
    assert other.id != request_of((1, "both", 0.5)).id


def test_an_approval_keeps_the_neurons_it_names():
    decision = decide(REQUEST, verdict="approved", neurons={"fish": [3, 17]}, by="ada", note="trees")
    assert decision.neurons == {"fish": (3, 17)}
    assert (decision.request, decision.by, decision.rule, decision.unverified) == (REQUEST.id, "ada", None, False)


@pytest.mark.parametrize(
    ("by", "note", "message"),
    [
        ("ada\nbob", "", "one line"),
        ("ada\x1b[31m", "", "one line"),
        ("a" * 201, "", "at most 200"),
        ("ada", "x" * 10_001, "10001"),
        ("ada", "red \x1b[31m", "control character"),
        ("ada", "left\u202eright", "control character"),
        ("ada", "half \ud83d", "control character"),
    ],
)
def test_words_that_could_pretend_to_be_something_else_are_refused(by, note, message):
    with pytest.raises(ReviewError, match=message):
        decide(REQUEST, verdict="rejected", neurons={}, by=by, note=note)


def test_a_note_may_have_lines_and_letters_of_any_language():
    note = "Bäume,\nnicht Fische:\t木 🌲 👩\u200d🌾"
    assert decide(REQUEST, verdict="rejected", neurons={}, by="Zoë Ångström", note=note).note == note


@pytest.mark.parametrize(
    ("verdict", "neurons", "by", "message"),
    [
        ("approved", {"fish": []}, "ada", "at least one neuron"),
        ("approved", {}, "ada", "at least one neuron"),
        ("approved", {"fish": [3, 3]}, "ada", "more than once"),
        ("approved", {"fish": [4]}, "ada", "not candidates"),
        ("approved", {"boat": [3]}, "ada", "about class 'fish'"),
        ("rejected", {"fish": [3]}, "ada", "no neurons"),
        ("approved", {"fish": [3]}, " ", "who decides"),
    ],
)
def test_a_decision_that_breaks_a_rule_is_refused(verdict, neurons, by, message):
    with pytest.raises(ReviewError, match=message):
        decide(REQUEST, verdict=verdict, neurons=neurons, by=by)


def test_a_rejection_names_nothing():
    assert decide(REQUEST, verdict="rejected", neurons={"fish": []}, by="ada").neurons == {}


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


@given(candidates)
def test_a_request_survives_its_record(some):
    request = open_request(some, class_name="c", class_index=0, model="m", data_version="d")
    assert parse_request({"schema_version": 1, **request.record()}) == request


def test_a_decision_survives_its_record():
    decision = auto_decision(REQUEST, count=2)
    assert parse_decision({"schema_version": 1, **decision.record()}) == decision


def test_a_damaged_decision_is_refused():
    with pytest.raises(ReviewError, match="not a Decision"):
        parse_decision({"verdict": "maybe"})
