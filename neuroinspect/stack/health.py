"""Whether the programs of the stack do their work: supervisord runs them, and each answers as it should."""

import base64
import http.client
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from neuroinspect.errors import OutsideError
from neuroinspect.stack.leases import lease_warning
from neuroinspect.stack.place import Place
from neuroinspect.stack.programs import POOL
from neuroinspect.stack.supervision import Process, Supervisor, tail

_ANSWER_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.25
_HEALTH: Final = {"prefect": "/api/health", "mlflow": "/health", "page": "/"}
_DEAD: Final = frozenset({"BACKOFF", "EXITED", "FATAL"})
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """How a program is.

    Attributes:
        process: what supervisord says.
        pid: of the program itself.
        address: where it is opened; None for a worker.
        problem: why it is not healthy; None where it is.
    """

    process: Process
    pid: int | None
    address: str | None
    problem: str | None

    @property
    def healthy(self) -> bool:
        """Whether it does its work."""
        return self.problem is None


def check_health(process: Process, addresses: Mapping[str, str | None]) -> Health:
    """Ask one program.

    Args:
        process: what supervisord says of it.
        addresses: program -> where it answers.
    """
    address, pid = addresses.get(process.name), process.pid
    if process.state != "RUNNING":
        problem: str | None = f"{process.state.lower()}: {process.told}" if process.told else process.state.lower()
    elif pid is None:
        problem = "has ended"
    elif address is not None:
        problem = _unlike_a_server(address + _HEALTH[process.name])
    else:
        problem = _unlike_a_worker(process, addresses["prefect"] or "")
    return Health(process, pid, address, problem)


def wait_until_healthy(
    place: Place, supervisor: Supervisor, names: Iterable[str], addresses: Mapping[str, str | None], seconds: float
) -> None:
    """Wait for some programs; each that is ready is logged.

    Args:
        place: of the stack.
        supervisor: runs them.
        names: of the programs.
        addresses: program -> where it answers.
        seconds: they may take together.

    Raises:
        OutsideError: a program ended, or was not ready in time; the message names it and holds the end of its log.
    """
    started = time.monotonic()
    waiting, lives = set(names), dict[str, int]()
    while waiting:
        late = time.monotonic() - started > seconds
        for process in supervisor.processes():
            if process.name not in waiting:
                continue
            ended = process.leash is not None and lives.setdefault(process.name, process.leash) != process.leash
            if ended or process.state in _DEAD:
                raise OutsideError(_failure(place, process.name, "ended as soon as it was started"))
            health = check_health(process, addresses)
            if health.healthy:
                waiting.remove(process.name)
                log.info("%-9s ready after %.0f s", process.name, time.monotonic() - started)
            elif late:
                raise OutsideError(
                    _failure(place, process.name, f"is not ready after {seconds:.0f} s ({health.problem})")
                )
        if waiting:
            time.sleep(_LOOK_SECONDS)


def limits_warning(addresses: Mapping[str, str | None]) -> str | None:
    """What a restart of the Prefect server would lose; None where nothing, or where it does not answer."""
    with suppress(OSError, http.client.HTTPException, ValueError):
        return lease_warning(_ask("GET", f"{addresses.get('prefect')}/api/admin/settings")[1])
    return None


def _failure(place: Place, name: str, what: str) -> str:
    file = place.log_of(name)
    return f"{name} {what}; the end of {file}:\n{tail(file)}"


def _unlike_a_server(url: str) -> str | None:
    try:
        status, _ = _ask("GET", url)
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer ({type(error).__name__})"
    return None if status < 400 or status in {401, 403} else f"answers with status {status}"


def _unlike_a_worker(process: Process, prefect: str) -> str | None:
    """A worker is there when Prefect heard from it after it was started."""
    try:
        status, answer = _ask("POST", f"{prefect}/api/work_pools/{POOL}/workers/filter", {})
    except (OSError, http.client.HTTPException) as error:
        return f"its Prefect server does not answer ({type(error).__name__})"
    if status != 200 or not isinstance(answer, list):
        return f"its Prefect server answers with status {status}"
    for worker in answer:
        heard = worker.get("last_heartbeat_time")
        if worker.get("name") == process.name and heard and worker.get("status") == "ONLINE":
            # supervisord tells whole seconds.
            if datetime.fromisoformat(heard.replace("Z", "+00:00")).timestamp() >= (process.since or 0) - 1:
                return None
            return "Prefect has not heard from it since it was started"
    return "Prefect has not heard from it"


def _ask(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)
    headers = {"Content-Type": "application/json"}
    login = os.environ.get("PREFECT_API_AUTH_STRING")
    if login and parts.path.startswith("/api/"):
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    try:
        connection.request(method, parts.path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if answer.status == 200 and parts.path.startswith("/api/") else None
    finally:
        connection.close()
