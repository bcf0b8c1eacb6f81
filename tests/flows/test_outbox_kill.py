"""Page, worker and Prefect server are killed at every step between request and edit, with the signal that cannot be caught."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import run_chain
from neuroinspect.outbox import verdict_of
from neuroinspect.ports import Tools
from neuroinspect.review import EditOrder, decide
from neuroinspect.settings import load_params
from neuroinspect.stages.review import read_request
from tests.flows.killable import Machines, eventually
from tests.tiny import make_project

_AFTER_REVIEW = ("edit", "evaluate", "report")


@dataclass
class Story:
    """One review, from its request to its edit.

    Attributes:
        seen: at each step, identifier and state of the flow runs that Prefect knew after the restart.
        started: at each step, as what the order was started.
        made: of each stage, which files there have been.
        problem: why the edit could not start while the server was down.
    """

    machines: Machines
    store: SqlReviews
    run: RunFolder
    request: str
    seen: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    started: dict[str, str | None] = field(default_factory=dict)
    made: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    problem: str | None = None

    def order(self) -> EditOrder:
        """What follows the decision."""
        order = self.store.edit_order(self.request)
        assert order is not None
        return order

    @property
    def identifiers(self) -> dict[str, list[str]]:
        """At each step, the flow runs without their states."""
        return {step: [identifier for identifier, _ in runs] for step, runs in self.seen.items()}

    def note(self, step: str) -> None:
        """Keep what there is at a step."""
        self.seen[step] = self.machines.flow_runs()
        self.started[step] = self.order().started
        for stage in _AFTER_REVIEW:
            record = self.run.stage(stage) / "stage.json"
            if record.exists():
                self.made.setdefault(stage, set()).add((record.stat().st_ino, record.stat().st_mtime_ns))


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("outbox")
    params_file = make_project(folder / "project")
    params = load_params(params_file)
    run, machines = RunFolder(params.runs / "run"), Machines(folder, params_file)
    try:
        machines.server.start()
        machines.page.start()
        store = SqlReviews(machines.machinery.review_store)
        assert run_chain(run, params, tools=Tools(reviews=store)).status == "waiting"
        machines.wait_for_server()
        told = Story(machines, store, run, read_request(run).id)
        _tell(told)
        yield told
    finally:
        machines.end()


def _tell(story: Story) -> None:
    machines, order = story.machines, story.order
    machines.deploy("flows.edit.edit")
    # The question is open, and nothing follows it.
    machines.page.kill()
    machines.server.kill()
    # It is decided while the server is down: a page tries in vain.
    machines.page.start()
    request = read_request(story.run)
    neuron = request.candidates[0].neuron
    story.store.decide(decide(request, verdict="approved", neurons={request.class_name: [neuron]}, by="ada").record())
    story.problem = eventually(lambda: order().problem, machines.page)
    machines.page.kill()
    machines.forgetful_page.start()
    machines.start_server()
    # It is started, but the page dies before it notes so.
    machines.forgetful_page.wait_until_killed()
    story.note("started, not noted")
    machines.page.start()
    eventually(lambda: order().started, machines.page)
    # It waits for a worker.
    machines.page.kill()
    machines.server.kill()
    machines.page.start()
    machines.start_server()
    story.note("waiting")
    # A worker takes it, and it dies in the middle of a stage; then after evaluate; then before its end is noted.
    machines.die_in("edit", "worker")
    machines.worker.start()
    machines.worker.wait_until_killed()
    _restart(story, "edit")
    machines.die_in("report")
    machines.worker.start()
    machines.wait_until_dead()
    machines.die_in("close", "worker")
    _restart(story, "report")  # this worker lives on
    machines.worker.wait_until_killed()
    _restart(story, "close")
    machines.worker.start()
    eventually(lambda: order().finished_at, machines.page, machines.worker)
    eventually(lambda: machines.flow_runs()[-1][1] == "Completed", machines.worker)
    story.note("finished")


def _restart(story: Story, step: str) -> None:
    """Both at once; what Prefect knows is read before the page can tell it more."""
    story.machines.page.kill()
    story.machines.server.kill()
    story.machines.start_server()
    story.note(step)
    story.machines.page.start()


def test_a_decision_taken_while_the_server_is_down_starts_one_edit_when_it_is_back(story):
    assert "the Prefect server does not answer" in (story.problem or "")
    assert len(story.seen["started, not noted"]) == 1
    assert len({runs[0] for runs in story.identifiers.values()}) == 1


def test_a_start_that_was_not_noted_is_found_again(story):
    assert story.started["started, not noted"] is None
    assert story.identifiers["started, not noted"] == story.identifiers["waiting"] == [story.started["waiting"]]


def test_each_edit_that_was_killed_is_followed_by_one_other(story):
    states = {step: [state for _, state in runs] for step, runs in story.seen.items()}
    assert states["edit"] == ["Running"]  # nobody could tell Prefect
    assert states["report"][:1] == ["Crashed"]
    assert states["close"][:2] == ["Crashed", "Crashed"]
    assert states["finished"] == ["Crashed", "Crashed", "Crashed", "Completed"]
    assert (story.order().started, story.order().lost) == (story.identifiers["finished"][-1], 3)


def test_each_stage_is_made_once(story):
    assert {stage: len(files) for stage, files in story.made.items()} == dict.fromkeys(_AFTER_REVIEW, 1)


def test_the_trail_has_one_question_one_answer_and_one_edit(story):
    trail = story.store.trail(story.request)
    assert [entry.what for entry in trail] == ["opened", "decided", "edited"]
    assert trail[-1].detail["run"] == str(story.run.root)
    assert trail[-1].detail["outcome"].startswith(verdict_of(story.run))
    assert story.order().finished_at is not None
    assert story.store.open_orders() == []


def test_mlflow_has_one_run_and_one_version(story):
    from mlflow import MlflowClient

    uri = story.machines.machinery.mlflow_store
    client = MlflowClient(uri, uri)
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert [version.run_id for version in client.search_model_versions("")] == [parents[0].info.run_id]


def test_no_process_works_in_the_run_folder_any_more(story):
    assert story.run.is_held() is False
