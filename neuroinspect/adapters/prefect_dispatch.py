"""Starts the edit of an approved review as a run of the Prefect deployment `edit/edit`."""

import logging
import os
from typing import Final

from neuroinspect.adapters.sql_reviews import EditOrder, SqlReviews
from neuroinspect.errors import ReviewError
from neuroinspect.machinery import Machinery

DEPLOYMENT: Final = "edit/edit"
log = logging.getLogger(__name__)


class PrefectDispatch:
    """An EditDispatcher over the orders of the review store.

    The order was written together with the approval, and its key makes Prefect answer a second call with the first run: so
    a call that was cut off, at whatever point, is made again until the store knows the run.

    Args:
        store: holds the orders.
        machinery: names the Prefect server; PREFECT_API_URL does where it names none.
    """

    def __init__(self, store: SqlReviews, machinery: Machinery) -> None:
        self._store = store
        self._machinery = machinery

    def dispatch(self, identifier: str) -> str | None:
        """Start the edit of a review, see the port; None where there is no server, or no such deployment on it.

        Raises:
            ReviewError: the review is not approved.
            OutsideError: the review store cannot be used.
        """
        order = self._store.edit_order(identifier)
        if order is None:
            raise ReviewError(f"request {identifier[:12]} is not approved, so there is no edit to start")
        url = self._machinery.prefect_url or os.environ.get("PREFECT_API_URL")
        if order.started is not None or url is None:
            return order.started
        self._store.count_attempt(order.key)
        self._machinery.enter()
        started = _start(order, url)
        if started is not None:
            self._store.mark_started(order.key, started)
        return started


def _start(order: EditOrder, url: str) -> str | None:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
            run = client.create_flow_run_from_deployment(
                deployment.id, parameters={"run": str(order.run)}, idempotency_key=order.key
            )
    except ObjectNotFound:
        log.info("the Prefect server has no deployment %s, so it starts no edit", DEPLOYMENT)
        return None
    except httpx.HTTPError as error:
        log.warning(
            "the Prefect server did not take the edit (%s); the decision is kept, and the same command tries again",
            type(error).__name__,
        )
        return None
    return str(run.id)
