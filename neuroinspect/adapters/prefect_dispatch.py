"""Starts the edit of a decided review as a run of the Prefect deployment `edit/edit`, and finds out what became of it."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from neuroinspect.adapters.prefect_server import asking_server
from neuroinspect.adapters.prefect_slots import free_slots
from neuroinspect.artifacts import RunFolder
from neuroinspect.errors import OutsideError
from neuroinspect.lost_runs import LAUNCH, Absences
from neuroinspect.machinery import Machinery
from neuroinspect.outbox import StartState, start_name
from neuroinspect.review import EditOrder

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

DEPLOYMENT: Final = "edit/edit"
log = logging.getLogger(__name__)


class PrefectEdits:
    """An EditStarter on a Prefect server.

    Prefect itself never hears of a process that was killed together with its worker: the flow run stays Running for good. So the
    run folder is asked: whoever works in it holds its lock, and the kernel takes that back from the dead.

    Args:
        machinery: how long a run folder must be free until its run is lost, and what the client reads from the environment.
        url: of the server's API.
        clock: tells seconds.
    """

    def __init__(
        self,
        machinery: Machinery,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machinery = machinery
        self._url = url
        self._absences = Absences(clock)

    def start(self, order: EditOrder) -> str:
        """Create the flow run, see the port: Prefect answers a known idempotency key with the run it has.

        Raises:
            OutsideError: the server does not answer, has no such deployment, or refuses the parameters.
        """
        from prefect.exceptions import ObjectNotFound

        # As the debug run had them: the deployment's own may be of another project.
        params = {} if order.params is None else {"params": order.params}
        with self._client() as client:
            try:
                deployment = client.read_deployment_by_name(DEPLOYMENT)
            except ObjectNotFound:
                raise OutsideError(
                    f"the Prefect server has no deployment {DEPLOYMENT}; make one, or finish the run with `neuroinspect run`"
                ) from None
            run = client.create_flow_run_from_deployment(
                deployment.id, parameters={**params, "run": str(order.run)}, idempotency_key=start_name(order)
            )
        return str(run.id)

    def state(self, order: EditOrder) -> StartState:
        """What became of the flow run, see the port; one whose process is gone is set Crashed on the server.

        Raises:
            OutsideError: the server does not answer.
        """
        from prefect.exceptions import ObjectNotFound

        started = order.started or ""
        try:
            identifier = UUID(started)
        except ValueError:
            # The lock of the run folder keeps a second edit from beginning while that one is at work.
            return StartState("lost", f"it was started as {started}, which is no flow run")
        with self._client() as client:
            try:
                run = client.read_flow_run(identifier)
            except ObjectNotFound:
                return StartState("lost", "the Prefect server does not know its flow run any more")
            if not self._is_gone(run, order):
                return _state_of(run)
            return self._close(client, run)

    def _is_gone(self, run: "FlowRun", order: EditOrder) -> bool:
        """Whether nobody has held the run folder for a while, though the flow run is at work."""
        key, state = str(run.id), run.state
        at_work = state is not None and (state.is_running() or state.is_pending() or state.is_cancelling())
        if not at_work or state is None or RunFolder(order.run).is_held() is not False:
            self._absences.note(key, absent=False)
            return False
        patience = self._machinery.run_lost_after + (LAUNCH if state.is_pending() else 0)
        return self._absences.note(key, absent=True) >= patience

    def _close(self, client: "SyncPrefectClient", run: "FlowRun") -> StartState:
        """Let Prefect know that the process is gone; where the run ended while we looked, its own state stays."""
        from prefect.states import Cancelled, Crashed

        final: Any = Cancelled if run.state is not None and run.state.is_cancelling() else Crashed
        free_slots(client, run.id)
        client.set_flow_run_state(run.id, final(message="its process is gone"))
        self._absences.note(str(run.id), absent=False)
        return _state_of(client.read_flow_run(run.id))

    @contextmanager
    def _client(self) -> "Iterator[SyncPrefectClient]":
        try:
            with asking_server(self._machinery, self._url, kept="the decision is kept") as client:
                yield client
        except OutsideError:
            self._absences.forget()
            raise


def _state_of(run: "FlowRun") -> StartState:
    state = run.state
    if state is None or not state.is_final():
        return StartState("running")
    if state.is_completed():
        return StartState("done")
    said = f"flow run {run.name} is {state.name}" + (f": {state.message}" if state.message else "")
    if state.is_cancelled():
        return StartState("cancelled", said)
    return StartState("lost" if state.is_crashed() else "failed", said)
