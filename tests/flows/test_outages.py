"""The work of a flow while its Prefect server goes away."""

from collections.abc import Callable

import httpx
import pytest

from neuroinspect.errors import DataError, OutsideError


class Work:
    """Fails as it is told to, one error after the other, and then is done."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.begun = 0

    def __call__(self) -> str:
        self.begun += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def no_answer() -> Exception:
    return httpx.ConnectError("all connection attempts failed")


def no_slot() -> Exception:
    """As Prefect raises it where a task begins while the server is away."""
    from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

    error = ConcurrencySlotAcquisitionError("unable to acquire concurrency slots on ['tag:neuroinspect']")
    error.__cause__ = no_answer()
    return error


def status(code: int) -> Callable[[], Exception]:
    def made() -> Exception:
        from prefect.exceptions import PrefectHTTPStatusError

        asked = httpx.Request("POST", "http://127.0.0.1/api/artifacts/")
        return PrefectHTTPStatusError("refused", request=asked, response=httpx.Response(code, request=asked))

    return made


@pytest.mark.parametrize("failure", [no_answer, no_slot, status(500), status(503)])
def test_work_goes_on_when_the_server_is_back(prefect_server, failure, caplog):
    from flows.outages import through_outages

    work = Work(failure())
    assert through_outages(work) == "done"
    assert work.begun == 2
    assert "the Prefect server went away" in caplog.text


@pytest.mark.parametrize("failure", [lambda: DataError("bad"), lambda: OutsideError("MLflow is away"), status(422)])
def test_what_the_server_is_not_to_blame_for_is_raised_at_once(prefect_server, failure):
    from flows.outages import through_outages

    error = failure()
    work = Work(error)
    with pytest.raises(type(error)) as caught:
        through_outages(work)
    assert caught.value is error
    assert work.begun == 1


def test_a_server_that_stays_away_is_not_waited_for_without_an_end(prefect_server, monkeypatch):
    from flows import outages

    monkeypatch.setattr(outages, "_LONGEST", 0.0)
    work = Work(no_slot())
    with pytest.raises(Exception, match="concurrency slots"):
        outages.through_outages(work)
    assert work.begun == 1


def test_work_that_fails_so_again_and_again_is_given_up(prefect_server, monkeypatch):
    from flows import outages

    monkeypatch.setattr(outages, "_EVERY", 0.0)
    work = Work(*(no_slot() for _ in range(100)))
    with pytest.raises(Exception, match="concurrency slots"):
        outages.through_outages(work)
    assert 2 <= work.begun <= 20
