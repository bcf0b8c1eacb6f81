"""Whether a class has something to ask that nobody was asked yet; known before anything is drawn, which is what costs hours."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neuroinspect.artifacts import RunFolder, read_array, read_json, write_json
from neuroinspect.review import NeuronJudgement, ReviewBook, ReviewRequest, StoredReview
from neuroinspect.settings import Params
from neuroinspect.stability import candidate_stability
from neuroinspect.stages.review import current_request

NEWS: Final = "news.json"
"""What a night found new in a run folder."""
_NAMED: Final = 10
_FEWEST: Final = 2  # mistakes; every resample of one is that one, and each of its candidates would seem stable


@dataclass(frozen=True, slots=True)
class News:
    """Whether a class has something that nobody was asked yet.

    Attributes:
        new: stable candidates that nobody has decided or judged and that no open question holds, most voted first.
        waiting: stable candidates that an open question about this very model holds.
        known: stable candidates that somebody has decided or judged.
        stability: candidate to the share of the resamples in which it came back.
        least: the share from which on a candidate is stable.
        mistakes: how many the class has.
    """

    new: tuple[int, ...]
    waiting: tuple[int, ...]
    known: tuple[int, ...]
    stability: Mapping[int, float]
    least: float
    mistakes: int

    @property
    def sentence(self) -> str:
        """What it comes to, in words."""
        if self.new:
            return (
                f"{_neurons(self.new)} new: back in at least {self.least:.0%} of the resamples, and not decided before"
            )
        if self.waiting:
            return f"{_neurons(self.waiting)} waiting for an answer already; nothing new"
        if self.known:
            return f"{_neurons(self.known)} decided already; nothing new"
        if self.mistakes < _FEWEST:
            return "one mistake alone can be drawn in one way only, so nothing says what is stable; nothing to ask"
        return (
            f"none of {len(self.stability)} candidates comes back in {self.least:.0%} of the resamples; nothing to ask"
        )


def find_news(run: RunFolder, params: Params, *, book: ReviewBook, line: Collection[str], date: str) -> News:
    """Whether the diagnosis of a run has something new to ask; kept in the folder, so that the same night stays with its answer.

    Args:
        run: with a finished diagnose.
        params: of the run.
        book: what was asked and decided before.
        line: fingerprints of the models that this one was edited from. An edit changes the decision layer alone, so a neuron has
            the same number in all of them.
        date: of the night.

    Raises:
        StageOrderError: diagnose has not run.
        ReviewError: it found no mistakes.
        OutsideError: the review store cannot be used.
    """
    request, settings = current_request(run, params), params.nightly
    asked = {"date": date, "request": request.id, "settings": settings.model_dump(mode="json"), "seed": params.seed}
    kept = read_json(run.root / NEWS) if (run.root / NEWS).exists() else {}
    if kept.get("asked") == asked:
        return _news(kept["news"])
    shifts = read_array(run.require("diagnose") / "shifts.npy")
    stability = _stability(shifts, params, request)
    mistakes = int(shifts.any(axis=1).sum())
    stable = [neuron for neuron, share in stability.items() if share >= settings.stability and mistakes >= _FEWEST]
    related = [
        review
        for review in (*book.pending(), *book.closed())
        if review.request.class_name == request.class_name and review.request.model in {request.model, *line}
    ]
    judgements = {review.request.id: book.judgements(review.request.id) for review in related if review.judged}
    known = answered_neurons(related, judgements, present=request.id)
    # A question about an earlier model does not hold back one about this model: its answer would edit the earlier one.
    held = {
        candidate.neuron
        for review in related
        if review.status == "pending" and review.request.model == request.model
        for candidate in review.request.candidates
    }
    news = News(
        new=tuple(neuron for neuron in stable if neuron not in known | held),
        waiting=tuple(neuron for neuron in stable if neuron in held - known),
        known=tuple(neuron for neuron in stable if neuron in known),
        stability=stability,
        least=settings.stability,
        mistakes=mistakes,
    )
    same = kept.get("asked", {}).get("request") == request.id
    first = news.new or (kept.get("new_when_asked", ()) if same else ())
    write_json(run.root / NEWS, {"asked": asked, "news": _record(news), "new_when_asked": first})
    return news


def _stability(shifts: NDArray[np.float32], params: Params, request: ReviewRequest) -> dict[int, float]:
    """Candidate to the share of the resamples in which it comes back, most voted first."""
    rule = params.diagnose
    found = candidate_stability(
        shifts,
        generator=np.random.default_rng(params.seed),
        top_k=rule.top_k,
        min_share=rule.min_share,
        strict_sign=rule.strict_sign,
        max_neurons=rule.max_neurons,
        resamples=params.nightly.resamples,
    )
    return {candidate.neuron: float(found[candidate.neuron]) for candidate in request.candidates}


def answered_neurons(
    reviews: Iterable[StoredReview], judgements: Mapping[str, Mapping[int, NeuronJudgement]], *, present: str
) -> frozenset[int]:
    """Neurons that a person has answered for: every candidate of a decided review, chosen or not, and every one judged.

    Args:
        reviews: about the class, in the line of the model.
        judgements: review to neuron to what was said of it.
        present: the question that would be asked. Where it is decided it cannot be asked again, whoever decided it. Any other
            that was decided by rule alone answers nothing: no person has looked.
    """
    decided = {
        candidate.neuron
        for review in reviews
        if review.decision is not None and (review.decision.rule is None or review.request.id == present)
        for candidate in review.request.candidates
    }
    return frozenset(decided | {neuron for said in judgements.values() for neuron in said})


def new_when_asked(run: RunFolder, request: str) -> tuple[int, ...]:
    """The candidates that were new when a night asked a question; none where no night did.

    Args:
        run: that asks it.
        request: id of the question.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = run.root / NEWS
    kept = read_json(path) if path.exists() else {}
    return tuple(kept["new_when_asked"]) if kept.get("asked", {}).get("request") == request else ()


def _record(news: News) -> dict[str, Any]:
    return {
        "new": news.new,
        "waiting": news.waiting,
        "known": news.known,
        "stability": {str(neuron): share for neuron, share in news.stability.items()},
        "least": news.least,
        "mistakes": news.mistakes,
    }


def _news(record: Mapping[str, Any]) -> News:
    return News(
        new=tuple(record["new"]),
        waiting=tuple(record["waiting"]),
        known=tuple(record["known"]),
        stability={int(neuron): share for neuron, share in record["stability"].items()},
        least=record["least"],
        mistakes=record["mistakes"],
    )


def _neurons(neurons: tuple[int, ...]) -> str:
    named = ", ".join(map(str, neurons[:_NAMED])) + (", ..." if len(neurons) > _NAMED else "")
    return f"neuron {named} is" if len(neurons) == 1 else f"neurons {named} are"
