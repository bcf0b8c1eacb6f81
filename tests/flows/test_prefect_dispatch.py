"""The edit of a decided review on a real Prefect server: started once, however often it is asked for, and looked after."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuroinspect.adapters import prefect_dispatch
from neuroinspect.adapters.prefect_dispatch import PrefectEdits
from neuroinspect.artifacts import RunFolder
from neuroinspect.errors import OutsideError
from neuroinspect.machinery import Machinery
from neuroinspect.review import EditOrder


@pytest.fixture(scope="module")
def deployment(prefect_server) -> Iterator[Any]:
    """A deployment `edit/edit`, which brings the params of its project."""
    from prefect import flow
    from prefect.client.orchestration import get_client

    @flow(name="edit")
    def edit(params: dict[str, int], run: str) -> None: ...

    identifier = edit.to_deployment("edit", parameters={"params": {"seed": 2, "workers": 1}}).apply()
    yield identifier
    with get_client(sync_client=True) as client:
        client.delete_deployment(identifier)


@pytest.fixture
def order(tmp_path) -> EditOrder:
    (tmp_path / "run").mkdir()
    return EditOrder(
        key=f"edit:{tmp_path}",
        request="a" * 64,
        run=tmp_path / "run",
        params={"seed": 7},
        started=None,
        attempts=0,
        lost=0,
        problem=None,
        again_at=None,
        finished_at=None,
    )


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def edits(prefect_server, tmp_path, clock) -> PrefectEdits:
    return PrefectEdits(Machinery(state=tmp_path, run_lost_after=20), prefect_server, clock=clock)


def flow_run(started: str) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_flow_run(started)


def put(started: str, state: Any) -> None:
    from uuid import UUID

    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(started), state, force=True)


def test_an_order_starts_one_run_with_the_folder_and_the_params_of_the_run_that_asked(edits, deployment, order):
    started = edits.start(order)
    assert edits.start(order) == started
    run = flow_run(started)
    assert run.deployment_id == deployment
    assert run.parameters == {"params": {"seed": 7}, "run": str(order.run)}


def test_an_order_of_an_older_version_goes_on_with_the_params_of_the_deployment(edits, deployment, order):
    run = flow_run(edits.start(replace(order, params=None)))
    assert run.parameters == {"params": {"seed": 2, "workers": 1}, "run": str(order.run)}


def test_after_a_start_that_was_given_up_another_run_is_started(edits, deployment, order):
    first = edits.start(order)
    again = edits.start(replace(order, lost=1))
    assert again != first
    assert edits.start(replace(order, lost=1)) == again


def test_without_a_deployment_the_message_says_so(edits, prefect_server, order, monkeypatch):
    monkeypatch.setattr(prefect_dispatch, "DEPLOYMENT", "edit/nowhere")
    with pytest.raises(OutsideError, match="no deployment edit/nowhere"):
        edits.start(order)


def test_a_server_that_is_away_is_named_without_its_address(deployment, order, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}/api"
    edits = PrefectEdits(Machinery(state=tmp_path), away)
    with pytest.raises(OutsideError, match="does not answer") as caught:
        edits.start(order)
    assert away not in str(caught.value)
    with pytest.raises(OutsideError, match="does not answer"):
        edits.state(replace(order, started="2a2b1a52-5f6a-4a5e-9a4e-0d3b8a0c2f11"))


def test_parameters_that_the_deployment_does_not_take_are_refused_with_the_status(edits, deployment, order):
    with pytest.raises(OutsideError, match="refuses with status 4"):
        edits.start(replace(order, params={"seed": "many"}))


@pytest.mark.parametrize(
    ("name", "kind"), [("Completed", "done"), ("Failed", "failed"), ("Crashed", "lost"), ("Cancelled", "cancelled")]
)
def test_a_run_that_ended_says_how(edits, deployment, order, name, kind):
    from prefect import states

    started = edits.start(order)
    put(started, getattr(states, name)(message="because"))
    state = edits.state(replace(order, started=started))
    assert state.kind == kind
    assert state.reason == "" or "because" in state.reason


def test_a_run_that_waits_for_a_worker_is_not_lost(edits, deployment, order, clock):
    waiting = replace(order, started=edits.start(order))
    for _ in range(3):
        assert edits.state(waiting).kind == "running"
        clock.now += 1000


def test_a_run_the_server_has_forgotten_is_lost(edits, prefect_server, order):
    assert edits.state(replace(order, started="2a2b1a52-5f6a-4a5e-9a4e-0d3b8a0c2f11")).kind == "lost"


def test_a_run_whose_process_is_gone_is_lost_and_the_server_is_told(edits, deployment, order, clock):
    from prefect import states

    started = replace(order, started=edits.start(order))
    put(started.started, states.Running())
    assert edits.state(started).kind == "running"
    clock.now += 19
    assert edits.state(started).kind == "running"
    clock.now += 1
    assert edits.state(started).kind == "lost"
    assert flow_run(started.started).state.name == "Crashed"


def test_a_run_that_is_at_work_is_not_lost(edits, deployment, order, clock):
    from prefect import states

    started = replace(order, started=edits.start(order))
    put(started.started, states.Running())
    with RunFolder(order.run).lock():
        for _ in range(3):
            assert edits.state(started).kind == "running"
            clock.now += 1000
    assert edits.state(started).kind == "running"  # it is free from now on only


def test_a_process_that_is_being_launched_is_given_more_time(edits, deployment, order, clock):
    from prefect import states

    started = replace(order, started=edits.start(order))
    put(started.started, states.Pending())
    assert edits.state(started).kind == "running"
    clock.now += 200
    assert edits.state(started).kind == "running"
    clock.now += 200
    assert edits.state(started).kind == "lost"


def test_a_run_that_was_cancelled_and_whose_process_is_gone_stays_cancelled(edits, deployment, order, clock):
    from prefect import states

    started = replace(order, started=edits.start(order))
    put(started.started, states.Cancelling())
    edits.state(started)
    clock.now += 20
    assert edits.state(started).kind == "cancelled"
    assert flow_run(started.started).state.name == "Cancelled"


def test_a_run_folder_that_cannot_be_reached_from_here_says_nothing(edits, deployment, order, clock):
    from prefect import states

    away = replace(order, started=edits.start(order), run=Path("/nowhere/run"))
    put(away.started, states.Running())
    for _ in range(3):
        assert edits.state(away).kind == "running"
        clock.now += 1000
