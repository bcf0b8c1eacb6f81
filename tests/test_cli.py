"""The command line: what it prints, its exit codes, and that bad input loses nothing."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from neuroinspect.artifacts import STAGES, RunFolder, read_tensors
from neuroinspect.chain import ChainResult, carry_out
from neuroinspect.classifier import load_classifier
from neuroinspect.cli import app
from neuroinspect.cli.run import following, page_command, show_result
from neuroinspect.cli.screen import Screen
from neuroinspect.machinery import Machinery
from neuroinspect.ports import Tools
from neuroinspect.settings import load_params
from tests.tiny import make_project


def call(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def printed(result) -> dict:
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A project whose run went to the end; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    result = call("run", "--no-flow", "--params", make_project(folder / "project"), "--review", "auto", "--json")
    assert result.exit_code == 0, result.output
    (folder / "result.json").write_text(result.stdout)
    return folder


@pytest.fixture
def project(finished, tmp_path) -> Path:
    shutil.copytree(finished / "project", tmp_path / "project")
    return tmp_path / "project" / "params.yaml"


@pytest.fixture
def waiting(project) -> Path:
    """A run that waits for a decision."""
    run = project.parent / "runs" / "run"
    for stage in ("edit", "evaluate", "report"):
        shutil.rmtree(run / stage)
    (run / "review" / "decision.json").unlink()
    return project


def test_every_stage_is_a_command():
    help_text = call("--help").stdout
    assert all(f" {stage} " in help_text for stage in STAGES)


def test_init_writes_a_params_file_that_fits(tmp_path):
    assert call("init", tmp_path).exit_code == 0
    assert load_params(tmp_path / "params.yaml").data.train == tmp_path / "data" / "train"


def test_init_never_overwrites(tmp_path):
    (tmp_path / "params.yaml").write_text("mine")
    result = call("init", tmp_path)
    assert (result.exit_code, (tmp_path / "params.yaml").read_text()) == (2, "mine")
    assert "stays as it is" in result.stderr


def test_a_finished_run_says_where_its_report_is_and_what_comes_next(finished):
    result = json.loads((finished / "result.json").read_text())
    assert result["status"] == "done"
    assert Path(result["report"]).is_file()
    assert result["verdict"]
    assert [stage["stage"] for stage in result["stages"]] == list(STAGES)
    assert result["next"]


def test_a_finished_run_is_not_computed_again(project):
    result = call("run", "--no-flow", "--params", project, "--review", "auto", "--json")
    assert all(stage["reused"] for stage in printed(result)["stages"])
    assert "extract: reused" in result.stderr


def test_the_provenance_names_what_was_used_and_no_place(finished):
    text = (finished / "project" / "runs" / "run" / "run.json").read_text()
    record = json.loads(text)
    assert record["model"]["spec"] == "neuroinspect.demo.backbone:scene_net"
    assert record["model"]["weights"] == "classifier.safetensors"
    assert record["versions"]["torch"] == version("torch")
    assert str(finished) not in text


class Versions:
    """A keeper of the data that has moved on to another version."""

    def __init__(self, version: str) -> None:
        self.version = version

    def revision(self, path: Path) -> str:
        return self.version

    def pull(self, path: Path) -> None: ...


def test_a_report_made_later_names_the_version_of_the_data_that_was_validated(project):
    params = load_params(project)
    run = RunFolder(params.runs / "run")
    for stage, version_now in (("validate", "dvc:1"), ("report", "dvc:2")):
        carry_out(stage, run, params, tools=Tools(revisions=Versions(version_now)))
        assert json.loads((run.root / "run.json").read_text())["data_version"] == "dvc:1"


def test_a_run_waits_for_a_decision_and_goes_on_after_it(waiting):
    stopped = call("run", "--no-flow", "--params", waiting, "--json")
    assert (printed(stopped)["status"], printed(stopped)["report"]) == ("waiting", None)

    shown = printed(call("review", "show", "--params", waiting, "--json"))
    neuron = shown["request"]["candidates"][0]["neuron"]
    assert shown["decision"] is None

    decided = printed(call("review", "decide", "--params", waiting, "--neurons", neuron, "--by", "ada", "--json"))
    assert decided["neurons"] == {"fish": [neuron]}
    assert decided["unverified"] is False

    done = printed(call("run", "--no-flow", "--params", waiting, "--json"))
    assert done["status"] == "done"
    assert Path(done["report"]).is_file()


def test_the_commands_to_call_next_are_quoted_for_a_shell():
    commands = following(Path("my params.yaml"), "first try; #1", None)
    assert shlex.split(commands["review decide"], comments=True) == [
        *("neuroinspect", "review", "decide"),
        *("--params", "my params.yaml", "--run", "first try; #1"),
    ]
    assert "first try; #1" in shlex.split(commands["apply"], comments=True)
    assert following(Path("params.yaml"), "run", Path("out"))["run"] == "neuroinspect run --out out"


def test_a_file_in_the_place_of_the_tools_folder_is_named(tmp_path):
    params = make_project(tmp_path / "project")
    (tmp_path / "project" / ".neuroinspect").write_text("mine")
    result = call("run", "--flow", "--params", params)
    assert result.exit_code == 1
    assert "cannot be made" in result.stderr
    assert "NEUROINSPECT_STATE" in result.stderr
    assert (tmp_path / "project" / ".neuroinspect").read_text() == "mine"


def test_auto_review_leaves_the_decision_of_a_person_alone(waiting):
    assert call("review", "decide", "--params", waiting, "--reject", "--note", "no cue", "--by", "ada").exit_code == 0
    assert printed(call("run", "--no-flow", "--params", waiting, "--review", "auto", "--json"))["status"] == "rejected"


def test_a_second_decision_must_say_that_it_replaces_the_first(waiting):
    assert call("review", "decide", "--params", waiting, "--reject", "--note", "no cue", "--by", "ada").exit_code == 0
    second = ("review", "decide", "--params", waiting, "--reject", "--note", "no cue", "--by", "bob")
    refused = call(*second)
    assert refused.exit_code == 1
    assert "already rejected by ada" in refused.stderr
    assert call(*second, "--replace").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--neurons", "999"), "not candidates"), (("--neurons", "a"), "expected numbers"), ((), "at least")],
)
def test_a_decision_that_breaks_a_rule_is_refused(waiting, words, message):
    result = call("review", "decide", "--params", waiting, "--by", "ada", *words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (waiting.parent / "runs" / "run" / "review" / "decision.json").exists()


def test_the_edit_is_refused_before_the_decision(waiting):
    result = call("edit", "--params", waiting)
    assert result.exit_code == 1
    assert "neuroinspect review decide" in result.stderr


def test_apply_writes_the_edited_model(project, tmp_path):
    run = project.parent / "runs" / "run"
    record = json.loads((run / "edit" / "edit.json").read_text())
    record["recommended"] = "retrain"  # which edit wins on so few pictures is chance
    (run / "edit" / "edit.json").write_text(json.dumps(record))
    out = tmp_path / "model.safetensors"
    assert printed(call("apply", run, "--params", project, "--out", out, "--json"))["method"] == "retrain"

    layer = read_tensors(run / "edit" / "decision_layer.safetensors")
    edited = load_classifier("neuroinspect.demo.backbone:scene_net", weights=out, device="cpu")
    assert torch.equal(edited.decision_layer.weight, layer["weight"])
    assert torch.equal(edited.decision_layer.bias, layer["bias"])


def test_a_run_without_an_edit_has_nothing_to_apply(waiting, tmp_path):
    result = call("apply", "--params", waiting, "--out", tmp_path / "model.safetensors")
    assert result.exit_code == 1
    assert "no finished `edit` stage" in result.stderr
    assert not (tmp_path / "model.safetensors").exists()


def test_a_class_without_mistakes_is_nothing_to_explain_and_no_failure(tmp_path):
    result = call("run", "--no-flow", "--params", make_project(tmp_path / "project", perfect=True), "--json")
    assert result.exit_code == 0
    assert printed(result)["status"] == "nothing_to_explain"
    assert Path(printed(result)["report"]).is_file()


def test_settings_can_be_changed_for_one_command(project):
    result = call("evaluate", "--params", project, "--set", "evaluate.bootstrap=101", "--json")
    assert (result.exit_code, printed(result)["reused"]) == (0, False)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("evaluate.bootstrap", "expected KEY=VALUE"),
        ("evaluation.bootstrap=3", "no section 'evaluation'"),
        ("evaluate.boots=3", "unknown key"),
        ("evaluate.bootstrap=many", "evaluate.bootstrap"),
        ("evaluate.bootstrap=[", "not YAML"),
    ],
)
def test_a_wrong_setting_exits_with_two(project, assignment, message):
    result = call("evaluate", "--params", project, "--set", assignment)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_error_is_one_message_and_one_json_object(tmp_path):
    result = call("run", "--no-flow", "--params", tmp_path / "params.yaml", "--json")
    assert result.exit_code == 2
    assert printed(result)["kind"] == "SettingsError"
    assert "neuroinspect init" in printed(result)["error"]
    assert "Traceback" not in result.stderr


def test_quiet_prints_nothing_where_nothing_is_wrong(project):
    result = call("report", "--params", project, "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_stage_before_its_time_names_the_stage_it_needs(project, tmp_path):
    result = call("diagnose", "--params", project, "--out", tmp_path / "new")
    assert result.exit_code == 1
    assert "run `neuroinspect extract` first" in result.stderr


def test_a_second_run_in_the_same_folder_is_refused_with_host_and_pid(project):
    with RunFolder(project.parent / "runs" / "run").lock():
        result = call("run", "--no-flow", "--params", project)
    assert result.exit_code == 1
    assert f"host {socket.gethostname()}, pid {os.getpid()}" in result.stderr


def test_a_run_folder_that_cannot_be_written_is_one_message(project, tmp_path):
    (tmp_path / "file").touch()
    result = call("run", "--no-flow", "--params", project, "--out", tmp_path / "file" / "run")
    assert result.exit_code == 1
    assert "cannot write the run folder" in result.stderr


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from neuroinspect.cli import main
main()
"""


