"""An application behind a real port of the loopback address: in a thread of this process, or as the command serves it."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

T = TypeVar("T")
_SECONDS = 30


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an ASGI application; gives `http://127.0.0.1:PORT`."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        assert server.started, "the application did not start"
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_SECONDS)
        listening.close()
    assert not thread.is_alive(), "the server did not end"


def until(read: Callable[[], T], *, seconds: float = _SECONDS) -> T:
    """Ask again and again for a value that is true, and give it."""
    deadline = time.monotonic() + seconds
    while not (found := read()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain"
        time.sleep(0.02)
    return found


@contextmanager
def page_process(params_file: Path, *, by: str) -> Iterator[str]:
    """`neuroinspect review serve` in a process of its own, without any team's server; gives its address."""
    words = ["-m", "neuroinspect", "review", "serve", "--json", "--port", "0", "--by", by, "--params", str(params_file)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NEUROINSPECT_"))
    }
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    with (
        (params_file.parent / "page.log").open("wb") as log,
        subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=log, env=environment) as process,
    ):
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()
