"""The flow after the review: the edited model, what it is worth, and where it is kept."""

import shlex
from pathlib import Path

from prefect import flow

from flows import tasks
from flows.messages import kept_messages
from flows.naming import flow_run_name
from flows.tasks import do
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import ChainResult, Status, chain_result
from neuroinspect.errors import StageOrderError
from neuroinspect.settings import Params


@flow(name="edit", flow_run_name=flow_run_name, persist_result=False)
def edit(params: Params, run: str) -> ChainResult:
    """Edit as the review decided, judge it, write the report, and keep run and model.

    Args:
        params: settings of all stages, as the debug flow had them.
        run: the run folder the debug flow left, an absolute path on the machine that does the work.
    """
    folder = RunFolder(Path(run))
    with kept_messages(), folder.lock():
        params = do(tasks.resolve, params, run)
        status = _status(folder, params)
        stages = [do(stage, params, run) for stage in (tasks.edit, tasks.evaluate, tasks.report)]
        tracked = do(tasks.track, params, run)
        do(tasks.register, params, run, tracked)
    return chain_result(folder, status, stages)


def _status(run: RunFolder, params: Params) -> Status:
    run.require("diagnose")
    if (run.stage_record("diagnose") or {})["summary"]["status"] == "nothing_to_explain":
        return "nothing_to_explain"
    decision = do(tasks.settle, params, str(run.root))
    if decision is None:
        raise StageOrderError(
            f"{run.root} waits for a decision; run `neuroinspect review decide --out {shlex.quote(str(run.root))}`, then this "
            "flow again"
        )
    return "done" if decision.verdict == "approved" else "rejected"
