"""Both flows on a real server, in this process, as `neuroinspect run` runs them."""

import logging
import re
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from neuroinspect.artifacts import STAGES, RunFolder, read_table, write_table
from neuroinspect.assembly import all_tools
from neuroinspect.chain import ChainResult, run_chain, run_stage_alone
from neuroinspect.errors import DataCheckError, DataError, OutsideError, StageOrderError
from neuroinspect.gate import take_decision
from neuroinspect.machinery import Machinery
from neuroinspect.review import decide
from neuroinspect.settings import Params, load_params
from neuroinspect.stages.review import read_decision, read_request, save_decision
from tests.flows import served
from tests.tiny import make_project

_SHARDED: Mapping[str, Any] = {"neurons": 2, "shard_size": 1}


def machinery_of(project: Path, **values: Any) -> Machinery:
    return Machinery(state=project / ".neuroinspect", **values)


def project_at(folder: Path) -> tuple[RunFolder, Params]:
    """Its params, with several shards, and a run folder of a name no other test has."""
    params = load_params(folder / "params.yaml")
    params = params.model_copy(update={"visualize": params.visualize.model_copy(update=_SHARDED)})
    return RunFolder(folder / "runs" / "run"), params


def run_flows(run: RunFolder, params: Params, *, auto: bool = True, **given: Any) -> ChainResult:
    from flows.local import run_locally

    given.setdefault("machinery", machinery_of(params.runs.parent))
    return run_locally(run, params, auto_review=auto, **given)


