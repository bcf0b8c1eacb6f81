"""The tasks: one for each stage, with the stage's word, and those around them. A task calls one step of `neuroinspect.chain`.

Parameters are settings and a folder, never tensors; what a task computes lies in the run folder, so trying it again, or after a
crash, goes on where it stopped, and Prefect itself caches nothing.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from flows import artifacts
from flows.messages import kept_messages
from flows.naming import task_run_name
from flows.progress import reported
from flows.surroundings import surroundings
from flows.threads import torch_threads
from neuroinspect import chain, gate
from neuroinspect.artifacts import RunFolder, StageResult
from neuroinspect.assembly import all_tools, tell_webhook
from neuroinspect.errors import ArtifactError, MissingToolError, OutsideError
from neuroinspect.ports import RegisteredVersion, Tools
from neuroinspect.review import Decision
from neuroinspect.settings import Params
from neuroinspect.stages import extract as features
from neuroinspect.stages import visualize as pictures

P = ParamSpec("P")
R = TypeVar("R")
RETRY_DELAYS = [1.0, 10.0, 60.0]  # seconds; further tries wait as long as the last


def may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 (Prefect gives all three)
    """Whether a failure may be gone at the next try: a tool or a disk that did not answer, but never wrong input."""
    error = state.data
    return isinstance(error, OutsideError) or (isinstance(error, OSError) and not isinstance(error, ArtifactError))


def step(name: str, *tags: Literal["gpu"]) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task as all of ours are. The tag `gpu` marks those that run the network, for a limit on how many do at once."""
    return task(
        name=name,
        task_run_name=task_run_name(name),
        tags=["neuroinspect", *tags],
        cache_policy=NO_CACHE,
        persist_result=False,
        retry_condition_fn=may_pass,
    )


def configured(task: Task[P, R]) -> Task[P, R]:
    """The task with retries and time limit of the machinery."""
    machinery = surroundings().machinery
    return task.with_options(
        retries=machinery.task_retries, retry_delay_seconds=RETRY_DELAYS, timeout_seconds=machinery.task_timeout
    )


def do(task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a task here and now.

    Raises:
        NeuroInspectError: the task's own, once it is not tried again.
    """
    return configured(task)(*args, **kwargs)


@step("resolve")
def resolve(params: Params, run: str) -> Params:
    """Bring a registered model here, and refuse what cannot work before the hours of work."""
    resolved = chain.with_resolved_model(params, _tools(), run=_folder(run))
    chain.refuse_what_cannot_work(resolved)
    return resolved


@step("validate")
def validate(params: Params, run: str) -> StageResult:
    """Bring the data, check the pictures, settle the splits."""
    return _carry_out("validate", params, run)


@step("plan_extraction")
def plan_extraction(params: Params, run: str) -> list[features.Shard]:
    """The shards of pictures that are not extracted yet."""
    return features.plan_shards(_folder(run), params)


@step("extract_shard", "gpu")
def extract_shard(params: Params, run: str, shard: features.Shard, threads: int) -> None:
    """Run the backbone over a few pictures; the stage extract gathers them."""
    with _shard_of(f"{shard.split} pictures", shard.start, shard.stop, threads):
        features.extract_shard(_folder(run), params, shard)


@step("extract", "gpu")
def extract(params: Params, run: str) -> StageResult:
    """Run the backbone over every split, once; or gather what the shards extracted."""
    return _carry_out("extract", params, run)


@step("diagnose")
def diagnose(params: Params, run: str) -> StageResult:
    """Explain the mistakes of a class by the neurons that would have to change."""
    result = _carry_out("diagnose", params, run)
    artifacts.show_ranking(_folder(run))
    return result


@step("plan_shards")
def plan_shards(params: Params, run: str) -> list[pictures.Shard]:
    """The shards of neurons that are not drawn yet."""
    return pictures.plan_shards(_folder(run), params)


@step("draw_shard", "gpu")
def draw_shard(params: Params, run: str, shard: pictures.Shard, threads: int) -> None:
    """Draw a few neurons; the stage visualize gathers them."""
    with _shard_of("neurons", shard.start, shard.stop, threads):
        pictures.draw_shard(_folder(run), params, shard)


@step("visualize", "gpu")
def visualize(params: Params, run: str) -> StageResult:
    """Gather what the shards drew."""
    return _carry_out("visualize", params, run)


@step("review")
def review(params: Params, run: str) -> StageResult:
    """Open the question, in the run folder and in the review store."""
    result = _carry_out("review", params, run)
    artifacts.show_question(_folder(run))
    tell_webhook(surroundings().machinery)
    return result


@step("settle")
def settle(params: Params, run: str, *, auto: bool = False) -> Decision | None:
    """The decision, copied into the run folder; None while nobody has decided."""
    return gate.settle_review(_folder(run), params, tools=_tools(), auto=auto)


@step("edit")
def edit(params: Params, run: str) -> StageResult:
    """Edit the decision layer as the review decided, and make the controls."""
    return _carry_out("edit", params, run)


@step("evaluate")
def evaluate(params: Params, run: str) -> StageResult:
    """Judge the edit beside its controls on pictures nothing was chosen on."""
    return _carry_out("evaluate", params, run)


@step("report")
def report(params: Params, run: str) -> StageResult:
    """Write the page."""
    result = _carry_out("report", params, run)
    artifacts.show_outcome(_folder(run))
    return result


@step("track")
def track(params: Params, run: str) -> str:
    """Record the run in MLflow; its identifier there."""
    identifier = _needed(_tools().tracker).track(_folder(run).root, params)
    artifacts.show_tracked(surroundings().machinery.mlflow_url, identifier)
    return identifier


@step("register")
def register(params: Params, run: str, tracked: str) -> RegisteredVersion | None:
    """Register the recommended model as a candidate; None where the original is recommended."""
    return _needed(_tools().registry).register(_folder(run).root, params, tracked=tracked)


@step("close")
def close(run: str, registered: RegisteredVersion | None) -> None:
    """Tell the review store what came of the decision."""
    chain.close_review(_folder(run), _tools(), registered=registered)
    tell_webhook(surroundings().machinery)


@contextmanager
def _shard_of(what: str, start: int, stop: int, threads: int) -> Iterator[None]:
    """What a shard needs wherever it is worked on: its threads, and that its messages reach Prefect."""
    with kept_messages(), torch_threads(threads):
        yield
    get_run_logger().info("%s %d to %d on %s, process %d", what, start, stop - 1, socket.gethostname(), os.getpid())


def _carry_out(name: str, params: Params, run: str) -> StageResult:
    with reported() as progress:
        return chain.carry_out(name, _folder(run), params, tools=_tools(), progress=progress)


def _folder(run: str) -> RunFolder:
    return RunFolder(Path(run))


def _needed(tool: R | None) -> R:
    if tool is None:
        raise MissingToolError("the flows keep runs and models in MLflow; pip install 'neuroinspect[pipeline]'")
    return tool


def _tools() -> Tools:
    return all_tools(surroundings().machinery)
