"""Neurons side by side."""

import re

import numpy as np
import pytest

from neuroinspect.artifacts import read_array
from neuroinspect.web.neurons.comparison import MOST
from tests.web.answering import Reviewer
from tests.web.reviews import MadeReview, made_review


@pytest.fixture
def reviewer(made: MadeReview) -> Reviewer:
    return Reviewer(made)


def columns(text: str) -> list[str]:
    return re.findall(r'<li class="card" id="neuron-(\d+)"', text)


def test_the_neurons_of_the_address_stand_in_its_order(reviewer):
    assert columns(reviewer.page("compare?neurons=3,2,3").text) == ["3", "2"]


def test_what_is_no_candidate_is_left_out_and_said_so(reviewer):
    shown = reviewer.page("compare?neurons=2,319,..%2F..%2Fetc,%3Cb%3E")
    assert (shown.status_code, columns(shown.text)) == (200, ["2"])
    assert "319, ../../etc, &lt;b&gt;" in shown.text


def test_no_more_than_fit_beside_each_other(tmp_path):
    made = made_review(tmp_path / "many", candidates=MOST + 4)
    names = ",".join(map(str, made.neurons))
    assert len(columns(Reviewer(made).page(f"compare?neurons={names}").text)) == MOST


def test_the_correlation_is_that_of_the_activations(reviewer, made):
    features = read_array(made.run.stage("extract") / "features.select.npy")
    wanted = np.corrcoef(features[:, 2], features[:, 3])[0, 1]
    found = re.findall(r'<td class="shade-\d"><b>([^<]+)</b>', reviewer.page("compare?neurons=2,3").text)
    assert found == [f"{wanted:.2f}"] * 2


def test_shared_mistakes_are_counted_of_those_of_the_row(reviewer):
    shown = reviewer.page("compare?neurons=2,3").text
    counts = [tuple(map(int, pair)) for pair in re.findall(r"(\d+) of (\d+) mistakes", shown)]
    assert len(counts) == 2
    assert counts[0][0] == counts[1][0] <= min(counts[0][1], counts[1][1])


def test_verdicts_can_be_given_beside_each_other(reviewer):
    shown = reviewer.page("compare?neurons=2,3").text
    assert shown.count('class="verdict spurious"') == 2


def test_without_neurons_the_way_back_is_shown(reviewer, made):
    shown = reviewer.page("compare")
    assert (shown.status_code, columns(shown.text)) == (200, [])
    assert f'href="/reviews/{made.id}"' in shown.text


def test_without_a_run_folder_what_is_asked_is_still_shown(reviewer, made):
    made.run.root.rename(made.run.root.with_name("gone"))
    shown = reviewer.page("compare?neurons=2,3")
    assert (shown.status_code, columns(shown.text)) == (200, ["2", "3"])
