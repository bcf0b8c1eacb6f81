"""A question, its answers, and what is asked of every review store, whatever database it lies in."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.review import Candidate, Decision, NeuronJudgement, ReviewRequest, decide, judge, open_request

NEURONS = (3, 17, 20)


def question(class_name: str = "fish", *, model: str = "fingerprint") -> ReviewRequest:
    return open_request(
        [Candidate(neuron=neuron, direction="both", vote_share=0.5) for neuron in NEURONS],
        class_name=class_name,
        class_index=1,
        model=model,
        data_version="manifest:d",
    )


REQUEST = question()


def approval(by: str, *, neurons: tuple[int, ...] = (3,), strength: float = 1.0, unverified: bool = False) -> Decision:
    return decide(
        REQUEST, verdict="approved", neurons={"fish": neurons}, by=by, strength=strength, unverified=unverified
    )


def rejection(by: str, *, note: str = "no cue") -> Decision:
    return decide(REQUEST, verdict="rejected", neurons={}, by=by, note=note)


def said(neuron: int, verdict: Any, by: str = "ada", *, note: str = "") -> NeuronJudgement:
    return judge(REQUEST, neuron=neuron, verdict=verdict, by=by, note=note)


def history(store: SqlReviews) -> list[tuple[str, str | None]]:
    """What happened to the question, and who did it."""
    return [(entry.what, entry.by) for entry in store.trail(REQUEST.id)]


def exit_code_of(work: Callable[..., None], *words: Any) -> int | None:
    """How a forked process ends that does this work."""
    child = multiprocessing.get_context("fork").Process(target=_work_and_end, args=(work, *words))
    child.start()
    child.join()
    return child.exitcode


def _work_and_end(work: Callable[..., None], *words: Any) -> None:
    work(*words)
    os._exit(0)  # at once: what other tests left to be done at the end of this process is not the child's
