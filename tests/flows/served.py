"""What the Prefect server of the tests knows about a run."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from neuroinspect.artifacts import RunFolder

T = TypeVar("T")
_SECONDS = 30


def flow_runs(run: RunFolder) -> dict[str, list[str]]:
    """Name of a flow run -> the states of the runs of that name on a run folder, oldest first."""
    found: dict[str, list[str]] = {}
    for one in _flow_runs(run):
        found.setdefault(one.name, []).append(one.state.name)
    return found


def task_runs(run: RunFolder, *, until: Callable[[list[Any]], bool]) -> list[Any]:
    """The task runs of a run folder; Prefect writes them a little later than they happen."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[one.id for one in _flow_runs(run)]))

    def read() -> list[Any]:
        with get_client(sync_client=True) as client:
            return list(client.read_task_runs(flow_run_filter=chosen))

    return _wait(read, until)


def artifacts(run: RunFolder) -> list[Any]:
    """The artifacts of the runs on a run folder."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[one.id for one in _flow_runs(run)]))
    with get_client(sync_client=True) as client:
        return list(client.read_artifacts(artifact_filter=chosen))


def messages(run: RunFolder, *, until: Callable[[list[str]], bool]) -> list[str]:
    """What the runs on a run folder logged."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[one.id for one in _flow_runs(run)]))

    def read() -> list[str]:
        with get_client(sync_client=True) as client:
            return [log.message for log in client.read_logs(log_filter=chosen)]

    return _wait(read, until)


def _flow_runs(run: RunFolder) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(sort=FlowRunSort.START_TIME_ASC)
    return [one for one in found if one.parameters.get("run") == str(run.root.resolve())]


def _wait(read: Callable[[], T], until: Callable[[T], bool]) -> T:
    deadline = time.monotonic() + _SECONDS
    while not until(found := read()):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found
