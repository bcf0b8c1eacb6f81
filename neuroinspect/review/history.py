"""What the review store keeps of a question: who asked, what was answered when, and the edit that follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from neuroinspect.review.decision import Decision
from neuroinspect.review.question import ReviewRequest

Status = Literal["pending", "expired", "approved", "rejected"]


@dataclass(frozen=True, slots=True)
class AskingRun:
    """A run folder that asks a question.

    Attributes:
        root: the run folder.
        params: settings of all stages as that run had them, JSON-like; None where an older version asked.
        run_hash: of the inputs of every stage before the review.
        asked_at: when it asked last.
    """

    root: Path
    params: Mapping[str, Any] | None = field(repr=False)
    run_hash: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class StoredReview:
    """One question of the store.

    Attributes:
        request: the question.
        runs: the run folders that asked it, the latest first; never empty.
        opened_at: when it was asked first.
        expires_at: from when on it can no longer be answered; None: never.
        status: "expired" is a question that nobody answered in time.
        decision: the answer, or None while there is none.
        decided_at: when it was given.
        judged: how many of its neurons have a verdict.
    """

    request: ReviewRequest
    runs: tuple[AskingRun, ...]
    opened_at: datetime
    expires_at: datetime | None
    status: Status
    decision: Decision | None
    decided_at: datetime | None
    judged: int

    @property
    def run(self) -> AskingRun:
        """The run folder that asked last."""
        return self.runs[0]


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """One thing that happened to a review; never changed afterwards.

    Attributes:
        at: when.
        what: "opened", "reopened" (asked again after it expired), "judged", "undone", "decided", "adopted" (a decision found in
            a run folder), "replaced" or "edited".
        by: who; None where the pipeline did.
        model: fingerprint of the classifier.
        data_version: of the pictures.
        run_hash: of the inputs of every stage before the review.
        decision: the answer that stood from then on.
        detail: of a verdict: neuron, verdict, note, and what stood `before` (verdict, note, by, at; all but the note None where
            nothing did); of an edit: the run folder and what came of it.
    """

    at: datetime
    what: str
    by: str | None
    model: str
    data_version: str
    run_hash: str
    decision: Decision | None
    detail: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class EditOrder:
    """What follows a decision, written together with it: the edit, or the record that nothing is edited.

    Attributes:
        key: equal for equal orders, so that starting twice starts one.
        request: id of the review.
        run: the run folder to go on with.
        params: settings of all stages as that run had them; None where an older version asked.
        started: what the starter called it; None before that.
        attempts: how often it was tried to start it.
        lost: how often a start was given up, because its process is gone or it failed.
        problem: why it could not be started, or what became of the last start; None where nothing went wrong.
        again_at: from when on it is started again; None where nothing has to be waited for.
        finished_at: when it was done.
    """

    key: str
    request: str
    run: Path
    params: Mapping[str, Any] | None = field(repr=False)
    started: str | None
    attempts: int
    lost: int
    problem: str | None
    again_at: datetime | None
    finished_at: datetime | None

    @property
    def stopped(self) -> bool:
        """Whether it is not started again by itself, because its starts failed once too often."""
        return self.finished_at is None and self.started is None and self.lost > 0 and self.again_at is None
