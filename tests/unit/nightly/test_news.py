"""What counts as new: against every way in which somebody may have been asked before."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroinspect.artifacts import RunFolder, read_array, write_array
from neuroinspect.nightly import News, find_news, new_when_asked
from neuroinspect.review import AskingRun, NeuronJudgement, StoredReview, auto_decision, decide, open_request
from neuroinspect.settings import Params, load_params
from neuroinspect.stages.review import current_request
from tests.tiny import make_diagnosed_project

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Book:
    """Reviews as the store gives them."""

    def __init__(self, *reviews: StoredReview, judged: Mapping[str, list[int]] | None = None) -> None:
        self._reviews = reviews
        self._judged = judged or {}

    def pending(self) -> list[StoredReview]:
        return [review for review in self._reviews if review.status == "pending"]

    def closed(self) -> list[StoredReview]:
        return [review for review in self._reviews if review.status != "pending"]

    def judgements(self, identifier: str) -> dict[int, NeuronJudgement]:
        return {n: NeuronJudgement(neuron=n, verdict="core", by="anna") for n in self._judged[identifier]}


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory) -> tuple[RunFolder, Params]:
    folder = make_diagnosed_project(tmp_path_factory.mktemp("news") / "project")
    params = load_params(folder / "params.yaml")
    # Every candidate counts as stable unless a test says otherwise.
    nightly = params.nightly.model_copy(update={"stability": 0.0, "resamples": 20})
    return RunFolder(folder / "runs" / "a"), params.model_copy(update={"nightly": nightly})


def news_of(
    diagnosed: tuple[RunFolder, Params], *reviews: StoredReview, line: tuple[str, ...] = (), **given: Any
) -> News:
    run, params = diagnosed
    (run.root / "news.json").unlink(missing_ok=True)
    book: Any = Book(*reviews, **given)
    return find_news(run, params, book=book, line=line, date="2026-11-01")


def asked(
    diagnosed: tuple[RunFolder, Params], *, count: int = 3, status: str = "pending", **other: Any
) -> StoredReview:
    """A review of the first candidates; by rule where it is decided by "auto"."""
    request = current_request(*diagnosed)
    by, judged = other.pop("by", "anna"), other.pop("judged", 0)
    values = {"class_name": request.class_name, "model": request.model, "data_version": "manifest:older", **other}
    earlier = open_request(request.candidates[:count], class_index=request.class_index, **values)
    decision = None
    if status == "rejected":
        decision = decide(earlier, verdict="rejected", neurons={}, note="no", by=by)
    if status == "approved":
        chosen = {earlier.class_name: [earlier.candidates[0].neuron]}
        decision = (
            auto_decision(earlier, count=1)
            if by == "auto"
            else decide(earlier, verdict="approved", neurons=chosen, by=by)
        )
    return StoredReview(
        request=earlier,
        runs=(AskingRun(Path("run"), None, "", NOW),),
        opened_at=NOW,
        expires_at=None,
        status=status,  # type: ignore[arg-type]
        decision=decision,
        decided_at=None,
        judged=judged,
    )


def first(diagnosed: tuple[RunFolder, Params], count: int) -> tuple[int, ...]:
    return tuple(candidate.neuron for candidate in current_request(*diagnosed).candidates[:count])


def test_where_nobody_was_asked_every_stable_candidate_is_new_and_the_most_voted_comes_first(diagnosed):
    news = news_of(diagnosed)
    every = tuple(candidate.neuron for candidate in current_request(*diagnosed).candidates)
    assert (news.new, news.waiting, news.known) == (every, (), ())
    assert "are new" in news.sentence


@pytest.mark.parametrize("status", ["approved", "rejected"])
def test_every_candidate_of_a_decided_question_is_answered_chosen_or_not(diagnosed, status):
    news = news_of(diagnosed, asked(diagnosed, status=status))
    assert news.known == first(diagnosed, 3)
    assert set(news.new) == set(news.stability) - set(news.known)


def test_an_open_question_about_this_model_holds_its_candidates_back_also_on_other_data(diagnosed):
    news = news_of(diagnosed, asked(diagnosed))
    assert news.waiting == first(diagnosed, 3)
    assert not set(news.waiting) & set(news.new)


def test_an_open_question_about_an_earlier_model_of_the_line_holds_nothing_back(diagnosed):
    assert news_of(diagnosed, asked(diagnosed, model="parent"), line=("parent",)).waiting == ()


def test_what_was_decided_for_an_earlier_model_of_the_line_is_decided_and_for_a_stranger_is_not(diagnosed):
    review = asked(diagnosed, status="rejected", model="parent")
    assert news_of(diagnosed, review, line=("parent", "grandparent")).known == first(diagnosed, 3)
    assert news_of(diagnosed, review, line=("another",)).known == ()


def test_another_class_and_an_expired_question_answer_nothing(diagnosed):
    others = [asked(diagnosed, status="rejected", class_name="boat"), asked(diagnosed, status="expired")]
    news = news_of(diagnosed, *others)
    assert (news.known, news.waiting) == ((), ())


def test_what_was_decided_by_rule_alone_is_open_to_a_person_unless_it_is_the_very_same_question(diagnosed):
    assert news_of(diagnosed, asked(diagnosed, status="approved", by="auto")).known == ()
    request = current_request(*diagnosed)
    same = asked(
        diagnosed, count=len(request.candidates), status="approved", by="auto", data_version=request.data_version
    )
    assert same.request.id == request.id
    assert news_of(diagnosed, same).new == ()


def test_a_neuron_that_was_judged_is_known_although_its_question_expired(diagnosed):
    review = asked(diagnosed, status="expired", judged=1)
    neuron = review.request.candidates[1].neuron
    assert news_of(diagnosed, review, judged={review.request.id: [neuron]}).known == (neuron,)


def test_only_what_comes_back_often_enough_is_asked(diagnosed):
    run, params = diagnosed
    demanding = params.model_copy(update={"nightly": params.nightly.model_copy(update={"stability": 0.99})})
    news = news_of((run, demanding))
    assert news.new == tuple(n for n, share in news.stability.items() if share >= 0.99)
    assert 0 < len(news.new) < len(news.stability)


def test_one_mistake_makes_nothing_stable(diagnosed):
    run, _ = diagnosed
    path = run.stage("diagnose") / "shifts.npy"
    shifts = np.array(read_array(path))
    try:
        write_array(path, shifts[:1])
        news = news_of(diagnosed)
    finally:
        write_array(path, shifts)
    assert news.new == ()
    assert "one mistake alone" in news.sentence


def test_the_same_night_stays_with_its_answer_and_the_next_one_looks_again(diagnosed):
    run, params = diagnosed
    before = news_of(diagnosed)
    decided: Any = Book(asked(diagnosed, status="rejected"))
    assert find_news(run, params, book=decided, line=(), date="2026-11-01") == before
    after = find_news(run, params, book=decided, line=(), date="2026-11-02")
    assert after.known == first(diagnosed, 3)
    assert find_news(run, params, book=Book(), line=(), date="2026-11-02") == after
    assert new_when_asked(run, current_request(run, params).id) == after.new


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"new": (3,)}, "neuron 3 is new"),
        ({"waiting": tuple(range(12))}, r"neurons 0, .*, 9, \.\.\. are waiting"),
        ({"known": (1, 2)}, "neurons 1, 2 are decided already"),
        ({}, "none of 1 candidates comes back in 80%"),
    ],
)
def test_it_is_said_in_words(parts, words):
    nothing: dict[str, Any] = {
        "new": (),
        "waiting": (),
        "known": (),
        "stability": {3: 0.1},
        "least": 0.8,
        "mistakes": 9,
    }
    assert re.search(words, News(**{**nothing, **parts}).sentence)


def test_a_run_without_a_night_has_no_news(tmp_path):
    assert new_when_asked(RunFolder(tmp_path), "a question") == ()


def test_what_was_new_when_a_night_asked_is_remembered_while_the_question_waits(diagnosed):
    run, params = diagnosed
    request = current_request(run, params)
    before = news_of(diagnosed).new
    waiting: Any = Book(asked(diagnosed, count=len(request.candidates), data_version=request.data_version))
    assert find_news(run, params, book=waiting, line=(), date="2026-11-02").new == ()
    assert new_when_asked(run, request.id) == before != ()
    assert new_when_asked(run, "another question") == ()
