"""Edits on this machine, where no Prefect server is named: each in a process of its own, one after the other.

The process outlives the page that started it, also where that one is interrupted or killed: an edit under way comes to its end,
and closes its order itself. What is known of it lies in `edits/` below the state folder:

    running      the name of the edit under way; its process holds the lock of this file, which the kernel takes from the dead
    NAME.json    how it ended
    NAME.log     what it said
    place        a name for this folder, by which its starts are known: that of the machine may be another after a restart
"""

import json
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from neuroinspect.artifacts import read_json, write_json
from neuroinspect.errors import ArtifactError, OutsideError
from neuroinspect.machinery import Machinery
from neuroinspect.outbox import StartState, start_name
from neuroinspect.review import EditOrder

_KIND: Final = "local"
# Processes whose end this one has not seen; without a look at them they would stay as zombies.
_left: Final[list[subprocess.Popen[bytes]]] = []
log = logging.getLogger(__name__)


class LocalEdits:
    """An EditStarter on this machine.

    Args:
        machinery: of whoever starts; the edit gets the same.
        command: what carries out an order, given the request's id, the place for its end, and the machinery as JSON on stdin.
    """

    def __init__(self, machinery: Machinery, *, command: tuple[str, ...] | None = None) -> None:
        self._machinery = machinery
        self._command = command or (sys.executable, "-m", "neuroinspect", "carry-out")
        self._folder = machinery.state.resolve() / "edits"

    def start(self, order: EditOrder) -> str:
        """Start a process, see the port.

        Raises:
            OutsideError: another edit is under way on this machine, or no process can be started.
        """
        name = start_name(order).replace(":", "-")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._running(os.O_RDWR | os.O_CREAT) as (file, free):
                under_way = os.pread(file, 1024, 0).decode(errors="replace")
                if not free and under_way != name:
                    raise OutsideError("another edit is under way on this machine; this one follows it")
                if free and not self._end(name).exists():
                    os.ftruncate(file, 0)
                    os.pwrite(file, name.encode(), 0)
                    self._launch(order, name, lock=file)
        except OSError as error:
            raise OutsideError(f"no edit can be started below {self._folder}: {error.strerror or error}") from error
        return f"{_KIND}:{self._place()}:{name}"

    def state(self, order: EditOrder) -> StartState:
        """What became of a process, see the port.

        Raises:
            OutsideError: it was started from another state folder or on a Prefect server.
        """
        kind, _, place = (order.started or "").partition(":")
        folder, _, name = place.partition(":")
        if kind != _KIND:
            raise OutsideError(
                f"the edit of review {order.request[:12]} runs on a Prefect server, and none is named here; give its address in "
                "NEUROINSPECT_PREFECT_URL"
            )
        try:
            if folder != self._place():
                raise OutsideError(
                    f"the edit of review {order.request[:12]} was started by a page or `review watch` with another state folder, "
                    "which looks after it; where there is none any more, `neuroinspect run` in the run folder carries it out"
                )
            with self._running(os.O_RDWR) as (file, free):
                if not free and os.pread(file, 1024, 0).decode(errors="replace") == name:
                    return StartState("running")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise OutsideError(f"{self._folder} cannot be read: {error.strerror or error}") from error
        return self._ended(name)

    def _ended(self, name: str) -> StartState:
        if not self._end(name).exists():
            return StartState("lost", "its process is gone")
        try:
            problem = read_json(self._end(name))["problem"]
        except (ArtifactError, KeyError):
            return StartState("lost", f"{self._end(name)} is damaged")
        return StartState("done") if problem is None else StartState("failed", f"{problem} (see {self._log(name)})")

    def _launch(self, order: EditOrder, name: str, *, lock: int) -> None:
        words = [*self._command, order.request, "--end", str(self._end(name))]
        with self._log(name).open("ab") as output:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # The lock goes over to it at once, so it is never without one; and no Ctrl-C at the page reaches it.
                pass_fds=(lock,),
                start_new_session=True,
            )
        assert process.stdin is not None
        # Not in a file, nor in the arguments, which everybody on the machine may read: addresses can hold a password.
        with process.stdin as stdin:
            stdin.write(json.dumps(_as_json(self._machinery)).encode())
        _left.append(process)
        _left[:] = [one for one in _left if one.poll() is None]

    def _place(self) -> str:
        """The name of this folder; the first who asks gives it one."""
        file = self._folder / "place"
        if not file.exists():
            own = self._folder / f"place.{secrets.token_hex(8)}"
            self._folder.mkdir(parents=True, exist_ok=True)
            own.write_text(own.suffix[1:])
            with suppress(FileExistsError):
                os.link(own, file)  # whole, and never over that of another
            own.unlink()
        return file.read_text()

    def _end(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    @contextmanager
    def _running(self, flags: int) -> Iterator[tuple[int, bool]]:
        """The file of the edit under way, and whether its lock was free and is ours until the file is closed."""
        import fcntl  # this system may lack it

        file = os.open(self._folder / "running", flags, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield file, False
            else:
                yield file, True
        finally:
            os.close(file)


def write_end(path: Path, problem: str | None) -> None:
    """Note how an edit ended.

    Args:
        path: where the starter looks.
        problem: why it failed; None where it is done.

    Raises:
        RunFolderError: it cannot be written.
    """
    write_json(path, {"problem": problem})


def _as_json(machinery: Machinery) -> dict[str, Any]:
    values = {name: getattr(machinery, name) for name in Machinery.model_fields}
    return {
        name: value.get_secret_value()
        if isinstance(value, SecretStr)
        else str(value)
        if isinstance(value, Path)
        else value
        for name, value in values.items()
    }
