"""Lost flow runs on a real Prefect server: who is brought back, who is left alone."""

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from neuroinspect.adapters.prefect_lost_runs import FOLLOWED, GIVEN_UP, LOST, LostRuns
from neuroinspect.artifacts import RunFolder
from neuroinspect.errors import OutsideError
from neuroinspect.lost_runs import LAUNCH, LOSSES
from neuroinspect.machinery import Machinery

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PATIENCE = 20.0


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lost(prefect_server, tmp_path, clock) -> LostRuns:
    return LostRuns(Machinery(state=tmp_path / "state", run_lost_after=PATIENCE), prefect_server, clock=clock)


@pytest.fixture(scope="module")
def client(prefect_server) -> "Iterator[SyncPrefectClient]":
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployments(client) -> Iterator[dict[str, UUID]]:
    made: dict[str, UUID] = {}
    for flow, name in (("debug", "debug"), ("edit", "edit"), ("nightly", "nightly"), ("debug", "other")):
        identifier = client.create_flow_from_name(flow)
        made[f"{flow}/{name}"] = client.create_deployment(identifier, name, concurrency_limit=1)
    yield made
    for identifier in made.values():
        client.delete_deployment(identifier)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    (tmp_path / "runs" / "run").mkdir(parents=True)
    return RunFolder(tmp_path / "runs" / "run")


@pytest.fixture
def start(client, deployments, folder) -> Iterator[Callable[..., UUID]]:
    """Make a flow run that has come to a state; at the end of the test it is deleted."""
    made = []

    def begin(*course: str, name: str = "debug/debug", key: str | None = None, **parameters: str) -> UUID:
        run = client.create_flow_run_from_deployment(
            deployments[name], parameters=parameters or {"run": str(folder.root)}, idempotency_key=key
        )
        made.append(run.id)
        for state in course:
            put(client, run.id, state)
        return run.id

    yield begin
    for identifier in made:
        client.delete_flow_run(identifier)


RUNNING = ("Pending", "Running")


def put(client: "SyncPrefectClient", run: UUID, state: str, *, force: bool = False) -> None:
    from prefect import states

    client.set_flow_run_state(run, getattr(states, state)(), force=force)


def told(client: "SyncPrefectClient", run: UUID) -> tuple[str, str | None]:
    state = client.read_flow_run(run).state
    assert state is not None
    return state.name, state.message


def look_twice(lost: LostRuns, clock: Clock, *, apart: float = PATIENCE) -> None:
    lost.bring_back()
    clock.now += apart
    lost.bring_back()


def test_a_run_whose_process_is_gone_goes_back_to_be_begun_again(lost, clock, start, client, caplog):
    run = start(*RUNNING)
    look_twice(lost, clock, apart=PATIENCE - 1)
    assert told(client, run)[0] == "Running"
    clock.now += 1
    lost.bring_back()
    assert told(client, run) == ("AwaitingRetry", LOST)
    assert LOST in caplog.text


def test_what_it_held_is_free_for_others(lost, clock, start, client, deployments):
    run = start(*RUNNING)
    assert occupied(client) == {f"deployment:{deployments['debug/debug']}": 1}
    look_twice(lost, clock)
    assert told(client, run)[0] == "AwaitingRetry"
    assert occupied(client) == {}


def occupied(client: "SyncPrefectClient") -> dict[str, int]:
    limits = client.read_global_concurrency_limits(limit=200, offset=0)
    return {limit.name: limit.active_slots for limit in limits if limit.active_slots}


def test_the_slot_of_a_task_that_ran_the_network_is_free_at_once(lost, clock, start, client):
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="tag:gpu", limit=2))
    try:
        # Over a later one of its folder a run would not be brought back.
        other, run = start(*RUNNING, name="debug/other"), start(*RUNNING)
        holders = [task_of(client, one) for one in (run, other)]
        for holder in holders:
            client.increment_v1_concurrency_slots(["gpu"], holder)
        assert occupied(client)["tag:gpu"] == 2
        look_twice(lost, clock)
        assert client.read_concurrency_limit_by_tag("gpu").active_slots == [holders[1]]
        assert occupied(client)["tag:gpu"] == 1
    finally:
        client.delete_global_concurrency_limit_by_name("tag:gpu")


def task_of(client: "SyncPrefectClient", run: UUID) -> UUID:
    from prefect import task
    from prefect.states import Running

    @task(name="extract")
    def extract() -> None: ...

    return client.create_task_run(extract, flow_run_id=run, dynamic_key="0", state=Running()).id


