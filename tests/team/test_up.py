"""`neuroinspect up`, `status` and `down` with real servers and a real worker."""

import os
import signal
import socket

import httpx
import psutil

from tests.team.running import FREE_PORTS, RunningStack, wait


def test_everything_is_healthy_and_says_where_it_is(stack: RunningStack):
    told = stack.printed("status")
    assert told["healthy"] is True
    assert list(told["programs"]) == ["prefect", "mlflow", "page", "worker-0", "worker-quick"]
    assert all(one["state"] == "RUNNING" and psutil.pid_exists(one["pid"]) for one in told["programs"].values())
    assert told["addresses"]["mlflow"] == stack.mlflow_url
    assert httpx.get(f"{stack.prefect_url}/health").json() is True
    assert httpx.get(f"{stack.mlflow_url}/health").status_code == 200
    assert httpx.get(stack.page_url, follow_redirects=True).status_code == 200
    shown = stack.command("status").stdout
    assert f"{stack.pid('worker-0')}" in shown
    assert stack.page_url in shown


def test_what_is_run_in_the_project_finds_the_servers_by_itself(stack: RunningStack):
    assert stack.prefect_url.startswith("http://127.0.0.1:")
    assert stack.machinery.page_url == stack.page_url
    found = stack.printed("ui")
    assert found["mlflow"] == stack.mlflow_url
    assert found["start"] == {}


def test_the_server_keeps_leases_through_a_restart(stack: RunningStack):
    told = stack.printed("deploy")
    assert told["warnings"] == []
    assert {"debug/debug", "edit/edit"} <= set(told["deployments"])


def test_a_second_up_says_that_it_runs_and_starts_nothing(stack: RunningStack):
    before = stack.pids()
    told = stack.printed("up", *FREE_PORTS)
    assert told["addresses"]["mlflow"] == stack.mlflow_url
    assert told["seconds"] is None
    assert stack.pids() == before
    other = stack.command(
        "up", "--prefect-port", "0", "--mlflow-port", "0", "--page-port", "0", "--workers", "2", code=2
    )
    assert "with other workers" in other.stderr


def test_a_killed_program_comes_back(stack: RunningStack):
    for program in ("mlflow", "worker-0"):
        killed = stack.kill(program)
        stack.wait_until_healthy(program, after=killed)
        assert not psutil.pid_exists(killed)
        assert len(stack.pids()[program]) == {"mlflow": 3, "worker-0": 2}[program]  # with its leash


def test_nothing_outlives_a_killed_supervisord_and_up_finds_a_clean_state(stack: RunningStack):
    all_of_them = [pid for some in stack.pids().values() for pid in some]
    assert len(all_of_them) >= 11
    os.kill(stack.pids()["supervisord"][0], signal.SIGKILL)
    wait(lambda: [pid for pid in all_of_them if psutil.pid_exists(pid)], lambda left: not left)
    assert stack.health() == {}
    refused = stack.command("run", code=1)
    assert "neuroinspect up" in refused.stderr
    assert stack.up()["healthy"] is True


def test_down_leaves_nothing_and_a_taken_port_is_named(stack: RunningStack):
    assert stack.down() == {"ran": True}
    assert stack.pids() == {}
    assert not stack.place.addresses.exists()
    assert stack.machinery.prefect_url is None
    assert stack.printed("status", code=1)["healthy"] is False
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = stack.command("up", "--prefect-port", "0", "--mlflow-port", f"{port}", "--page-port", "0", code=2)
    assert f"port {port}" in refused.stderr
    assert "--mlflow-port" in refused.stderr
    assert stack.pids() == {}
    stack.up()
