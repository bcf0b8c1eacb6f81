"""A Prefect server that goes away in the middle of a flow: its work waits, and goes on when the server is back.

Prefect's client asks again where it has had an answer before, for a minute. A task that begins meanwhile asks for its slots
through a client of its own, which gives up at once, and the flow would fail.
"""

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

import httpx
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.exceptions import PrefectHTTPStatusError

R = TypeVar("R")
_LONGEST: Final = 600.0  # seconds that the server is waited for; who looks for lost runs brings this one back later
_TIMES: Final = 10
_EVERY: Final = 1.0
log = logging.getLogger("neuroinspect.flows")


def through_outages(work: Callable[[], R]) -> R:
    """Do some work, and again where the Prefect server went away in the middle of it.

    Args:
        work: finds what is finished, and does not do it twice.

    Raises:
        Exception: the work's own, also where the server stays away for ten minutes, or fails again and again.
    """
    for _ in range(_TIMES):
        try:
            return work()
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("the Prefect server went away (%s); the work goes on when it answers", type(error).__name__)
            if not _comes_back():
                raise
    return work()


def is_outage(error: Exception) -> bool:
    """Whether an error came from asking the server: that it does not answer, or cannot."""
    if isinstance(error, PrefectHTTPStatusError):
        return error.response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
    if isinstance(error, ConcurrencySlotAcquisitionError):
        cause = error.__cause__
        return cause is None or not isinstance(cause, httpx.HTTPStatusError) or cause.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


def _comes_back() -> bool:
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        time.sleep(_EVERY)
        with get_client(sync_client=True) as client:
            if client.api_healthcheck() is None:
                return True
    return False
