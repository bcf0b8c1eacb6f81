"""Prefect and MLflow as the units of systemd start them, on PostgreSQL, with their logins: strangers stay out, we get in."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import URL

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import carry_out
from neuroinspect.gate import settle_review
from neuroinspect.ports import Tools
from neuroinspect.settings import load_params
from tests.postgres import another
from tests.production import FOLDER, expanded, filled, read_unit
from tests.tiny import make_project

ACCOUNT: Final = "team:what-prefect-knows"
ADMIN: Final = "what-the-admin-knows"
WORKER: Final = ("gpu-workers", "what-the-workers-know")
_SECONDS: Final = 180


@dataclass(frozen=True)
class Team:
    """Both servers, and what a client of them has in its environment."""

    folder: Path
    prefect: str
    mlflow: str
    reviews: str
    client: Mapping[str, str]

    def command(self, *words: str, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """One of our commands in the project."""
        environment = {name: value for name, value in self.client.items() if name not in without}
        line = [sys.executable, "-m", "neuroinspect", *words]
        return subprocess.run(
            line,
            cwd=self.folder / "project",
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def ask(self, what: str, **query: Any) -> Any:
        """MLflow's answer to the account of the workers."""
        answer = httpx.get(f"{self.mlflow}/api/2.0/mlflow/{what}", params=query, auth=WORKER, timeout=30)
        return answer.raise_for_status().json()


@pytest.fixture(scope="module")
def team(postgres: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("authentication")
    make_project(folder / "project")
    ports = dict(zip(("4200", "5000"), _free_ports(2), strict=True))
    prefect, mlflow = (f"http://127.0.0.1:{port}" for port in ports.values())
    with ExitStack() as stack:
        databases = {name: stack.enter_context(another(postgres)) for name in ("prefect", "mlflow", "reviews")}
        config = folder / "basic_auth.ini"
        config.write_text(_on(databases, (FOLDER / "basic_auth.ini").read_text()))
        files = {
            "prefect": filled(
                FOLDER / "systemd/prefect.env.example",
                PREFECT_SERVER_API_AUTH_STRING=ACCOUNT,
                PREFECT_API_AUTH_STRING=ACCOUNT,
            ),
            "mlflow": filled(
                FOLDER / "systemd/mlflow.env.example", MLFLOW_AUTH_ADMIN_PASSWORD=ADMIN, MLFLOW_WORKERS="1"
            ),
            "reviews": filled(
                FOLDER / "systemd/client.env.example",
                PREFECT_API_AUTH_STRING=ACCOUNT,
                MLFLOW_TRACKING_USERNAME=WORKER[0],
                MLFLOW_TRACKING_PASSWORD=WORKER[1],
            ),
        }
        moved = {
            name: _bare(folder)
            | {key: _moved(_on(databases, text), ports) for key, text in given.items()}
            | _login(url)
            for (name, given), url in zip(files.items(), databases.values(), strict=True)
        }
        own = {
            "prefect": {"PREFECT_HOME": str(folder / "prefect")},
            "mlflow": {
                "MLFLOW_AUTH_CONFIG_PATH": str(config),
                "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
            },
        }
        for name, places in own.items():
            unit = read_unit(FOLDER / f"systemd/neuroinspect-{name}.service")
            environment = {**unit.environment, **moved[name], **places}
            words = [_moved(word, ports) for word in expanded(unit.words, environment)]
            stack.enter_context(_running(words, environment, folder / f"{name}.log"))
        _wait(lambda: _answers(f"{prefect}/api/ready") and _answers(f"{mlflow}/health"), folder)
        made = httpx.post(
            f"{mlflow}/api/2.0/mlflow/users/create",
            json=dict(zip(("username", "password"), WORKER, strict=True)),
            auth=("admin", ADMIN),
            timeout=30,
        )
        assert made.is_success, made.text
        reviews = databases["reviews"].render_as_string(hide_password=False)
        yield Team(folder, prefect, mlflow, reviews, moved["reviews"])


@pytest.mark.parametrize("account", [None, ("team", "wrong")])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "flow_runs/filter"), ("GET", "admin/settings"), ("GET", "version")]
)
def test_prefect_tells_a_stranger_nothing(team, method, path, account):
    stranger = httpx.request(method, f"{team.prefect}/api/{path}", json={}, auth=account, timeout=30)
    known = httpx.request(method, f"{team.prefect}/api/{path}", json={}, auth=tuple(ACCOUNT.split(":")), timeout=30)

    assert (stranger.status_code, known.status_code) == (401, 200)


