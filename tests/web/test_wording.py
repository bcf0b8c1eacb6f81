"""Names and sentences from the data, as the page repeats them."""

import pytest

from neuroinspect.review import Candidate, decide, open_request
from neuroinspect.web.trail import decided
from neuroinspect.web.wording import listed, named, visible


@pytest.mark.parametrize("text", ["Zürich", "قایق\u200cها", "\U0001f41f\u200d\U0001f308", "two\nlines"])
def test_plain_text_of_any_script_stays_as_it_is(text):
    assert visible(text) == text


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\x1b", "\x00", "\u2028"])
def test_a_mark_that_does_something_is_shown_in_its_place(mark):
    assert visible(f"boat{mark}taob") == "boat\ufffdtaob"


def test_a_name_is_one_line_and_not_too_long():
    assert named(" boat \n of  mine ") == "boat of mine"
    assert len(named("x" * 5000)) == 120


def test_a_class_cannot_disguise_what_was_decided():
    name = "boat\u202e .noihsaf ni"
    request = open_request(
        [Candidate(neuron=3, direction="both", vote_share=1.0)],
        class_name=name,
        class_index=0,
        model="m",
        data_version="d",
    )
    decision = decide(request, verdict="approved", neurons={name: [3]}, by="ada", strength=0.5)
    assert decided(decision) == "approved the edit of neuron 3 of class boat\ufffd .noihsaf ni at strength 0.5"


def test_neurons_are_listed_as_they_are_said():
    assert [listed(given) for given in ([], [3], [3, 17], [3, 17, 20])] == [
        "no neuron",
        "neuron 3",
        "neurons 3 and 17",
        "neurons 3, 17 and 20",
    ]
