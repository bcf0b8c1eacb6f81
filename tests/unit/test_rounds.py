"""Rounds in the background."""

import logging
import threading
from collections.abc import Iterator

import pytest

from neuroinspect.errors import OutsideError
from neuroinspect.rounds import Rounds


class Steps:
    """Raises what it is told to, one after the other."""

    def __init__(self, *results: Exception | None) -> None:
        self._results: Iterator[Exception | None] = iter(results)

    def __call__(self) -> None:
        result = next(self._results)
        if result is not None:
            raise result


def said(caplog: pytest.LogCaptureFixture, *results: Exception | None) -> list[str]:
    rounds = Rounds("a step", Steps(*results), every=1)
    for _ in results:
        rounds.take()
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def away() -> OutsideError:
    return OutsideError("the server is away")


def test_the_same_problem_round_after_round_is_said_once(caplog):
    assert said(caplog, away(), away(), away()) == ["the server is away"]


def test_another_problem_is_said(caplog):
    assert said(caplog, away(), OutsideError("it refuses"), away()) == [
        "the server is away",
        "it refuses",
        "the server is away",
    ]


def test_a_problem_that_comes_back_after_a_good_round_is_said_again(caplog):
    assert said(caplog, away(), None, away()) == ["the server is away", "the server is away"]


def test_an_error_of_the_programme_ends_no_round_and_is_said_once_with_its_place(caplog):
    assert said(caplog, ValueError("oh"), ValueError("oh"), None) == [
        "a step: an unexpected error; the next round tries again"
    ]
    assert "ValueError: oh" in caplog.text


def test_a_nudge_begins_the_next_round_at_once_and_the_end_of_the_context_ends_them():
    taken, again = threading.Event(), threading.Semaphore(0)

    def step() -> None:
        again.release()
        taken.set()

    rounds = Rounds("a step", step, every=3600)
    with rounds.in_background():
        assert again.acquire(timeout=60)
        rounds.nudge()
        assert again.acquire(timeout=60)
    assert taken.is_set()
    assert "a step" not in {thread.name for thread in threading.enumerate()}
