"""Runs of a schedule that wait together, after a time without a worker: one of them is enough."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import StateType


def is_superseded(flow_run: UUID) -> bool:
    """Whether a later run of the same schedule is due as well, and waits for a worker.

    Args:
        flow_run: one that a person started is never superseded, nor does one supersede another.
    """
    with get_client(sync_client=True) as client:
        own = client.read_flow_run(flow_run)
        if own.deployment_id is None or not own.auto_scheduled or own.expected_start_time is None:
            return False
        bounds: Any = {"after_": own.expected_start_time, "before_": datetime.now(UTC)}
        due = client.read_flow_runs(
            deployment_filter=filters.DeploymentFilter(id=filters.DeploymentFilterId(any_=[own.deployment_id])),
            flow_run_filter=filters.FlowRunFilter(
                expected_start_time=filters.FlowRunFilterExpectedStartTime(**bounds),
                state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            ),
        )
    # By its own time: the very moment is within the bounds.
    return any(one.auto_scheduled and (one.expected_start_time or bounds["after_"]) > bounds["after_"] for one in due)
