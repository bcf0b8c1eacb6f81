"""Rows of the review store as records."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from neuroinspect.review import (
    AskingRun,
    Decision,
    EditOrder,
    NeuronJudgement,
    StoredReview,
    TrailEntry,
    parse_decision,
    parse_request,
)
from neuroinspect.review.history import Status

if TYPE_CHECKING:
    from sqlalchemy import RowMapping


def stored_review(row: "RowMapping", runs: Sequence["RowMapping"], *, now: datetime) -> StoredReview:
    """A review with the run folders that ask it, as it stands at that time."""
    status: Status = "pending"
    if row["decision"] is not None:
        status = parse_decision(row["decision"]).verdict
    elif row["expires_at"] is not None and row["expires_at"] <= now:
        status = "expired"
    return StoredReview(
        request=parse_request(row["request"]),
        runs=tuple(AskingRun(Path(run["run"]), run["params"], run["run_hash"], run["asked_at"]) for run in runs),
        opened_at=row["opened_at"],
        expires_at=row["expires_at"],
        status=status,
        decision=decision_of(row),
        decided_at=row["decided_at"],
        judged=row["judged"],
    )


def trail_entry(row: "RowMapping") -> TrailEntry:
    """One entry of the trail."""
    return TrailEntry(
        at=row["at"],
        what=row["what"],
        by=row["by"],
        model=row["model"],
        data_version=row["data_version"],
        run_hash=row["run_hash"],
        decision=decision_of(row),
        detail=row["detail"],
    )


def judgement_of(row: "RowMapping") -> NeuronJudgement:
    """What is said of a neuron."""
    return NeuronJudgement(neuron=row["neuron"], verdict=row["verdict"], note=row["note"], by=row["by"], at=row["at"])


def edit_order(row: "RowMapping") -> EditOrder:
    """What follows a decision."""
    return EditOrder(
        key=row["key"],
        request=row["review"],
        run=Path(row["run"]),
        params=row["params"],
        started=row["started"],
        attempts=row["attempts"],
        lost=row["lost"],
        problem=row["problem"],
        again_at=row["again_at"],
        finished_at=row["finished_at"],
    )


def decision_of(row: "RowMapping") -> Decision | None:
    """The answer that a row holds."""
    return None if row["decision"] is None else parse_decision(row["decision"])