@pytest.mark.parametrize("account", [None, (WORKER[0], "wrong")])
@pytest.mark.parametrize(
    "path", ["api/2.0/mlflow/experiments/get?experiment_id=0", "api/2.0/mlflow-artifacts/artifacts", "", "version"]
)
def test_mlflow_tells_a_stranger_nothing(team, path, account):
    stranger = httpx.get(f"{team.mlflow}/{path}", auth=account, timeout=30)
    known = httpx.get(f"{team.mlflow}/{path}", auth=WORKER, timeout=30)

    assert (stranger.status_code, known.status_code) == (401, 200)


def test_only_the_admin_makes_accounts(team):
    wish = {"username": "somebody", "password": "twelve letters or more"}
    refused = httpx.post(f"{team.mlflow}/api/2.0/mlflow/users/create", json=wish, auth=WORKER, timeout=30)

    assert refused.status_code == 403


@pytest.mark.parametrize("command", ["run", "deploy"])
def test_a_command_without_an_account_says_which_variable_it_wants_and_no_secret(team, command):
    done = team.command(command, "--json", without=("PREFECT_API_AUTH_STRING",))

    assert done.returncode != 0
    assert "refuses with status 401" in done.stdout + done.stderr
    assert "PREFECT_API_AUTH_STRING" in done.stdout + done.stderr
    assert not any(word in done.stdout + done.stderr for word in (ACCOUNT.split(":")[1], WORKER[1]))


def test_deployments_worker_outbox_and_artifacts_pass_both_logins(team):
    deployed = team.command("deploy", "--json")
    assert deployed.returncode == 0, deployed.stderr

    unit = read_unit(FOLDER / "systemd/neuroinspect-worker@.service")
    environment = {**unit.environment, **team.client, "PREFECT_HOME": str(team.folder / "worker")}
    environment |= {"CUDA_VISIBLE_DEVICES": "0"}
    project = team.folder / "project"
    _decide(team, project)
    with _running(expanded(unit.words, environment), environment, team.folder / "worker.log", project):
        # An order of the review store; the outbox of `review watch` brings it to the worker.
        looked = team.command("review", "watch", "--once", "--json")
        assert looked.returncode == 0, looked.stderr
        _wait(lambda: _states(team, "edit") == ["COMPLETED"], team.folder)

    (model,) = team.ask("registered-models/search")["registered_models"]
    version = team.ask("registered-models/alias", name=model["name"], alias="candidate")["model_version"]
    address = f"{team.mlflow}/get-artifact?run_id={version['run_id']}&path=report/report.html"
    assert httpx.get(address, timeout=30).status_code == 401
    assert httpx.get(address, auth=WORKER, timeout=30).status_code == 200


def _decide(team: Team, project: Path) -> None:
    """What a debug flow and a reviewer leave: a question, and the order that its answer is."""
    params, run = load_params(project / "params.yaml"), RunFolder(project / "runs" / "a")
    tools = Tools(reviews=SqlReviews(team.reviews))
    with run.lock():
        for stage in ("validate", "extract", "diagnose", "visualize", "review"):
            carry_out(stage, run, params, tools=tools)
        settle_review(run, params, tools=tools, auto=True)


def _states(team: Team, flow: str) -> list[str]:
    answer = httpx.post(
        f"{team.prefect}/api/flow_runs/filter",
        json={"flows": {"name": {"any_": [flow]}}},
        auth=tuple(ACCOUNT.split(":")),
        timeout=30,
    )
    return [str(run["state_type"]) for run in answer.raise_for_status().json()]


@contextmanager
def _running(words: list[str], environment: Mapping[str, str], log: Path, folder: Path | None = None) -> Iterator[None]:
    program = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    with log.open("wb") as output:
        process = subprocess.Popen(
            program,
            cwd=folder or log.parent,
            env=dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        # What it started too; its databases go, so there is nothing to put in order.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _bare(folder: Path) -> dict[str, str]:
    """What systemd gives beside the unit's own, and where the checkout is."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS", "LANG") if name in os.environ}
    return {"HOME": str(folder), **kept}


def _on(databases: Mapping[str, URL], text: str) -> str:
    for name, url in databases.items():
        text = text.replace(f":///{name}", f":///{url.database}")
    return text


def _moved(text: str, ports: Mapping[str, int]) -> str:
    for standard, port in ports.items():
        text = text.replace(standard, str(port))
    return text


def _login(url: URL) -> dict[str, str]:
    given = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password}
    return {name: str(value) for name, value in given.items() if value is not None}


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def _wait(until: Callable[[], bool], logs: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while not until():
        if time.monotonic() > deadline:
            said = {log.name: log.read_text()[-2000:] for log in logs.glob("*.log")}
            raise TimeoutError(json.dumps(said, indent=1))
        time.sleep(0.3)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
