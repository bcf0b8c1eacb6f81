"""`neuroinspect ui`: how to open what a run left."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from neuroinspect.cli import app, ui

PARAMS = "model: {spec: 'a:b'}\ndata: {table: pictures.csv}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("PREFECT", "MLFLOW", "PAGE"):
        monkeypatch.delenv(f"NEUROINSPECT_{name}_URL", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def shown(project, *words):
    result = CliRunner().invoke(app, ["ui", "--params", str(project / "params.yaml"), *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_pages_of_a_run_are_named_once_they_are_there(project):
    run = project / ".neuroinspect" / "runs" / "run"
    before = json.loads(shown(project, "--json"))
    assert before["report"] == "not there yet; report.html is written by a run"
    for page in (run / "report" / "report.html", run / "checks" / "data_docs" / "index.html"):
        page.parent.mkdir(parents=True)
        page.touch()
    after = json.loads(shown(project, "--json"))
    assert after["report"] == (run / "report" / "report.html").as_uri()
    assert after["data checks"] == (run / "checks" / "data_docs" / "index.html").as_uri()


def test_local_tools_come_with_the_command_that_serves_what_they_kept(project):
    start = json.loads(shown(project, "--json"))["start"]
    state = project / ".neuroinspect"
    assert f"PREFECT_HOME={state / 'prefect'}" in shlex.split(start["prefect"])
    assert f"sqlite:///{state / 'mlflow' / 'mlflow.db'}" in shlex.split(start["mlflow"])
    assert {"PREFECT_SERVER_ANALYTICS_ENABLED=false"} <= set(shlex.split(start["prefect"]))
    assert {"MLFLOW_DISABLE_TELEMETRY=true"} <= set(shlex.split(start["mlflow"]))
    assert all("127.0.0.1" in start[tool] for tool in ("prefect", "mlflow"))


def test_servers_of_a_team_are_named_and_not_started(project):
    (project / "neuroinspect.env").write_text(
        "NEUROINSPECT_PREFECT_URL=http://prefect.example:4200/api\nNEUROINSPECT_MLFLOW_URL=https://mlflow.example\n"
        "NEUROINSPECT_PAGE_URL=https://reviews.example\n"
    )
    found = json.loads(shown(project, "--json"))
    assert (found["prefect"], found["mlflow"]) == ("http://prefect.example:4200", "https://mlflow.example")
    assert found["start"] == {}
    assert "while this runs" not in shown(project)


def test_the_server_of_prefects_own_variable_is_named_without_its_login(project, monkeypatch):
    (project / "neuroinspect.env").write_text("NEUROINSPECT_PREFECT_URL=http://prefect.example:4200/api\n")
    monkeypatch.setenv("PREFECT_API_URL", "https://somebody:secret@elsewhere.example:4201/api")
    found = json.loads(shown(project, "--json"))
    assert found["prefect"] == "https://elsewhere.example:4201"
    assert "prefect" not in found["start"]


def test_without_the_tools_only_the_pages_of_the_run_are_named(project, monkeypatch):
    monkeypatch.setattr(ui, "pipeline_is_installed", lambda: False)
    assert set(json.loads(shown(project, "--json"))) == {"report", "data checks", "start", "away"}


def test_the_review_page_is_named_with_the_command_that_serves_it(project):
    found = json.loads(shown(project, "--json"))
    assert found["reviews"] == "http://127.0.0.1:8321"
    served = shlex.split(found["start"]["reviews"])
    assert served == ["neuroinspect", "review", "serve", "--params", str(project / "params.yaml")]
    (project / "neuroinspect.env").write_text("NEUROINSPECT_PAGE_URL=https://reviews.example/\n")
    team = json.loads(shown(project, "--json"))
    assert (team["reviews"], "reviews" in team["start"]) == ("https://reviews.example", False)


def test_without_the_page_the_list_in_the_terminal_is_named(project, monkeypatch):
    monkeypatch.setattr(ui, "page_is_installed", lambda: False)
    assert json.loads(shown(project, "--json"))["reviews"].startswith("neuroinspect review list")


def test_where_nothing_runs_the_command_that_starts_all_of_it_is_named(project, monkeypatch):
    params = str(project / "params.yaml")
    assert shlex.split(json.loads(shown(project, "--json"))["start"]["all"]) == [
        "neuroinspect",
        "up",
        "--params",
        params,
    ]
    monkeypatch.setattr(ui, "stack_is_installed", lambda: False)
    assert "all" not in json.loads(shown(project, "--json"))["start"]


def test_a_stack_that_was_killed_is_not_said_to_be_there(project):
    state = project / ".neuroinspect"
    state.mkdir()
    (state / "stack.env").write_text(
        "NEUROINSPECT_PREFECT_URL=http://127.0.0.1:4200/api\nNEUROINSPECT_MLFLOW_URL=http://127.0.0.1:5000\n"
        "NEUROINSPECT_PAGE_URL=http://127.0.0.1:8321\n"
    )
    found = json.loads(shown(project, "--json"))
    assert (found["prefect"], found["start"]) == ("http://127.0.0.1:4200", {})
    assert set(found["away"]) == {"prefect", "mlflow", "reviews"}
    assert "was killed" in found["away"]["mlflow"]
    assert "neuroinspect up" in shown(project)