def contents(run: RunFolder) -> dict[str, bytes]:
    files = (path for stage in STAGES for path in run.stage(stage).rglob("*") if path.is_file())
    return {str(path.relative_to(run.root)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A project nothing has run in."""
    folder = tmp_path_factory.mktemp("tiny") / "project"
    make_project(folder)
    return folder


@pytest.fixture
def project(pictures, tmp_path) -> tuple[RunFolder, Params]:
    shutil.copytree(pictures, tmp_path / "project")
    return project_at(tmp_path / "project")


@pytest.fixture(scope="module")
def finished(prefect_server, pictures, tmp_path_factory) -> tuple[RunFolder, Params, ChainResult, list[str]]:
    """A run that went through both flows, two shards at a time, and what it said of its progress."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(pictures, folder)
    run, params = project_at(folder)
    heard: list[str] = []
    result = run_flows(
        run,
        params,
        machinery=machinery_of(folder, workers=2),
        progress=lambda task, done, total: heard.append(f"{task} {done}/{total}"),
    )
    return run, params, result, heard


def copied(finished: Any, folder: Path) -> tuple[RunFolder, Params]:
    shutil.copytree(finished[1].runs.parent, folder / "project")
    return project_at(folder / "project")


def test_both_flows_end_completed_and_say_how_far_they_are(finished):
    run, _, result, heard = finished
    assert result.status == "done"
    assert result.report == run.stage("report") / "report.html"
    assert [stage.stage for stage in result.stages] == list(STAGES)
    assert served.flow_runs(run) == {"debug scene_net run": ["Completed"], "edit scene_net run (fish)": ["Completed"]}
    drawn = result.stages[3].summary["illusions"]
    assert [said for said in heard if said.startswith("visualize")][:drawn] == [
        f"visualize {done}/{drawn}" for done in range(1, drawn + 1)
    ]
    assert {"check pictures 192/192", "extract judge 60/60", "judging decision layers 9/9"} <= set(heard)


def test_the_flows_leave_what_the_plain_chain_leaves(finished, pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "project")
    run, params = project_at(tmp_path / "project")
    tools = all_tools(machinery_of(tmp_path / "project"))
    run_chain(run, params, auto_review=True, tools=tools)
    assert contents(finished[0]) == contents(run)


def test_each_stage_is_a_task_of_its_name_and_shards_are_drawn_apart(finished):
    run = finished[0]
    sharded = {"plan_extraction", "extract_shard", "plan_shards", "draw_shard"}
    around = {"resolve", *sharded, "settle", "track", "register", "close"}
    runs = served.task_runs(run, until=lambda found: {"close", *STAGES} <= {task_of(one) for one in found})
    assert {task_of(one) for one in runs} == around | set(STAGES)
    assert all("neuroinspect" in one.tags for one in runs)
    drawn = [one for one in runs if task_of(one) == "draw_shard"]
    assert len(drawn) == finished[2].stages[3].summary["illusions"] > 1
    # 72 pictures to train on, 60 to select and 60 to judge by, 64 in a shard.
    assert len([one for one in runs if task_of(one) == "extract_shard"]) == 4


def test_names_of_task_runs_say_the_class_once_it_is_known_and_the_shard(finished):
    names = {
        one.name for one in served.task_runs(finished[0], until=lambda found: any("close" in one.name for one in found))
    }
    assert {
        "resolve",
        "validate",
        "extract",
        "diagnose",
        "visualize fish",
        "review fish",
        "edit fish",
        "track fish",
    } <= names
    assert {"extract_shard judge 0-59", "extract_shard train 64-71", "draw_shard fish 1-1"} <= names


def task_of(run: Any) -> str:
    return str(run.name).partition(" ")[0]


def test_a_person_finds_ranking_question_verdict_and_pages_in_prefect(finished):
    run = finished[0]
    found = {one.key: one for one in served.artifacts(run)}
    assert {"ranking", "review", "verdict", "report", "data-docs", "progress-extract-train"} <= set(found)
    assert f"neuroinspect review decide --out {run.root}" in found["review"].data
    assert "| fish | 10 | 40.0 % | 80.0 % |" in found["verdict"].data
    assert (run.stage("report") / "report.html").as_uri() in found["report"].data
    assert "mlflow-run" not in found  # a local database has no page
    assert max(len(str(one.data)) for one in found.values()) < 20_000


def test_what_the_stages_say_is_kept_by_prefect(finished):
    expected = "extract: computed"
    assert expected in served.messages(finished[0], until=lambda found: expected in found)


def test_a_second_run_computes_nothing(finished, tmp_path):
    run, params = copied(finished, tmp_path)
    before = contents(run)
    assert all(stage.reused for stage in run_flows(run, params).stages)
    assert contents(run) == before


def test_the_flow_waits_for_a_person_and_goes_on_after_the_decision(project, prefect_server):
    from flows.edit import edit
    from flows.surroundings import surrounded_by

    run, params = project
    assert run_flows(run, params, auto=False).status == "waiting"
    assert served.flow_runs(run) == {"debug scene_net run": ["Completed"]}

    machinery = machinery_of(params.runs.parent, task_retries=0)
    with surrounded_by(machinery, lambda *_: None), pytest.raises(StageOrderError, match="waits for a decision"):
        edit(params, str(run.root))
    assert not run.stage("edit").exists()

    request = read_request(run)
    take_decision(
        run,
        decide(request, verdict="rejected", neurons={}, note="no cue", by="anna"),
        store=all_tools(machinery).reviews,
    )
    result = run_flows(run, params, auto=False)
    assert result.status == "rejected"
    assert served.flow_runs(run)["edit scene_net run (fish)"] == ["Failed", "Completed"]

    # What somebody writes into the folder is not the decision that stands.
    chosen = {request.class_name: [request.candidates[0].neuron]}
    save_decision(run, decide(request, verdict="approved", neurons=chosen, by="mallory"), replace=True)
    with surrounded_by(machinery, lambda *_: None):
        assert edit(params, str(run.root)).status == "rejected"
    decision = read_decision(run)
    assert decision is not None
    assert decision.by == "anna"


def test_a_class_without_mistakes_needs_no_review(tmp_path, prefect_server):
    make_project(tmp_path / "project", perfect=True)
    run, params = project_at(tmp_path / "project")
    result = run_flows(run, params, auto=False)
    assert result.status == "nothing_to_explain"
    assert not run.stage("review").exists()
    name = f"edit scene_net run ({result.stages[2].summary['class']})"
    assert served.flow_runs(run) == {"debug scene_net run": ["Completed"], name: ["Completed"]}


def test_bad_data_fails_the_flow_at_once_with_its_own_error(project, prefect_server):
    run, params = project
    (params.runs.parent / "pictures.csv").unlink()
    with pytest.raises(DataError, match=r"pictures\.csv"):
        run_flows(run, params)
    assert served.flow_runs(run) == {"debug scene_net run": ["Failed"]}
    (failed,) = [
        one for one in served.task_runs(run, until=lambda found: any(map(ended, found))) if task_of(one) == "validate"
    ]
    assert failed.run_count == 1


def test_a_broken_expectation_fails_the_flow_and_names_the_row(project, prefect_server):
    run, params = project
    run_stage_alone("validate", run, params)
    manifest = run.stage("validate") / "manifest.parquet"
    pictures = read_table(manifest)
    pictures.loc[3, "label"] = "unicorn"
    write_table(manifest, pictures)
    with pytest.raises(DataCheckError, match=rf"known class.*{re.escape(pictures.loc[3, 'path'])}"):
        run_flows(run, params)
    assert served.flow_runs(run) == {"debug scene_net run": ["Failed"]}


def ended(task_run: Any) -> bool:
    return task_of(task_run) == "validate" and task_run.state.is_final()


def test_a_store_that_cannot_be_reached_is_tried_again_and_named(project, prefect_server, monkeypatch):
    from flows import tasks

    run, params = project
    monkeypatch.setattr(tasks, "RETRY_DELAYS", [0.0])
    folder = params.runs.parent
    (folder / "file").touch()
    broken = machinery_of(folder, review_url=f"sqlite:///{folder}/file/reviews.db", task_retries=2)
    with pytest.raises(OutsideError):
        run_flows(run, params, machinery=broken)
    runs = served.task_runs(
        run, until=lambda found: any(task_of(one) == "review" and one.state.is_final() for one in found)
    )
    assert {task_of(one): one.run_count for one in runs}["review"] == 3
    assert [stage for stage in STAGES if run.stage(stage).exists()] == list(STAGES[:5])  # what was finished is there


def test_an_interrupt_stops_the_flow_and_frees_the_run(project, prefect_server):
    run, params = project

    def interrupt(task: str, done: int, total: int) -> None:
        if task == "extract select":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_flows(run, params, progress=interrupt)
    assert served.flow_runs(run) == {"debug scene_net run": ["Crashed"]}
    with run.lock():
        assert not run.stage("extract").exists()


@pytest.fixture
def _interrupts_arrive() -> Iterator[None]:
    """Whoever started the tests in the background of a shell had them ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts_arrive")
def test_an_interrupt_while_a_finished_flow_is_closed_is_not_lost(project, prefect_server, caplog):
    run, params = project

    class Interrupt(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "Stopped flow run heartbeat context":
                signal.raise_signal(signal.SIGINT)

    closing, handler = logging.getLogger("prefect.flow_runs"), Interrupt()
    closing.addHandler(handler)
    try:
        with caplog.at_level(logging.DEBUG, logger="prefect.flow_runs"), pytest.raises(KeyboardInterrupt):
            run_flows(run, params)
    finally:
        closing.removeHandler(handler)
    assert run.stage("review").exists()
    assert not run.stage("edit").exists()


def test_prefect_keeps_off_the_console(finished, tmp_path, capfd):
    from prefect.logging.configuration import setup_logging

    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers = []
    try:
        setup_logging(incremental=False)
        capfd.readouterr()
        run_flows(*copied(finished, tmp_path))
        logging.getLogger("urllib3.connectionpool").warning("a request of the flow is sent again")
        seen = capfd.readouterr()
    finally:
        root.handlers = before
    assert "flow" not in (seen.out + seen.err).lower()


# What Prefect's threads could not send to an address where nobody is, they try again for a minute; so these come last.
def test_a_server_that_cannot_be_reached_is_named_with_a_way_out(project, prefect_server):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    run, params = project
    nowhere = "http://127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: nowhere}), pytest.raises(OutsideError, match="--no-flow"):
        run_flows(run, params, machinery=machinery_of(params.runs.parent, prefect_url=nowhere))
    assert not run.root.exists()


def test_an_address_from_prefects_own_variable_is_named_by_the_variable(project, prefect_server, monkeypatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    nowhere = "http://127.0.0.1:9/api"
    monkeypatch.setenv("PREFECT_API_URL", nowhere)
    with temporary_settings({PREFECT_API_URL: nowhere}), pytest.raises(OutsideError, match="correct PREFECT_API_URL"):
        run_flows(*project)
