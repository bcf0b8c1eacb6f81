"""One way to ask a Prefect server, and what its failures mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from neuroinspect.errors import OutsideError
from neuroinspect.machinery import Machinery

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

CREDENTIALS: Final = "give its account, NAME:PASSWORD, in PREFECT_API_AUTH_STRING, or a key in PREFECT_API_KEY"
"""What to do where a server refuses with 401 or 403."""


@contextmanager
def asking_server(machinery: Machinery, url: str, *, kept: str) -> "Iterator[SyncPrefectClient]":
    """A client of the server's API.

    Args:
        machinery: what the client reads from the environment.
        url: of the API.
        kept: what is not lost while the server is away, for the message.

    Raises:
        OutsideError: the server does not answer, or refuses.
    """
    machinery.enter()
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectException) as error:
        login = f"{CREDENTIALS}; " if wants_login(error) else ""
        raise OutsideError(
            f"the Prefect server {reason_of(error)}; {login}{kept}, and the server is asked again"
        ) from error


def reason_of(error: BaseException) -> str:
    """Why a server did not do what it was asked; without its address and its answer, as one of them may hold a secret."""
    status = _status_of(error)
    reason = "does not answer" if status is None else f"refuses with status {status}"
    return f"{reason} ({type(error).__name__})"


def wants_login(error: BaseException) -> bool:
    """Whether the server is there and refuses for want of an account."""
    return _status_of(error) in {401, 403}


def _status_of(error: BaseException) -> int | None:
    # Prefect wraps the answer to a question about what is not there.
    answer = getattr(error, "response", None) or getattr(getattr(error, "http_exc", None), "response", None)
    status = getattr(answer, "status_code", None)
    return status if isinstance(status, int) else None
