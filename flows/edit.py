"""The flow after the review: the edited model, what it is worth, and where it is kept."""

import shlex
from pathlib import Path

from prefect import flow

from flows import tasks
from flows.messages import kept_messages
from flows.naming import flow_run_name
from flows.outages import through_outages
from flows.surroundings import surroundings
from flows.tasks import do
from flows.threads import torch_threads
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import ChainResult, Status, chain_result
from neuroinspect.errors import RunFolderError, StageOrderError
from neuroinspect.settings import Params

_PATIENCE = 60.0  # seconds; a person may be looking at the run while the outbox starts its edit


@flow(name="edit", flow_run_name=flow_run_name, persist_result=False)
def edit(params: Params, run: str) -> ChainResult:
    """Edit as the review decided, judge it, write the report, and keep run and model.

    Args:
        params: settings of all stages, as the debug flow had them.
        run: the run folder the debug flow left, an absolute path on the machine that does the work.
    """
    folder = RunFolder(Path(run))
    if not folder.root.is_dir():
        raise RunFolderError(
            f"there is no run folder {folder.root} on this machine; bring it back, or let a machine that has it do the edit"
        )
    with kept_messages(), folder.lock(join=True, patience=_PATIENCE), torch_threads(surroundings().machinery.threads):
        return through_outages(lambda: _carry_out(folder, params))


def _carry_out(folder: RunFolder, params: Params) -> ChainResult:
    """All of it; what is finished is reused."""
    run = str(folder.root)
    params = do(tasks.resolve, params, run)
    status = _status(folder, params)
    stages = [do(stage, params, run) for stage in (tasks.edit, tasks.evaluate, tasks.report)]
    tracked = do(tasks.track, params, run)
    registered = do(tasks.register, params, run, tracked)
    do(tasks.close, run, registered)
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
