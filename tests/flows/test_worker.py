"""Flows away from the command line that made them: started by JSON through the API, and on the temporary server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.settings import load_params
from neuroinspect.stages.review import read_decision
from tests.flows import served
from tests.tiny import make_project

_COMMAND = "from neuroinspect.cli import main; main()"


def output_of(words: list[str], *, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_run_started_by_json_is_executed_elsewhere_with_the_environment_of_that_machine(prefect_server, tmp_path):
    from prefect.client.orchestration import get_client
    from prefect.flows import EntrypointType

    from flows.debug import debug

    params = load_params(make_project(tmp_path / "project"))
    run = RunFolder(tmp_path / "project" / "runs" / "elsewhere")
    deployment = debug.to_deployment(name="elsewhere", entrypoint_type=EntrypointType.MODULE_PATH).apply()
    values = json.loads(params.model_dump_json(by_alias=True))
    with get_client(sync_client=True) as client:
        made = client.create_flow_run_from_deployment(
            deployment, parameters={"params": values, "run": str(run.root), "review": "auto"}
        )
    (tmp_path / "empty").mkdir()
    machine = {**os.environ, "NEUROINSPECT_STATE": str(tmp_path / "state"), "NEUROINSPECT_WORKERS": "2"}
    output_of(["-m", "prefect", "flow-run", "execute", str(made.id)], folder=tmp_path / "empty", env=machine)

    assert served.flow_runs(run) == {"debug scene_net elsewhere": ["Completed"]}
    assert read_json(run.stage("review") / "request.json")["class"] == "fish"
    decision = read_decision(run)
    assert decision is not None
    assert decision.unverified
    assert (tmp_path / "state" / "reviews.db").exists()
    computed = "diagnose: computed"
    assert computed in served.messages(run, until=lambda found: computed in found)


@pytest.mark.slow
def test_without_a_server_a_temporary_one_is_used_and_says_nothing(tmp_path):
    make_project(tmp_path / "project")
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NEUROINSPECT_"))}
    words = ["-c", _COMMAND, "run", "--params", "project/params.yaml", "--review", "auto", "--json"]
    done = output_of(words, folder=tmp_path, env=alone)
    assert json.loads(done.stdout)["status"] == "done"
    assert "report: computed" in done.stderr
    assert "prefect" not in done.stderr.lower()
    assert (tmp_path / "project" / ".neuroinspect" / "prefect" / "prefect.db").exists()
