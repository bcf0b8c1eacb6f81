"""supervisord: started in the background, asked over its socket, stopped with everything it runs."""

import http.client
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from neuroinspect.errors import OutsideError
from neuroinspect.stack import marks
from neuroinspect.stack.configuration import PYTHON, SOCKET
from neuroinspect.stack.leash import PROGRAMS
from neuroinspect.stack.place import Place

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.1
_LOG_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class Process:
    """What supervisord says of a program.

    Attributes:
        name: of the program.
        state: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN.
        leash: process that supervisord started; None where none runs.
        since: when it was started, seconds since 1970; None where none runs.
        told: why it is not running.
    """

    name: str
    state: str
    leash: int | None
    since: float | None
    told: str

    @property
    def pid(self) -> int | None:
        """The program itself, below its leash; None while there is none."""
        if self.leash is None:
            return None
        with suppress(psutil.Error):
            below = [one for one in psutil.Process(self.leash).children() if one.status() != psutil.STATUS_ZOMBIE]
            return min(below, key=lambda one: (one.create_time(), one.pid)).pid if below else None
        return None


class Supervisor:
    """The supervisord of one stack.

    Args:
        place: of the stack.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def answers(self) -> bool:
        """Whether it runs."""
        if not self._place.socket.exists():
            return False
        try:
            with self._asked() as ask:
                return bool(ask.getIdentification() == self._place.identifier)
        except OutsideError:
            return False

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it in the background with the programs of its configuration, but the workers.

        Args:
            environment: of all programs. It is the one way a password goes: it stands in no file and no command.

        Raises:
            OutsideError: it does not come up; the message holds the end of its log.
        """
        place = self._place
        for leftover in (place.socket, place.folder / "supervisord.pid"):
            leftover.unlink(missing_ok=True)
        own = {
            marks.MARK: marks.mark(place.identifier, "supervisord"),
            PROGRAMS: str(place.programs),
            PYTHON: sys.executable,
            SOCKET: str(place.socket),
        }
        log = place.log_of("supervisord.start")
        with log.open("wb") as output:
            # A session of its own: Ctrl-C in the terminal of `up` is for `up` alone.
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-c", place.configuration.name],
                cwd=place.folder,
                env={**environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise OutsideError(f"supervisord does not start; the end of {log}:\n{tail(log)}")
            time.sleep(_LOOK_SECONDS)

    def processes(self) -> list[Process]:
        """What it says of its programs, in the order in which they are started.

        Raises:
            OutsideError: it does not answer.
        """
        with self._asked() as ask:
            found = ask.getAllProcessInfo()
        return [
            Process(
                name=one["name"],
                state=one["statename"],
                leash=one["pid"] or None,
                since=float(one["start"]) if one["pid"] else None,
                told=one["spawnerr"] or one["description"],
            )
            for one in sorted(found, key=lambda one: _order(one["name"]))
        ]

    def start_program(self, name: str) -> None:
        """Start a program that does not run; the health check waits for it.

        Raises:
            OutsideError: supervisord does not answer, or cannot start it.
        """
        with self._asked() as ask:
            ask.startProcess(name, False)

    def stop(self) -> int:
        """Stop all programs and then itself, and end whatever is left of them; how many processes had to be ended so."""
        process = self._process()
        if self.answers():
            with suppress(OutsideError), self._asked() as ask:
                ask.shutdown()
            if process is not None:
                with suppress(psutil.Error):
                    process.wait(_STOP_SECONDS)
        left = marks.end_all(f"{self._place.identifier}/")
        for leftover in (self._place.socket, self._place.folder / "supervisord.pid"):
            leftover.unlink(missing_ok=True)
        return left

    def pids(self) -> dict[str, list[int]]:
        """Every process of the stack by the program it belongs to, that of supervisord among them."""
        found: dict[str, list[int]] = {}
        for process in marks.marked(f"{self._place.identifier}/"):
            with suppress(psutil.Error):
                program = process.environ().get(marks.MARK, "").partition("/")[2]
                found.setdefault(program, []).append(process.pid)
        return {program: sorted(some) for program, some in found.items()}

    def _process(self) -> psutil.Process | None:
        try:
            with self._asked() as ask:
                return psutil.Process(ask.getPID())
        except (OutsideError, psutil.Error):
            return None

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._place.socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        except xmlrpc.client.Fault as error:
            raise OutsideError(f"supervisord refuses: {error.faultString}") from error
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise OutsideError(f"supervisord does not answer ({error}); `neuroinspect down` clears up") from error
        finally:
            transport.close()


def tail(log: Path, lines: int = _LOG_LINES) -> str:
    """The end of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 256 * lines))
            text = file.read().decode(errors="replace")
    except OSError:
        return "  (there is none)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def _order(name: str) -> tuple[int, int, str]:
    kind, _, number = name.partition("-")
    known = ("prefect", "mlflow", "page", "worker")
    place = known.index(kind) if kind in known else len(known)
    return (place, int(number) if number.isdigit() else sys.maxsize if number else 0, name)