def test_a_run_that_is_at_work_is_left_alone(lost, clock, start, client, folder):
    run = start(*RUNNING)
    with folder.lock():
        for _ in range(3):
            look_twice(lost, clock, apart=1000)
    assert told(client, run)[0] == "Running"
    look_twice(lost, clock, apart=PATIENCE - 1)
    assert told(client, run)[0] == "Running"  # free from now on only


def test_a_process_that_is_being_launched_is_given_more_time(lost, clock, start, client):
    run = start("Pending")
    look_twice(lost, clock, apart=LAUNCH)
    assert told(client, run)[0] == "Pending"
    clock.now += PATIENCE
    lost.bring_back()
    assert told(client, run)[0] == "AwaitingRetry"


def test_a_run_that_waits_for_a_worker_is_not_lost(lost, clock, start, client):
    run = start()
    look_twice(lost, clock, apart=1000)
    assert told(client, run)[0] == "Scheduled"


def test_a_run_that_somebody_cancelled_is_cancelled_and_not_begun_again(lost, clock, start, client):
    run = start(*RUNNING, "Cancelling")
    look_twice(lost, clock)
    assert told(client, run)[0] == "Cancelled"


@pytest.mark.parametrize("state", ["Completed", "Failed", "Cancelled"])
def test_a_run_that_came_to_its_end_is_left_alone(lost, clock, start, client, state):
    run = start(*RUNNING, state)
    look_twice(lost, clock, apart=1000)
    assert told(client, run)[0] == state


def test_a_run_that_crashed_is_begun_again_at_once(lost, start, client):
    run = start(*RUNNING, "Crashed")
    lost.bring_back()
    assert told(client, run)[0] == "AwaitingRetry"


def test_a_run_that_is_lost_again_and_again_is_given_up_until_somebody_retries_it(lost, start, client):
    run = start(*RUNNING)
    for _ in range(LOSSES):
        put(client, run, "Crashed", force=True)
        lost.bring_back()
        assert told(client, run)[0] == "AwaitingRetry"
    put(client, run, "Crashed", force=True)
    lost.bring_back()
    name, message = told(client, run)
    assert name == "Crashed"
    assert message is not None
    assert message.startswith(GIVEN_UP)
    assert f"prefect flow-run retry {run}" in message
    lost.bring_back()
    assert told(client, run) == (name, message)
    put(client, run, "Scheduled", force=True)  # as that command does
    put(client, run, "Crashed", force=True)
    lost.bring_back()
    assert told(client, run)[0] == "AwaitingRetry"


def test_a_folder_that_cannot_be_seen_from_here_says_nothing(lost, clock, start, client):
    runs = [
        start(*RUNNING, name="debug/debug", run="/nowhere/project/runs/run"),
        start(*RUNNING, name="edit/edit", run="runs/run"),
    ]
    look_twice(lost, clock, apart=1000)
    assert [told(client, run)[0] for run in runs] == ["Running", "Running"]


@pytest.mark.parametrize("course", [("Pending",), (*RUNNING, "Crashed")])
def test_a_folder_that_is_not_made_yet_is_free_where_nobody_can_be_at_work_in_it(
    lost, clock, start, client, tmp_path, course
):
    run = start(*course, run=str(tmp_path / "first_runs" / "run"))
    look_twice(lost, clock, apart=PATIENCE + LAUNCH)
    assert told(client, run)[0] == "AwaitingRetry"


def test_a_run_at_work_whose_folder_is_not_seen_works_elsewhere_and_that_is_said_once(
    lost, clock, start, client, tmp_path, caplog
):
    run = start(*RUNNING, run=str(tmp_path / "not_mounted" / "run"))
    for _ in range(3):
        look_twice(lost, clock, apart=1000)
    assert told(client, run)[0] == "Running"
    assert caplog.text.count("its folder is not seen from here") == 1


@pytest.mark.parametrize("course", [RUNNING, (*RUNNING, "Crashed")])
def test_a_run_is_not_brought_back_over_a_later_one_of_its_folder(lost, clock, start, client, course):
    old = start(*course, name="debug/other")
    put(client, old, "Failed", force=True)
    lost_run, later = start(*course), start(*RUNNING, "Completed", name="debug/other")
    look_twice(lost, clock)
    assert told(client, lost_run) == ("Cancelled", FOLLOWED)
    assert told(client, later)[0] == "Completed"
    lost.bring_back()
    assert told(client, lost_run) == ("Cancelled", FOLLOWED)


