"""Gives back what a dead process holds of the limit on tasks that run the network.

Prefect takes it back by itself, a minute after the death; until then everybody else waits.
"""

from typing import TYPE_CHECKING, Final
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_TAG: Final = "gpu"


def free_slots(client: "SyncPrefectClient", flow_run: UUID) -> None:
    """Free the slots that tasks of a flow run hold; nothing where there is no limit, or Prefect does not know the task yet."""
    from prefect.exceptions import ObjectNotFound

    try:
        holders = client.read_concurrency_limit_by_tag(_TAG).active_slots
    except ObjectNotFound:
        return
    for holder in holders:
        try:
            of_the_run = client.read_task_run(holder).flow_run_id == flow_run
        except ObjectNotFound:
            continue
        if of_the_run:
            client.decrement_v1_concurrency_slots([_TAG], holder, 0.0)
