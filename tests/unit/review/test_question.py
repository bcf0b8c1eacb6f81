"""What is asked: one finding has one id, and an answer names only what was shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neuroinspect.errors import ReviewError
from neuroinspect.review import Candidate, open_request, parse_request
from neuroinspect.review.question import check_candidates
from tests.unit.review.questions import REQUEST, request_of


def test_the_same_finding_has_the_same_id():
    assert request_of((1, "both", 0.5)).id == request_of((1, "both", 0.5)).id


@pytest.mark.parametrize(
    "other",
    [
        request_of((1, "both", 0.5), model="n"),
        request_of((1, "both", 0.6)),
        request_of(),
        request_of((1, "both", 0.5), class_name="Fish"),
        request_of((1, "both", 0.5), class_name="fish\0"),
    ],
)
def test_another_model_class_or_other_candidates_are_another_finding(other):
    assert other.id != request_of((1, "both", 0.5)).id


candidates = st.lists(
    st.builds(
        Candidate,
        neuron=st.integers(0, 2**31 - 1),
        direction=st.sampled_from(["insufficient", "excessive", "both"]),
        vote_share=st.floats(0, 1),
    ),
    unique_by=lambda candidate: candidate.neuron,
)


@given(candidates, st.text())
def test_a_request_survives_its_record(some, class_name):
    request = open_request(some, class_name=class_name, class_index=0, model="m", data_version="d")
    assert parse_request({"schema_version": 1, **request.record()}) == request


@pytest.mark.parametrize("neuron", [-1, 2**31, 10**400, True, 3.0, "3", None])
def test_a_candidate_is_a_neuron_that_a_layer_can_have(neuron):
    with pytest.raises(ValidationError, match="neuron"):
        Candidate.model_validate({"neuron": neuron, "direction": "both", "vote_share": 0.5})


def test_a_damaged_request_is_refused():
    with pytest.raises(ReviewError, match="not a ReviewRequest"):
        parse_request({**REQUEST.record(), "extra": 1})


@pytest.mark.parametrize("neuron", [4, -3, 2**31, 10**400, True, 3.5])
def test_a_neuron_that_was_not_shown_is_refused(neuron):
    shown = request_of((1, "both", 0.5), (3, "both", 0.5))
    with pytest.raises(ReviewError, match="not candidates of this review; choose from 1, 3"):
        check_candidates(shown, [3, neuron])


def test_many_wrong_neurons_are_refused_at_once_and_in_few_words():
    with pytest.raises(ReviewError, match="and 199980 more are not candidates") as refused:
        check_candidates(REQUEST, range(100, 200_100))
    assert len(str(refused.value)) < 1000
    with pytest.raises(ReviewError, match="neurons 3 come more than once"):
        check_candidates(REQUEST, [3] * 200_000)
