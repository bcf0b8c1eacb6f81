"""The flow up to the review: what is wrong with the model, and which neurons are suspected."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefect import flow

from flows import tasks
from flows.messages import kept_messages
from flows.naming import flow_run_name
from flows.outages import through_outages
from flows.progress import reported
from flows.runner import ShardRunner, shard_runner
from flows.surroundings import surroundings
from flows.tasks import do
from flows.threads import torch_threads
from neuroinspect.artifacts import RunFolder, StageResult
from neuroinspect.gate import log_decision
from neuroinspect.settings import Params


@dataclass(frozen=True, slots=True)
class Finding:
    """What the debug flow leaves: whether somebody has to decide, and what each stage left, in order."""

    status: Literal["waiting", "decided", "nothing_to_explain"]
    stages: tuple[StageResult, ...]


@flow(name="debug", flow_run_name=flow_run_name, persist_result=False)
def debug(params: Params, run: str, review: Literal["wait", "auto"] = "wait") -> Finding:
    """Find the neurons behind the mistakes of a class, and ask which of them to edit.

    Args:
        params: settings of all stages; paths as the machine that does the work sees them.
        run: the run folder, an absolute path on that machine; finished stages in it are not computed again.
        review: auto decides by rule where no person has; the decision is marked unverified.
    """
    machinery = surroundings().machinery
    with (
        kept_messages(),
        RunFolder(Path(run)).lock(join=True),
        torch_threads(machinery.threads),
        shard_runner(machinery) as runner,
    ):
        return through_outages(lambda: _find(runner, params, run, auto=review == "auto"))


def _find(runner: ShardRunner, params: Params, run: str, *, auto: bool) -> Finding:
    """All of it; what is finished is reused."""
    params = do(tasks.resolve, params, run)
    stages = [do(tasks.validate, params, run)]
    extract(runner, params, run)
    stages += [do(stage, params, run) for stage in (tasks.extract, tasks.diagnose)]
    if stages[-1].summary["status"] == "nothing_to_explain":
        return Finding("nothing_to_explain", tuple(stages))
    draw(runner, params, run)
    stages += [do(stage, params, run) for stage in (tasks.visualize, tasks.review)]
    decision = do(tasks.settle, params, run, auto=auto)
    if decision is None:
        return Finding("waiting", tuple(stages))
    log_decision(decision)
    return Finding("decided", tuple(stages))


def extract(runner: ShardRunner, params: Params, run: str) -> None:
    """Extract the shards of pictures at the same time; where one would follow the other, the stage does it alone.

    Raises:
        NeuroInspectError: a shard could not be extracted; what is extracted is kept.
    """
    if runner.start is None:
        return
    shards = do(tasks.plan_extraction, params, run)
    counts, done = Counter[str](), Counter[str]()
    for shard in shards:
        counts[shard.split] += shard.stop - shard.start
    with reported() as progress:
        for shard in runner.map(tasks.extract_shard, shards, params, run):
            done[shard.split] += shard.stop - shard.start
            progress(f"extract {shard.split}", done[shard.split], counts[shard.split])


def draw(runner: ShardRunner, params: Params, run: str) -> None:
    """Draw the shards of neurons.

    Raises:
        NeuroInspectError: a shard could not be drawn; what is drawn is kept.
    """
    shards = do(tasks.plan_shards, params, run)
    count, done = sum(shard.stop - shard.start for shard in shards), 0
    with reported() as progress:
        for shard in runner.map(tasks.draw_shard, shards, params, run):
            done += shard.stop - shard.start
            progress("visualize", done, count)