def test_a_full_disk_is_one_message_and_loses_nothing(project):
    run = project.parent / "runs" / "run"
    shutil.rmtree(run / "extract")
    words = [sys.executable, "-c", FULL_DISK, "run", "--no-flow", "--params", project]
    stopped = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert stopped.returncode == 1
    assert "Free some space" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (run / "extract").exists()

    again = printed(call("run", "--no-flow", "--params", project, "--json"))
    assert again["status"] == "done"
    assert [stage["stage"] for stage in again["stages"] if not stage["reused"]] == ["extract"]


@pytest.mark.parametrize(
    ("what", "gone"), [("partial", "runs/run/.partial"), ("run", "runs/run"), ("cache", "cache/illusions")]
)
def test_clean_removes_what_it_names_and_asks_first(project, what, gone):
    assert (project.parent / gone).is_dir()
    (project.parent / gone / "leftover").touch()
    kept = CliRunner().invoke(app, ["clean", what, "--params", str(project)], input="n\n")
    assert kept.exit_code == 0
    assert (project.parent / gone / "leftover").exists()

    removed = call("clean", what, "--params", project, "--yes", "--json")
    assert printed(removed)["removed"] is True
    assert not (project.parent / gone).exists()


def test_what_is_none_of_ours_stays_in_a_folder_called_cache(tmp_path):
    call("init", tmp_path)
    params = tmp_path / "params.yaml"
    cache = load_params(params).runs.parent / "cache"
    for name in ("illusions", "embeddings", "own"):
        (cache / name).mkdir(parents=True)
    assert printed(call("clean", "cache", "--params", params, "--yes", "--json"))["removed"] is True
    assert [path.name for path in cache.iterdir()] == ["own"]
    assert printed(call("clean", "cache", "--params", params, "--yes", "--json"))["removed"] is False


