"""The flow up to the review: what is wrong with the model, and which neurons are suspected."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect import Task, flow, unmapped
from prefect.futures import as_completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows import tasks
from flows.messages import kept_messages
from flows.naming import flow_run_name
from flows.progress import reported
from flows.surroundings import surroundings
from flows.tasks import configured, do
from neuroinspect.artifacts import RunFolder, StageResult
from neuroinspect.gate import log_decision
from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params
from neuroinspect.stages.visualize import Shard


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
    with kept_messages(), RunFolder(Path(run)).lock():
        params = do(tasks.resolve, params, run)
        stages = [do(stage, params, run) for stage in (tasks.validate, tasks.extract, tasks.diagnose)]
        if stages[-1].summary["status"] == "nothing_to_explain":
            return Finding("nothing_to_explain", tuple(stages))
        draw(do(tasks.plan_shards, params, run), params, run)
        stages += [do(stage, params, run) for stage in (tasks.visualize, tasks.review)]
        decision = do(tasks.settle, params, run, auto=review == "auto")
        if decision is None:
            return Finding("waiting", tuple(stages))
        log_decision(decision)
    return Finding("decided", tuple(stages))


def draw(shards: list[Shard], params: Params, run: str) -> None:
    """Draw the shards, as many at the same time as the machinery says.

    Raises:
        NeuroInspectError: a shard could not be drawn; what is drawn is kept.
    """
    machinery = surroundings().machinery
    count, done = sum(shard.stop - shard.start for shard in shards), 0
    with reported() as progress:
        for shard in _one_by_one(shards, params, run) if machinery.workers == 1 else _mapped(shards, params, run):
            done += shard.stop - shard.start
            progress("visualize", done, count)


def _one_by_one(shards: list[Shard], params: Params, run: str) -> Iterator[Shard]:
    """In this thread, so that an interrupt stops the work at once and not after a shard."""
    for shard in shards:
        do(tasks.draw_shard, params, run, shard)
        yield shard


def _mapped(shards: list[Shard], params: Params, run: str) -> Iterator[Shard]:
    with shard_runner(surroundings().machinery) as runner:
        drawing: Task[..., Any] = configured(tasks.draw_shard)
        futures = list(runner.map(drawing, {"params": unmapped(params), "run": unmapped(run), "shard": shards}))
        drawn = dict(zip(futures, shards, strict=True))
        for future in as_completed(futures):
            future.result()
            yield drawn[future]


def shard_runner(machinery: Machinery) -> TaskRunner[Any]:
    """What draws several shards at the same time: threads, which share the one model in memory."""
    return ThreadPoolTaskRunner(max_workers=machinery.workers)
