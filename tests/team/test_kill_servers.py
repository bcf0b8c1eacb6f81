"""Worker, Prefect server and MLflow server are killed in the middle of a run, as a power cut would; it ends right."""

import os
import re
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from safetensors.torch import load_file, save_file

from neuroinspect.adapters.prefect_lost_runs import LOST
from neuroinspect.artifacts import STAGES, RunFolder
from neuroinspect.settings import Params, load_params
from tests.team.running import RunningStack, wait
from tests.tiny import make_project

_LOST_AFTER = 5  # seconds, instead of twenty
_UNFINISHED = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")


@dataclass
class Story:
    """One run, from its start to its version in the registry, on servers that are killed.

    Attributes:
        made: of each stage, which files there have been.
        course: states of the debug run, with what was said of each.
        begun: how often it was begun.
        models: how many MLflow had before the edit.
        versions: how many of the registry it had before.
        log: what the workers said.
        following: state of the run that was started last.
    """

    stack: RunningStack
    run: RunFolder
    params: Params
    made: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    course: list[tuple[str, str | None]] = field(default_factory=list)
    begun: int = 0
    models: int = 0
    versions: int = 0
    log: str = ""
    following: str = ""

    def start(self) -> UUID:
        """Start the debug flow as a person does on Prefect's page."""
        values = self.params.model_dump(mode="json", by_alias=True)
        given = {"params": values, "run": str(self.run.root), "review": "auto"}
        with self.stack.prefect() as client:
            deployment = client.read_deployment_by_name("debug/debug")
            return UUID(str(client.create_flow_run_from_deployment(deployment.id, parameters=given).id))

    def state(self, flow_run: UUID) -> tuple[str, int]:
        """State of a flow run, and how often it has begun."""
        with self.stack.prefect() as client:
            found = client.read_flow_run(flow_run)
        return found.state.type.value, found.run_count

    def states(self, flow_run: UUID) -> list[tuple[str, str | None]]:
        """The states a flow run has had, the oldest first, with what was said of each."""
        with self.stack.prefect() as client:
            found = client.read_flow_run_states(flow_run)
        return [(state.name, state.message) for state in sorted(found, key=lambda one: one.timestamp)]

    def come_to(self, stage: str) -> None:
        """Wait until a stage is being computed."""
        wait(lambda: list((self.run.root / ".partial").glob(f"{stage}-*")), bool)

    def note(self) -> None:
        """Keep which files there are."""
        for stage in STAGES:
            record = self.run.stage(stage) / "stage.json"
            if record.exists():
                self.made.setdefault(stage, set()).add((record.stat().st_ino, record.stat().st_mtime_ns))

    def mlflow(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of MLflow's database, which can be asked while its server is away."""
        return _rows(self.stack.machinery.state / "mlflow" / "mlflow.db", query)

    def count(self, table: str) -> int:
        """How many rows a table of MLflow's database has."""
        return int(self.mlflow(f"select count(*) from {table}")[0][0])

    def edit(self) -> list[tuple[Any, ...]]:
        """What followed the decision: when it was finished, and what it was started as."""
        query = f"select finished_at, started from review_order where run = '{self.run.root}'"
        return _rows(self.stack.machinery.state / "reviews.db", query)


def _rows(database: Any, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def story(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    project = tmp_path_factory.mktemp("killed") / "project"
    params = load_params(make_project(project))
    # Another model than the stack's own project has: the same question is asked once.
    weights = load_file(project / "classifier.safetensors")
    save_file({**weights, "classifier.bias": weights["classifier.bias"] + 0.01}, project / "classifier.safetensors")
    # More shards, so that a stage is under way for longer.
    extract = params.extract.model_copy(update={"shard_size": 2})
    visualize = params.visualize.model_copy(update={"neurons": 2, "shard_size": 1})
    told = Story(
        stack,
        RunFolder(params.runs / "killed"),
        params.model_copy(update={"extract": extract, "visualize": visualize}),
    )
    settings, said = stack.project / "neuroinspect.env", stack.place.log_of("worker-0")
    settings.write_text(f"NEUROINSPECT_RUN_LOST_AFTER={_LOST_AFTER}\n")
    try:
        stack.wait_until_healthy("page", after=stack.kill("page"))
        before = said.stat().st_size
        _tell(told)
        told.log = said.read_bytes()[before:].decode(errors="replace")
        yield told
    finally:
        settings.unlink()
        stack.wait_until_healthy("page", after=stack.kill("page"))
        stack.wait_until_healthy()


def _tell(story: Story) -> None:
    stack, flow_run = story.stack, story.start()
    # The power of the worker's machine fails.
    story.come_to("extract")
    _cut_power(story)
    story.note()
    # The worker is told to stop.
    story.come_to("visualize")
    stopped = stack.kill("worker-0", signal.SIGTERM)
    stack.wait_until_healthy("worker-0", after=stopped)
    story.note()
    # The Prefect server dies while the flow works.
    wait(story.run.is_held, bool)
    _kill(stack, "prefect")
    end, story.begun = wait(lambda: story.state(flow_run), lambda found: found[0] not in _UNFINISHED)
    assert end == "COMPLETED", stack.place.log_of("worker-0").read_text()[-5000:]
    story.course = story.states(flow_run)
    story.note()
    # The edit that follows the decision is kept in MLflow, whose server dies twice.
    story.models, story.versions = story.count("logged_models"), story.count("model_versions")
    wait(lambda: story.mlflow("select * from runs where status = 'RUNNING'"), bool)
    _kill(stack, "mlflow")
    wait(lambda: story.count("logged_models"), lambda found: found != story.models)
    _kill(stack, "mlflow")
    wait(story.edit, lambda found: bool(found) and found[0][0] is not None)
    # Whoever comes next finds a place.
    following = story.start()
    story.following = wait(lambda: story.state(following), lambda found: found[0] not in _UNFINISHED)[0]
    story.note()


def _cut_power(story: Story) -> None:
    """Kill the worker with all it started, so that none of them sees another die."""
    stack = story.stack
    flow = int(re.findall(r"pid (\d+)", (story.run.root / ".holder").read_text())[0])
    os.kill(flow, signal.SIGSTOP)
    worker, pids = stack.pid("worker-0"), stack.pids()["worker-0"]
    assert flow in pids
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    stack.wait_until_healthy("worker-0", after=worker)


def _kill(stack: RunningStack, program: str) -> None:
    """Kill a program with all it started, and wait until it is back."""
    killed = stack.pid(program)
    for pid in stack.pids()[program]:
        os.kill(pid, signal.SIGKILL)
    stack.wait_until_healthy(program, after=killed)


def test_a_run_whose_worker_lost_its_power_or_was_stopped_is_brought_back(story: Story):
    assert [said for _, said in story.course].count(LOST) == 2
    first = story.course.index(("AwaitingRetry", LOST))
    assert story.course[first - 1][0] == "Running"  # nobody could tell the server
    assert story.course[-1][0] == "Completed"


def test_no_stage_is_computed_twice(story: Story):
    assert {stage: len(files) for stage, files in story.made.items()} == dict.fromkeys(STAGES, 1)
    computed = Counter(re.findall(r"neuroinspect\.artifacts - (\w+): computed", story.log))
    assert computed == dict.fromkeys(STAGES, 1), story.log[-5000:]


def test_the_flow_outlives_a_prefect_server_that_dies_in_the_middle_of_it(story: Story):
    # Begun three times for two deaths of the worker, and no fourth time.
    assert story.begun == 3


def test_mlflow_has_one_run_and_each_edit_once_though_its_server_died_while_they_were_written(story: Story):
    of_the_run = "select run_uuid from tags where key = 'run' and value = 'killed'"
    children = "select run_uuid from tags where key = 'mlflow.parentRunId'"
    parents = story.mlflow(
        f"select run_uuid, status from runs where run_uuid in ({of_the_run}) and run_uuid not in ({children})"
    )
    assert [status for _, status in parents] == ["FINISHED"]
    below = f"select run_uuid from tags where key = 'mlflow.parentRunId' and value = '{parents[0][0]}'"
    states = story.mlflow(f"select distinct status from runs where run_uuid in ({below})")
    assert states == [("FINISHED",)]
    # The recommended edit, and bias-only beside it where that is another one.
    versions = story.mlflow(f"select version from model_versions where run_id = '{parents[0][0]}'")
    layers = story.mlflow("select value from model_version_tags where key = 'neuroinspect.layer'")
    assert 1 <= len(versions) <= 2
    assert len(set(layers)) == len(layers)
    assert story.count("model_versions") == story.versions + len(versions)
    assert story.count("logged_models") == story.models + len(versions)


def test_nothing_half_written_can_be_seen(story: Story):
    from neuroinspect.adapters.mlflow_registry import MlflowRegistry
    from neuroinspect.stages.models import classifier_of

    partial = story.run.root / ".partial"
    assert [path for path in partial.rglob("*") if path.is_file()] == []
    assert list(story.run.root.rglob(".*.tmp")) == []
    ((name, version),) = story.mlflow("select name, version from model_versions order by creation_time desc limit 1")
    with story.stack.entered():
        settings = MlflowRegistry(story.stack.machinery).resolve(f"models:/{name}/{version}")
        classifier = classifier_of(story.params.model_copy(update={"model": settings}))
    assert classifier.num_classes == 6


def test_no_place_and_no_slot_is_occupied_and_the_next_run_goes_through(story: Story):
    assert story.following == "COMPLETED"
    with story.stack.prefect() as client:
        limits = client.read_global_concurrency_limits(limit=200, offset=0)
        occupied = {limit.name: limit.active_slots for limit in limits if limit.active_slots}
        states = Counter(run.state.type.value for run in client.read_flow_runs() if run.state is not None)
    assert occupied == {}
    assert {state: states[state] for state in _UNFINISHED if states[state]} == {}
    assert story.run.is_held() is False