def test_plan_estimates_every_costly_stage(project):
    result = printed(call("plan", "--params", project, "--json"))
    assert [stage["stage"] for stage in result["stages"]] == ["validate", "extract", "diagnose", "visualize", "edit"]
    assert all(stage["seconds"] >= 0 and stage["memory_mb"] > 0 for stage in result["stages"])


@pytest.mark.parametrize(("scenario", "message"), [("fish", "OBJECT+BACKGROUND"), ("fish+moon", "unknown background")])
def test_a_demo_of_nothing_known_is_refused(tmp_path, scenario, message):
    result = call("demo", "--no-flow", "--scenario", scenario, "--out", tmp_path / "demo")
    assert result.exit_code == 2
    assert message in result.stderr


def test_names_that_look_like_markup_are_shown_as_they_are(capsys):
    result = ChainResult(Path("runs"), "done", (), Path("[b]/report.html"), "editing a[/b]c :fish: helps")
    show_result(Screen(quiet=False, as_json=False), result, commands={"apply": "apply [x]"})
    shown = capsys.readouterr().out
    assert "editing a[/b]c :fish: helps" in shown
    assert "[b]/report.html" in shown


def test_a_run_that_waits_names_the_page_first_and_the_terminal_too(capsys, tmp_path):
    result = ChainResult(tmp_path, "waiting", ())
    plain = following(Path("params.yaml"), "run", None)
    local = page_command(Path("params.yaml"), Machinery(state=tmp_path), flow=None)
    assert local == {"page": "neuroinspect review serve (then open http://127.0.0.1:8321)"}
    show_result(Screen(quiet=False, as_json=False), result, commands=plain | local)
    first, second, third, _ = capsys.readouterr().out.splitlines()
    assert first.endswith("on the page: neuroinspect review serve (then open http://127.0.0.1:8321)")
    assert "or in a terminal" in second
    assert "review decide" in third
    team = Machinery(state=tmp_path, page_url="https://reviews.example/")
    assert page_command(Path("params.yaml"), team, flow=True) == {"page": "open https://reviews.example"}
    assert page_command(Path("params.yaml"), team, flow=False) == {}
    show_result(Screen(quiet=False, as_json=False), result, commands=plain)
    assert "page" not in capsys.readouterr().out