@pytest.mark.parametrize(("end", "folder_name"), [("Failed", "run"), ("Cancelled", "run"), ("Completed", "other")])
def test_a_later_run_that_did_nothing_there_keeps_none_from_being_brought_back(
    lost, clock, start, client, folder, end, folder_name
):
    run = start(*RUNNING)
    start(*RUNNING, end, name="debug/other", run=str(folder.root.parent / folder_name))
    look_twice(lost, clock)
    assert told(client, run)[0] == "AwaitingRetry"


def test_a_run_that_began_again_since_the_runs_were_listed_is_left_alone(lost, clock, start, client, monkeypatch):
    from neuroinspect.adapters import prefect_lost_runs

    freed = []
    monkeypatch.setattr(prefect_lost_runs, "free_slots", lambda client, run: freed.append(run))
    run = start(*RUNNING)
    lost.bring_back()
    losses = prefect_lost_runs._losses

    def meanwhile(states):
        for state in ("AwaitingRetry", *RUNNING):
            put(client, run, state)
        return losses(states)

    monkeypatch.setattr(prefect_lost_runs, "_losses", meanwhile)
    clock.now += PATIENCE
    lost.bring_back()
    assert told(client, run)[0] == "Running"
    assert freed == []


def test_slots_are_freed_only_where_the_server_takes_the_new_state(lost, clock, start, client, monkeypatch):
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import SetStateStatus

    from neuroinspect.adapters import prefect_lost_runs

    freed = []
    monkeypatch.setattr(prefect_lost_runs, "free_slots", lambda client, run: freed.append(run))
    run = start(*RUNNING)
    lost.bring_back()
    clock.now += PATIENCE
    with monkeypatch.context() as refusing:
        answer = type("Answer", (), {"status": SetStateStatus.REJECT})
        refusing.setattr(SyncPrefectClient, "set_flow_run_state", lambda *_, **__: answer)
        lost.bring_back()
    assert freed == []
    lost.bring_back()
    assert freed == [run]


def test_of_a_night_the_folder_of_its_runs_is_looked_at(lost, clock, start, client, folder):
    runs = RunFolder(folder.root.parent)
    night = start(*RUNNING, name="nightly/nightly", runs=str(runs.root))
    with runs.lock():
        look_twice(lost, clock)
        assert told(client, night)[0] == "Running"
    look_twice(lost, clock)
    assert told(client, night)[0] == "AwaitingRetry"


def test_edits_that_a_decision_ordered_are_left_to_the_outbox_and_others_are_not(lost, clock, start, client, folder):
    ordered = start(*RUNNING, name="edit/edit", key=f"edit:{folder.root}", run=str(folder.root))
    look_twice(lost, clock)
    assert told(client, ordered)[0] == "Running"
    put(client, ordered, "Completed")  # one at a time
    by_hand = start(*RUNNING, name="edit/edit", run=str(folder.root))
    look_twice(lost, clock)
    assert told(client, by_hand)[0] == "AwaitingRetry"


def test_runs_of_other_deployments_are_left_alone(lost, clock, start, client):
    run = start(*RUNNING, name="debug/other")
    look_twice(lost, clock)
    assert told(client, run)[0] == "Running"


def test_two_who_look_bring_a_run_back_once(prefect_server, tmp_path, clock, start, client, lost):
    another = LostRuns(Machinery(state=tmp_path / "state", run_lost_after=PATIENCE), prefect_server, clock=clock)
    run = start(*RUNNING)
    for one in (lost, another):
        one.bring_back()
    clock.now += PATIENCE
    for one in (lost, another):
        one.bring_back()
    names = [state.name for state in client.read_flow_run_states(run)]
    assert names.count("AwaitingRetry") == 1


def test_after_a_server_that_was_away_an_absence_begins_anew(lost, clock, start, client):
    run = start(*RUNNING)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}/api"
    lost.bring_back()
    url, lost._url = lost._url, away
    with pytest.raises(OutsideError, match="does not answer") as caught:
        lost.bring_back()
    assert away not in str(caught.value)
    lost._url = url
    clock.now += PATIENCE
    lost.bring_back()
    assert told(client, run)[0] == "Running"
    clock.now += PATIENCE
    lost.bring_back()
    assert told(client, run)[0] == "AwaitingRetry"
