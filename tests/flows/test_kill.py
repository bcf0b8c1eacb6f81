"""The flow process is killed in each task, with the signal that cannot be caught; the same command finishes the run."""

import shutil
import signal
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
import yaml

from neuroinspect.artifacts import STAGES, RunFolder, read_json
from neuroinspect.assembly import all_tools
from neuroinspect.chain import run_chain
from neuroinspect.machinery import Machinery
from neuroinspect.settings import load_params
from tests.tiny import make_project

# In the order of the flows; the others write nothing.
TASKS = (
    "validate",
    "extract",
    "diagnose",
    "draw_shard",
    "visualize",
    "review",
    "settle",
    "edit",
    "evaluate",
    "report",
    "track",
    "register",
    "close",
)


@pytest.fixture(scope="module")
def survived(children, tmp_path_factory) -> tuple[Path, list[int], list[str]]:
    """A project whose run was killed in every task and then finished; the exit codes, and what was logged."""
    folder = tmp_path_factory.mktemp("killed")
    project = folder / "project"
    params = make_project(project)
    given = yaml.safe_load(params.read_text())
    given["visualize"] |= {"neurons": 2, "shard_size": 1}
    params.write_text(yaml.safe_dump(given))
    shutil.copytree(project, folder / "untouched")
    codes = [children.run(params, killed_in=task) for task in (*TASKS, None)]
    return project, codes, (project / "log").read_text().splitlines()


def test_every_process_died_in_its_task_and_the_last_one_finished(survived):
    project, codes, log = survived
    assert codes == [-signal.SIGKILL] * len(TASKS) + [0], log
    assert (project / "runs" / "run" / "report" / "report.html").exists()


def test_no_stage_is_computed_twice(survived):
    _, _, log = survived
    assert Counter(line for line in log if line.endswith(": computed")) == {f"{stage}: computed": 1 for stage in STAGES}
    # Each process after the one that was killed in a stage finds the stages before it, from the first to the last.
    assert log.count("validate: reused") == len(TASKS) - 1


def test_the_run_is_what_it_would_have_been_undisturbed(survived):
    project = survived[0]
    params = load_params(project.with_name("untouched") / "params.yaml")
    undisturbed = RunFolder(params.runs / "run")
    run_chain(undisturbed, params, auto_review=True, tools=all_tools(Machinery(state=params.runs.parent / "state")))
    assert contents(RunFolder(project / "runs" / "run")) == contents(undisturbed)


def contents(run: RunFolder) -> dict[str, bytes]:
    files = (path for stage in STAGES for path in run.stage(stage).rglob("*") if path.is_file())
    return {str(path.relative_to(run.root)): path.read_bytes() for path in files}


def test_mlflow_has_one_run_one_child_for_each_method_and_one_version(survived):
    from mlflow import MlflowClient

    project = survived[0]
    machinery = Machinery(state=project / ".neuroinspect")
    client = MlflowClient(machinery.mlflow_store, machinery.mlflow_store)
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.status for run in parents] == ["FINISHED"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    rows = read_json(project / "runs" / "run" / "evaluate" / "metrics.json")["splits"]["judge"]["rows"]
    assert sorted(run.info.run_name for run in children) == sorted(f"{row['title']}, run (fish)" for row in rows)
    (version,) = client.search_model_versions("")
    assert version.run_id == parents[0].info.run_id


def test_the_review_store_has_one_question_with_one_answer(survived):
    project = survived[0]
    request = read_json(project / "runs" / "run" / "review" / "request.json")
    with sqlite3.connect(project / ".neuroinspect" / "reviews.db") as store:
        assert store.execute("select id, status, decided_by from review").fetchall() == [
            (request["id"], "APPROVED", "auto")
        ]
        found = store.execute("select what from review_trail order by number").fetchall()
        assert found == [("opened",), ("decided",), ("edited",)]