@pytest.mark.parametrize("factory", ["def make(): raise RuntimeError('boom')", "def make(): return None"])
def test_a_guide_that_cannot_be_made_is_one_message(project, factory):
    (project.parent / "broken_guide.py").write_text(factory)
    result = call(
        "visualize",
        "--params",
        project,
        "--set",
        "guide.spec=broken_guide:make",
        "--json",
        "--set",
        f"model.python_path={project.parent}",
    )
    assert result.exit_code == 1
    assert "guide 'broken_guide:make'" in printed(result)["error"]


def test_a_question_nobody_answers_is_one_message_and_one_json_object(project):
    result = call("clean", "run", "--params", project, "--json")
    assert result.exit_code == 1
    assert "give --yes" in printed(result)["error"]
    assert (project.parent / "runs" / "run").is_dir()


WHILE_IT_LOADS = """
import signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "neuroinspect.chain":
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
from neuroinspect.__main__ import main
main()
"""


def test_an_interrupt_while_the_package_loads_shows_no_traceback():
    done = subprocess.run([sys.executable, "-c", WHILE_IT_LOADS], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_suggest_tells_what_edits_would_give_and_decides_nothing(waiting):
    run = waiting.parent / "runs" / "run"
    changes = ("suggest.candidates=2", "suggest.placebo_draws=1", "edit.evidence.min_agreement=-1")
    words = ["suggest", "--params", waiting, *(word for change in changes for word in ("--set", change))]
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert "decides nothing" in result.stdout
    assert not (run / "review" / "decision.json").exists()
    again = printed(call(*words, "--json"))
    candidates = printed(call("review", "show", "--params", waiting, "--json"))["request"]["candidates"]
    assert {neuron for one in again["sets"] for neuron in one["neurons"]} <= {one["neuron"] for one in candidates}
    shown = call("review", "show", "--params", waiting).stdout
    assert "suggest" in shown
    assert "no decision yet" in shown


def test_a_family_is_shown_with_the_candidates_marked(waiting):
    neuron = printed(call("review", "show", "--params", waiting, "--json"))["request"]["candidates"][0]["neuron"]
    found = printed(call("family", neuron, "--params", waiting, "--json"))
    assert found["neurons"] == [neuron]
    correlations = [one["correlation"] for one in found["family"]]
    assert correlations == sorted(correlations, reverse=True)
    assert call("family", neuron, "--params", waiting).exit_code == 0
    refused = call("family", 999, "--params", waiting)
    assert refused.exit_code == 1
    assert "0..127" in refused.stderr
