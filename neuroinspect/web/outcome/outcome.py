"""What came of a review: how far the edit is, and what it is worth once it is done."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.errors import RunFolderError, StageOrderError
from neuroinspect.review import Decision, EditOrder, StoredReview, TrailEntry
from neuroinspect.web.outcome.figures import FigureLine, figure_lines
from neuroinspect.web.outcome.promotion import Step, steps_to_promotion
from neuroinspect.web.times import moment
from neuroinspect.web.trail import decided
from neuroinspect.web.wording import visible

log = logging.getLogger(__name__)
State = Literal["waiting", "expired", "queued", "running", "failed", "stopped", "rejected", "done"]


class Answer(BaseModel):
    """The decision, in words."""

    by: str
    at: datetime | None
    moment: str
    sentence: str
    note: str
    unverified: bool


class Outcome(BaseModel):
    """What came of a review.

    Attributes:
        state: waiting for a decision, expired; queued, running, failed (and tried again by itself) or stopped (until somebody
            lets it be tried again) as long as the edit is not done; rejected; done.
        changing: it will change by itself, so it is worth asking again.
        title, sentence: the state in words.
        attempts: how often the edit was tried to start; problem: why the last start failed.
        stages: what follows a decision, and whether it is done.
        verdict, details: of the evaluation; "" and empty before it is done.
        lines: figures of the judge split.
        samples: pictures they rest on.
        retest: one sentence about the mistakes that are left.
        report: address of the report of the run.
        steps: what is left to do, and by whom.
    """

    state: State
    changing: bool
    title: str
    sentence: str
    decision: Answer | None = None
    attempts: int = 0
    problem: str = ""
    stages: list[tuple[str, bool]] = []
    verdict: str = ""
    details: list[str] = []
    edited: str = ""
    lines: list[FigureLine] = []
    samples: int = 0
    retest: list[str] = []
    report: str | None = None
    steps: list[Step] = []


def outcome_of(stored: StoredReview, order: EditOrder | None, trail: Sequence[TrailEntry]) -> Outcome:
    """The outcome of a review; a run folder that cannot be read is said so, and does not hide the rest.

    Args:
        stored: the review.
        order: what follows its decision, or None.
        trail: of the review, the oldest first.
    """
    decision = stored.decision
    if decision is None:
        return _undecided(stored)
    answer = Answer(
        by=decision.by,
        at=stored.decided_at,
        moment="" if stored.decided_at is None else moment(stored.decided_at),
        sentence=decided(decision),
        note=decision.note,
        unverified=decision.unverified,
    )
    state, title, sentence = _state(decision, order)
    run = RunFolder(stored.run.root if order is None else order.run)
    found = Outcome(
        state=state,
        changing=state in {"queued", "running", "failed"} or (state == "rejected" and _is_open(order)),
        title=title,
        sentence=sentence,
        decision=answer,
        attempts=0 if order is None else order.attempts,
        problem="" if order is None or order.problem is None else visible(order.problem),
    )
    if decision.verdict == "rejected":
        return found
    told = _told(trail)
    if state != "done":
        return found.model_copy(update={"stages": _stages(run, decision)})
    try:
        return found.model_copy(update=_result(run, decision, told, identifier=stored.request.id))
    except (RunFolderError, StageOrderError, KeyError, TypeError, ValueError) as error:
        log.warning("the figures of %s cannot be read: %s", run.root, error)
        lost = f"The figures cannot be read from {run.root.name} any more; the log of the page says why."
        return found.model_copy(update={"verdict": told, "details": [lost]})


def run_of_report(stored: StoredReview, order: EditOrder | None) -> RunFolder | None:
    """The run folder whose report tells of the decision that stands; None where there is none."""
    if stored.decision is None or order is None or order.finished_at is None:
        return None
    run = RunFolder(order.run)
    there = (run.stage("report") / "report.html").is_file() and _is_of(run, stored.decision)
    return run if there else None


def _undecided(stored: StoredReview) -> Outcome:
    if stored.status == "expired" and stored.expires_at is not None:
        sentence = f"Nobody answered before {moment(stored.expires_at)}; `neuroinspect run` asks again."
        return Outcome(state="expired", changing=False, title="Expired", sentence=sentence)
    return Outcome(
        state="waiting",
        changing=False,
        title="Waiting for a decision",
        sentence="Nobody has decided yet. Judge the neurons, then approve the edit or reject the finding.",
    )


def _state(decision: Decision, order: EditOrder | None) -> tuple[State, str, str]:
    if decision.verdict == "rejected":
        return "rejected", "Rejected", "The finding is rejected; the model stays as it is."
    if order is None:
        return "queued", "Decided", "The edit is decided. Nothing here says when it starts; `neuroinspect run` does it."
    if order.finished_at is not None:
        return "done", "Done", f"The edit was finished on {moment(order.finished_at)}."
    if order.started is not None:
        return "running", "The edit is running", "The layer is edited, judged beside its controls, and reported."
    if order.stopped:
        return "stopped", "The edit has stopped", "It failed too often, and is not started again by itself."
    if order.problem is not None:
        again = "by itself" if order.again_at is None else f"by itself on {moment(order.again_at)}"
        return "failed", "The edit has not started yet", f"The last try failed; it is started again {again}."
    return "queued", "The edit waits for a worker", "It starts by itself as soon as a worker takes it."


def _is_open(order: EditOrder | None) -> bool:
    return order is not None and order.finished_at is None


def _told(trail: Sequence[TrailEntry]) -> str:
    """The sentence with which the edit was finished."""
    done = [entry for entry in trail if entry.what == "edited" and entry.detail]
    return visible(str((done[-1].detail or {}).get("outcome", ""))) if done else ""


def _is_of(run: RunFolder, decision: Decision) -> bool:
    """Whether the edit in a run folder is the decided one, and not that of an earlier decision."""
    record = run.stage_record("edit")
    if record is None:
        return False
    edited = read_json(run.stage("edit") / "edit.json")
    chosen = {name: sorted(given) for name, given in decision.neurons.items()}
    try:
        return bool({edited["class"]: edited["neurons"]} == chosen and edited["strength"] == decision.strength)
    except (KeyError, TypeError):  # an edit of an older version does not say how strong it was
        return False


def _stages(run: RunFolder, decision: Decision) -> list[tuple[str, bool]]:
    """What the edit goes through; a stage is done where it was computed after the one before it."""
    steps: list[tuple[str, bool]] = []
    done, before = True, 0.0
    for name, title in (("edit", "edit the layer"), ("evaluate", "judge it"), ("report", "write the report")):
        record = run.stage(name) / "stage.json"
        try:
            at = record.stat().st_mtime if done else 0.0
            done = done and at >= before and (name != "edit" or _is_of(run, decision))
        except OSError:
            done, at = False, 0.0
        before = at
        steps.append((title, done))
    return steps


def _result(run: RunFolder, decision: Decision, told: str, *, identifier: str) -> Mapping[str, Any]:
    if not _is_of(run, decision):
        lost = "The run folder holds another edit by now, so its figures are not those of this decision."
        return {"verdict": told, "details": [lost]}
    metrics = read_json(run.require("evaluate") / "metrics.json")
    judged = metrics["splits"]["judge"]
    title, lines = figure_lines(judged, recommended=metrics["recommended"])
    retest = run.stage("evaluate") / "retest.json"
    layers = read_json(retest)["layers"] if retest.exists() else {}
    about = layers.get(metrics["recommended"]) or next(iter(layers.values()), None)
    reported = (run.stage("report") / "report.html").is_file()
    return {
        "verdict": visible(metrics["verdict"]["sentence"]),
        "details": [visible(sentence) for sentence in metrics["verdict"]["details"]],
        "edited": title,
        "lines": lines,
        "samples": judged["count"],
        "retest": [] if about is None else [visible(sentence) for sentence in about["sentences"]],
        "report": f"/reviews/{identifier}/report" if reported else None,
        "steps": steps_to_promotion(run, decision, told, recommended=metrics["recommended"]),
    }
