"""Stage review: open the question; a decision is kept beside it for as long as the question is the same."""

from pathlib import Path
from typing import Any

from neuroinspect.artifacts import (
    RunFolder,
    StageResult,
    read_json,
    read_table,
    run_stage,
    write_json,
)
from neuroinspect.errors import ReviewConflictError, ReviewError, ReviewOutdatedError, StageOrderError
from neuroinspect.ports import Progress, silent
from neuroinspect.review import Candidate, Decision, ReviewRequest, open_request, parse_decision, parse_request
from neuroinspect.settings import Params
from neuroinspect.stages.models import classifier_of

STAGE_VERSION = 1


def review(run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Write review/request.json: every ranked neuron of the class, most voted first.

    The inputs of this stage are the request itself, so a decision outlives whatever does not change the question.

    Raises:
        StageOrderError: diagnose has not run.
        ReviewError: diagnose found no mistakes, so there is nothing to ask.
        RunFolderError: the folder cannot be written.
    """
    request = current_request(run, params)
    progress("review", 0, 1)

    def compute(folder: Path) -> dict[str, Any]:
        write_json(folder / "request.json", request.record())
        standing = read_decision(run)
        if standing is not None and standing.request == request.id:
            write_json(folder / "decision.json", standing.record())
        return {"request": request.id, "class": request.class_name, "candidates": len(request.candidates)}

    result = run_stage(run, "review", version=STAGE_VERSION, inputs=request.record(), compute=compute)
    progress("review", 1, 1)
    return result


def read_request(run: RunFolder) -> ReviewRequest:
    """The question of a run.

    Raises:
        StageOrderError: it has not been opened.
        ArtifactError: request.json is damaged.
    """
    return parse_request(read_json(run.require("review") / "request.json"))


def read_decision(run: RunFolder) -> Decision | None:
    """The answer of a run, or None while it is pending.

    Raises:
        ArtifactError: decision.json is damaged.
    """
    path = run.stage("review") / "decision.json"
    return parse_decision(read_json(path)) if path.exists() else None


def require_decision(run: RunFolder, params: Params) -> Decision:
    """The answer to the question that the diagnosis of a run asks now.

    Raises:
        StageOrderError: the question has not been opened, or nobody has decided yet.
        ReviewOutdatedError: the decision answers another question: the model, the data or the finding changed since.
    """
    run.require("review")
    request, decision = current_request(run, params), read_decision(run)
    if decision is None:
        raise StageOrderError(f"{run.root} waits for a decision; run `neuroinspect review decide` first")
    check_answers(decision, request)
    return decision


def save_decision(run: RunFolder, decision: Decision, *, replace: bool = False) -> None:
    """Write review/decision.json beside the request it answers.

    Args:
        run: whose question it answers.
        decision: made by `neuroinspect.review.decide` or `auto_decision`.
        replace: take the place of an earlier decision.

    Raises:
        ReviewOutdatedError: it answers another request.
        ReviewConflictError: there is another decision already.
        RunFolderError: the folder cannot be written.
    """
    check_answers(decision, read_request(run))
    standing = None if replace else read_decision(run)
    if standing is not None and standing != decision:
        raise ReviewConflictError(f"this review is already {standing.verdict} by {standing.by}; --replace changes that")
    write_json(run.stage("review") / "decision.json", decision.record())


def check_answers(decision: Decision, request: ReviewRequest) -> None:
    """Refuse a decision on another question.

    Raises:
        ReviewOutdatedError: it answers another request.
    """
    if decision.request != request.id:
        raise ReviewOutdatedError(
            f"the decision answers review {decision.request[:12]}, this run asks {request.id[:12]}: the model, the "
            "data or the candidates changed. Look at the new request and decide again"
        )


def current_request(run: RunFolder, params: Params) -> ReviewRequest:
    """The question that the diagnosis of a run asks now.

    Raises:
        StageOrderError: diagnose has not run.
        ReviewError: diagnose found no mistakes.
        ModelError: the classifier cannot be loaded.
    """
    folder = run.require("diagnose")
    summary = read_json(folder / "stage.json")["summary"]
    if summary["status"] == "nothing_to_explain":
        raise ReviewError(f"class {summary['class']!r} has no mistakes; there is nothing to review")
    table = read_table(folder / "neurons.parquet").sort_values(["vote_share", "neuron"], ascending=[False, True])
    candidates = [
        Candidate(neuron=int(neuron), direction=direction, vote_share=float(share))
        for neuron, direction, share in zip(table["neuron"], table["direction"], table["vote_share"], strict=True)
    ]
    return open_request(
        candidates,
        class_name=summary["class"],
        class_index=summary["class_index"],
        model=classifier_of(params).fingerprint,
        # Not the version of the data's keeper: to keep the same pictures under a version must not ask the question again.
        data_version=f"manifest:{manifest_version(run)}",
    )


def require_current(run: RunFolder, params: Params, request: ReviewRequest) -> None:
    """Refuse to answer a question that the run no longer asks.

    Raises:
        ReviewOutdatedError: the model, the data or the finding changed since, or the run folder is gone.
        ModelError: the classifier cannot be loaded.
    """
    try:
        current = current_request(run, params)
    except (StageOrderError, ReviewError) as error:
        raise ReviewOutdatedError(
            f"{run.root} no longer asks this question ({error}); `neuroinspect run` asks again"
        ) from error
    if current.id != request.id:
        raise ReviewOutdatedError(
            f"{run.root} asks review {current.id[:12]} now and no longer {request.id[:12]}: the model, the data or the "
            "candidates changed since. `neuroinspect review show` opens the new request; look at it and decide again"
        )


def manifest_version(run: RunFolder) -> str:
    """Hash of the pictures a run works on: names, labels, splits and contents.

    Raises:
        StageOrderError: validate has not run.
    """
    return str(read_json(run.require("validate") / "stage.json")["summary"]["data_version"])
