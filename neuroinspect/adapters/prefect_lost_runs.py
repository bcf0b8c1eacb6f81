"""Finds the flow runs whose process is gone, and lets a worker go on with them.

Edits that a decision ordered are the outbox's; all others of ours are looked for here. Found by their deployments, they are known
to be alive by the lock of their folder. A lost run goes back to AwaitingRetry on the server, which frees its place in queue and
deployment; any worker then begins the same run again, with the same parameters, and what is finished is not computed again. So
the mending itself needs no place in a queue.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

from neuroinspect.adapters.prefect_server import asking_server
from neuroinspect.adapters.prefect_slots import free_slots
from neuroinspect.artifacts import RunFolder
from neuroinspect.lost_runs import LOSSES, Absences, Standing, Step, next_step, wait_before
from neuroinspect.machinery import Machinery
from neuroinspect.rounds import Rounds

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

FOLDERS: Final = {"debug": "run", "edit": "run", "nightly": "runs"}
"""Flow, which is also the name of its deployment -> parameter with the folder it holds while it works."""
EVERY: Final = 5.0
"""Seconds between two looks."""
LOST: Final = "its process was gone; it goes on where it stopped"
GIVEN_UP: Final = f"its process was gone {LOSSES + 1} times, and it is not begun again by itself"
FOLLOWED: Final = "its process was gone, and a later run has worked in its folder since"
_OF_THE_OUTBOX: Final = "edit:"
_RECENT: Final = timedelta(days=1)
log = logging.getLogger(__name__)


class LostRuns:
    """Looks for lost runs, round after round.

    Args:
        machinery: how long a folder must be free until its run is lost, and what the client reads from the environment.
        url: of the server's API.
        clock: tells seconds.
    """

    def __init__(self, machinery: Machinery, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._machinery = machinery
        self._url = url
        self._absences = Absences(clock)
        self._unseen: set[UUID] = set()  # said once
        self.rounds: Final = Rounds("lost runs", self.bring_back, every=EVERY)

    def bring_back(self) -> None:
        """Take one step with every run that is at work or has crashed within a day.

        Raises:
            OutsideError: the server does not answer, or refuses.
        """
        try:
            with asking_server(self._machinery, self._url, kept="what is finished of the runs is kept") as client:
                runs = [(run, standing) for run in _runs(client) if (standing := _standing(run)) is not None]
                self._absences.keep({_key(run) for run, _ in runs})
                for run, standing in runs:
                    self._look_at(client, run, standing)
        except Exception:
            self._absences.forget()
            raise

    def _look_at(self, client: "SyncPrefectClient", run: "FlowRun", standing: Standing) -> None:
        held = _is_held(run, standing)
        if held is None and run.id not in self._unseen:
            self._unseen.add(run.id)
            log.warning(
                "flow run %s is %s, but its folder is not seen from here: where another machine works on it, mount the runs "
                "at the same path; if it was killed, nothing brings it back",
                run.name,
                standing,
            )
        absent_for = self._absences.note(_key(run), absent=held is False)
        seen: dict[str, Any] = {"held": held, "absent_for": absent_for, "patience": self._machinery.run_lost_after}
        if next_step(standing, losses=0, **seen) == "wait":
            return  # its losses need not be asked for
        losses = _losses(client.read_flow_run_states(run.id))
        _take(client, run, next_step(standing, losses=losses, **seen), losses)


def _runs(client: "SyncPrefectClient") -> "Iterator[FlowRun]":
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    flows, deployments = filters.FlowFilterName(any_=list(FOLDERS)), filters.DeploymentFilterName(any_=list(FOLDERS))

    def found(*types: StateType, **further: Any) -> "list[FlowRun]":
        kind = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=list(types)))
        return client.read_flow_runs(
            flow_filter=filters.FlowFilter(name=flows),
            deployment_filter=filters.DeploymentFilter(name=deployments),
            flow_run_filter=filters.FlowRunFilter(state=kind, **further),
        )

    recent: Any = filters.FlowRunFilterEndTime(after_=datetime.now(UTC) - _RECENT)
    at_work = found(StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
    for run in (*at_work, *found(StateType.CRASHED, end_time=recent)):
        if not (run.idempotency_key or "").startswith(_OF_THE_OUTBOX):
            yield run


def _standing(run: "FlowRun") -> Standing | None:
    """None where nothing is to be done: it was given up before."""
    state = run.state
    if state is None or (state.is_crashed() and (state.message or "").startswith(GIVEN_UP)):
        return None
    if state.is_crashed():
        return "crashed"
    return "launching" if state.is_pending() else "cancelling" if state.is_cancelling() else "running"


def _key(run: "FlowRun") -> str:
    """Another one in another state: what was seen before a run was begun again says nothing about it."""
    return f"{run.id}:{run.state_id}"


def _is_held(run: "FlowRun", standing: Standing) -> bool | None:
    """Whether somebody works in the folder of a run; None where that cannot be seen from here.

    A run makes its folder as it begins. So where it has not begun, or is known to be dead, a folder that is not there is free, if
    the project can be seen; where it is at work, its folder lies on the disk of another machine.
    """
    given = _folder(run)
    if given is None or not Path(given).is_absolute():
        return None
    folder = RunFolder(Path(given))
    held = folder.is_held()
    missing = held is None and not folder.root.exists() and standing in {"launching", "crashed"}
    return False if missing and any(above.is_dir() for above in list(folder.root.parents)[:2]) else held


def _folder(run: "FlowRun") -> str | None:
    given = next((run.parameters[name] for name in set(FOLDERS.values()) if name in run.parameters), None)
    return given if isinstance(given, str) else None


def _is_followed(client: "SyncPrefectClient", run: "FlowRun") -> bool:
    """Whether a run that began later has worked, or is to go on, in the same folder: with what somebody wanted later."""
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    begun: Any = run.start_time or (run.state and run.state.timestamp)
    # What failed or was cancelled has left nothing that must be kept: it may have found the folder held by this very run.
    ends = filters.FlowRunFilterStateType(not_any_=[StateType.FAILED, StateType.CANCELLED])
    later = client.read_flow_runs(
        flow_filter=filters.FlowFilter(id=filters.FlowFilterId(any_=[run.flow_id])),
        flow_run_filter=filters.FlowRunFilter(
            start_time=filters.FlowRunFilterStartTime(after_=begun), state=filters.FlowRunFilterState(type=ends)
        ),
        sort=FlowRunSort.START_TIME_DESC,
    )
    return any(one.id != run.id and _folder(one) == _folder(run) for one in later)


def _losses(states: "Iterable[State[Any]]") -> int:
    """How often a run was brought back since it was last given up."""
    losses = 0
    for state in sorted(states, key=lambda one: one.timestamp):
        said = state.message or ""
        losses = 0 if said.startswith(GIVEN_UP) else losses + said.startswith(LOST)
    return losses


def _take(client: "SyncPrefectClient", run: "FlowRun", step: Step, losses: int) -> None:
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.states import AwaitingRetry, Cancelled, Crashed

    if step == "wait" or client.read_flow_run(run.id).state_id != run.state_id:
        return  # somebody else has seen to it since the runs were listed
    if step == "bring back" and _is_followed(client, run):
        # By force: a run that has crashed takes no other end.
        client.set_flow_run_state(run.id, Cancelled(message=FOLLOWED), force=True)
        log.warning("flow run %s is not begun again: %s", run.name, FOLLOWED)
    elif step == "bring back":
        state: Any = AwaitingRetry(
            message=LOST, scheduled_time=datetime.now(UTC) + timedelta(seconds=wait_before(losses))
        )
        # Two who look at the same time say the same: the server takes it once.
        state.state_details.transition_id = uuid5(NAMESPACE_OID, _key(run))
        if client.set_flow_run_state(run.id, state).status != SetStateStatus.ACCEPT:
            return  # it may be at work, with what it holds
        log.warning("flow run %s: %s with the next free worker", run.name, LOST)
    elif step == "give up":
        way_out = (
            f"see the worker's log for what ends it, then `prefect flow-run retry {run.id}`; what is finished is kept"
        )
        # By force: one that has crashed already takes no second end otherwise.
        client.set_flow_run_state(run.id, Crashed(message=f"{GIVEN_UP}; {way_out}"), force=True)
        log.error("flow run %s: %s; %s", run.name, GIVEN_UP, way_out)
    elif step == "call cancelled":
        client.set_flow_run_state(run.id, Cancelled(message="its process is gone"))
    free_slots(client, run.id)
