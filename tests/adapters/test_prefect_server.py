"""What a failure of a Prefect server is said to be, by everything that asks one."""

import httpx
import pytest
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from neuroinspect.adapters.prefect_server import reason_of, wants_login

SECRET = "http://somebody:secret@prefect.example/api"


def refused(status: int) -> PrefectHTTPStatusError:
    request = httpx.Request("GET", SECRET)
    return PrefectHTTPStatusError("secret", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "reason", "login"),
    [
        (httpx.ConnectError("secret"), "does not answer (ConnectError)", False),
        (refused(401), "refuses with status 401 (PrefectHTTPStatusError)", True),
        (refused(403), "refuses with status 403 (PrefectHTTPStatusError)", True),
        (refused(500), "refuses with status 500 (PrefectHTTPStatusError)", False),
        (ObjectNotFound(http_exc=refused(404)), "refuses with status 404 (ObjectNotFound)", False),
    ],
)
def test_a_failure_tells_status_and_kind_and_neither_address_nor_answer(error, reason, login):
    assert (reason_of(error), wants_login(error)) == (reason, login)
