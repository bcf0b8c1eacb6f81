"""One real Prefect server for all tests of the flows; its database and logs lie in a temporary folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from neuroinspect.machinery import Machinery
from tests.flows.nursery import Nursery, nursery

_START_SECONDS = 120


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory) -> Iterator[str]:
    """URL of the API. This process and its children talk to it while the fixture is alive."""
    folder = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    before = dict(os.environ)
    os.environ |= {**Machinery(state=folder).environment(), "PREFECT_API_URL": url, "NEUROINSPECT_PREFECT_URL": url}
    _read_environment_again()
    log = folder / "server.log"
    words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen([sys.executable, *words], stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_healthy(url, server, log)
        yield url
    finally:
        _send_what_is_left()
        server.send_signal(signal.SIGINT)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        os.environ.clear()
        os.environ.update(before)
        _read_environment_again()


def _read_environment_again() -> None:
    """Prefect reads the environment when it is imported, which may have been before."""
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


@pytest.fixture(scope="session")
def children(prefect_server, tmp_path_factory) -> Iterator[Nursery]:
    """Processes to be killed, forked from one that has loaded everything and talks to the server."""
    with nursery(tmp_path_factory.mktemp("nursery") / "log") as found:
        yield found


def _send_what_is_left() -> None:
    """While the server is there: at its exit this process would try for more than a minute to reach it."""
    from prefect.events.worker import EventsWorker

    # Logs and slots too: Prefect keeps all such services together.
    EventsWorker.drain_all(timeout=30, at_exit=False)


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the Prefect server did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.2)


@pytest.fixture
def server_log(prefect_server, tmp_path_factory) -> Path:
    """What the server wrote so far."""
    return next(tmp_path_factory.getbasetemp().glob("prefect*/server.log"))
