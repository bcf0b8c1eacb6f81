"""`neuroinspect ui`: how to open what a run left."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from neuroinspect.cli import app, ui

PARAMS = "model: {spec: 'a:b'}\ndata: {table: pictures.csv}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("PREFECT", "MLFLOW"):
        monkeypatch.delenv(f"NEUROINSPECT_{name}_URL", raising=False)
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
    assert all("127.0.0.1" in line for line in start.values())


def test_servers_of_a_team_are_named_and_not_started(project):
    (project / "neuroinspect.env").write_text(
        "NEUROINSPECT_PREFECT_URL=http://prefect.example:4200/api\nNEUROINSPECT_MLFLOW_URL=https://mlflow.example\n"
    )
    found = json.loads(shown(project, "--json"))
    assert (found["prefect"], found["mlflow"]) == ("http://prefect.example:4200", "https://mlflow.example")
    assert found["start"] == {}
    assert "while this runs" not in shown(project)


def test_without_the_tools_only_the_pages_of_the_run_are_named(project, monkeypatch):
    monkeypatch.setattr(ui, "pipeline_is_installed", lambda: False)
    assert set(json.loads(shown(project, "--json"))) == {"report", "data checks", "start"}
