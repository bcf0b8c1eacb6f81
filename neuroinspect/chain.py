"""The whole chain in one process: every stage up to the review, and on after it.

Each function holds the lock of the run folder, so two processes never write the same run.
"""

import importlib
import logging
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from neuroinspect.artifacts import RunFolder, StageResult, read_json, write_json
from neuroinspect.editing.edit import method_tries
from neuroinspect.ports import Progress, silent
from neuroinspect.review import AUTO, Decision, auto_decision
from neuroinspect.settings import Params
from neuroinspect.stages.models import classifier_of
from neuroinspect.stages.review import data_version, read_decision, read_request, save_decision

Status = Literal["waiting", "done", "nothing_to_explain", "rejected"]
_PACKAGES = ("neuroinspect", "torch", "torchvision", "timm", "open_clip_torch", "numpy", "pandas", "scipy", "pillow")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChainResult:
    """How far the chain came.

    Attributes:
        root: the run folder.
        status: "waiting" for a decision; "done"; "nothing_to_explain" where the class has no mistakes; "rejected" where
            the reviewer wants no edit.
        stages: what each stage left, in order.
        report: the page, or None before it is there.
        verdict: the sentence at its top, or None before it is there.
    """

    root: Path
    status: Status
    stages: tuple[StageResult, ...]
    report: Path | None = None
    verdict: str | None = None


def run_chain(run: RunFolder, params: Params, *, auto_review: bool = False, progress: Progress = silent) -> ChainResult:
    """Run every stage up to the review, and the ones after it where a decision is there.

    Args:
        run: the run folder; finished stages in it are not computed again.
        params: settings of all stages.
        auto_review: decide by the rule of `neuroinspect.review.auto_decision`, unless a person has decided.
        progress: is told how far each stage is.

    Raises:
        NeuroInspectError: any stage's; what is finished is kept.
    """
    # a method or a model that cannot be is better said before the hours of work than after
    for method in params.edit.methods:
        method_tries(method)
    classifier_of(params)
    with run.lock():
        finished = [_stage(name, run, params, progress=progress) for name in ("validate", "extract", "diagnose")]
        status: Status = "nothing_to_explain"
        if finished[-1].summary["status"] != "nothing_to_explain":
            finished += [_stage(name, run, params, progress=progress) for name in ("visualize", "review")]
            decision = _decide_by_rule(run, params) if auto_review else read_decision(run)
            if decision is None:
                return ChainResult(run.root, "waiting", tuple(finished))
            status = "done" if decision.verdict == "approved" else "rejected"
        finished += [_stage(name, run, params, progress=progress) for name in ("edit", "evaluate", "report")]
    verdict = read_json(run.stage("evaluate") / "metrics.json")["verdict"]["sentence"]
    return ChainResult(run.root, status, tuple(finished), run.stage("report") / "report.html", verdict)


def run_stage_alone(name: str, run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Run one stage on what the stages before it left.

    Raises:
        StageOrderError: a stage it needs has not run.
        NeuroInspectError: any other of the stage's.
    """
    with run.lock():
        return _stage(name, run, params, progress=progress)


def _stage(name: str, run: RunFolder, params: Params, *, progress: Progress) -> StageResult:
    # Loaded when its turn comes: the command line starts sooner, and a stage is called by its one word everywhere.
    module = importlib.import_module(f"neuroinspect.stages.{name}")
    result: StageResult = getattr(module, name)(run, params, progress=progress)
    if not result.reused:
        for warning in result.summary.get("warnings", ()):
            log.warning("%s: %s", name, warning)
    if name == "validate":
        write_provenance(run, params)
    return result


def _decide_by_rule(run: RunFolder, params: Params) -> Decision:
    standing = read_decision(run)
    if standing is not None and standing.by != AUTO:
        log.info("review: %s by %s", standing.verdict, standing.by)
        return standing
    decision = auto_decision(read_request(run), count=params.review.auto_count)
    save_decision(run, decision, replace=True)
    log.info("review: %s by rule (%s)", decision.verdict, decision.rule)
    return decision


def write_provenance(run: RunFolder, params: Params) -> None:
    """Write run.json: what the run was computed from and with. It holds no path, so a run can be moved.

    Raises:
        StageOrderError: validate has not run.
        RunFolderError: the folder cannot be written.
    """
    # Loaded here: the report's plots are slow to import, and most commands need none.
    from neuroinspect.report.provenance import settings_without_folders, spec_without_folder

    model = params.model
    write_json(
        run.root / "run.json",
        {
            "model": {
                "spec": model.spec,
                "weights": None if model.weights is None else model.weights.name,
                "fingerprint": classifier_of(params).fingerprint,
            },
            "data_version": data_version(run),
            "guide": None if params.guide.spec is None else spec_without_folder(params.guide.spec),
            "seed": params.seed,
            "settings": {
                section: values
                for section, values in settings_without_folders(params).items()
                if section not in {"model", "data"}
            },
            "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        },
    )
