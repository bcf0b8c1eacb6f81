"""The stack of `neuroinspect up` for the tests: started by the real command in a tiny project, surely ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from neuroinspect.machinery import Machinery, load_machinery
from neuroinspect.stack.health import Health
from neuroinspect.stack.place import Place
from neuroinspect.stack.running import look
from neuroinspect.stack.supervision import Supervisor, tail
from tests.tiny import make_project

T = TypeVar("T")
SECONDS = 300
"""Longest that anything is waited for."""
FREE_PORTS = ("--prefect-port", "0", "--mlflow-port", "0", "--page-port", "0")
_ROOT = Path(__file__).parents[2]
_TOOLS = ("NEUROINSPECT_", "PREFECT_", "MLFLOW_", "DVC_", "GX_")


class RunningStack:
    """A project and its stack.

    Attributes:
        project: the folder of the project, with params.yaml and runs/.
        environment: in which commands of the project are called: nothing of the tools but what the stack was given.
    """

    def __init__(self, project: Path, environment: Mapping[str, str]) -> None:
        self.project = project
        self.environment = {**clean_environment(), **environment}

    @property
    def params_file(self) -> Path:
        return self.project / "params.yaml"

    @property
    def place(self) -> Place:
        return Place((self.project / ".neuroinspect").resolve(), self.project)

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.place)

    @property
    def machinery(self) -> Machinery:
        """As a command of the project reads it, with the addresses of the stack."""
        with self.entered():
            return load_machinery(self.project)

    @property
    def prefect_url(self) -> str:
        """Of the API."""
        url = self.machinery.prefect_url
        assert url is not None
        return url

    @property
    def mlflow_url(self) -> str:
        url = self.machinery.mlflow_url
        assert url is not None
        return url

    @property
    def page_url(self) -> str:
        return self.machinery.page

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the environment of the project in this process."""
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    @contextmanager
    def prefect(self) -> Iterator[Any]:
        """A client of its Prefect server, whichever this process talks to."""
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.prefect_url}), get_client(sync_client=True) as client:
            yield client

    def command(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Call `neuroinspect` on the project; `code` is the exit code it must have, None: any."""
        done = subprocess.run(
            [sys.executable, "-m", "neuroinspect", *words, "--params", str(self.params_file)],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS + 120,
        )
        assert code is None or done.returncode == code, (
            f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def printed(self, *words: str, code: int | None = 0) -> Any:
        """What a command prints with `--json`."""
        return json.loads(self.command(*words, "--json", code=code).stdout.splitlines()[-1])

    def up(self, *words: str) -> Any:
        """Start it, on free ports."""
        return self.printed("up", *FREE_PORTS, *words)

    def down(self) -> Any:
        """Stop it."""
        return self.printed("down")

    def health(self) -> dict[str, Health]:
        """How each program is; empty where nothing runs."""
        return {one.process.name: one for one in look(self.place).programs}

    def pids(self) -> dict[str, list[int]]:
        """Every process by its program (supervisord, prefect, mlflow, page, worker-0, worker-quick), their leashes too."""
        return self.supervisor.pids()

    def pid(self, program: str) -> int:
        """The program itself, as `status` shows it."""
        pid = wait(lambda: {one.name: one.pid for one in self.supervisor.processes()}.get(program), bool)
        assert pid is not None
        return pid

    def kill(self, program: str, number: int = signal.SIGKILL) -> int:
        """Send a signal that ends the program; which process that was. Its leash ends the rest, supervisord starts it anew."""
        pid = self.pid(program)
        leash = next(one.leash for one in self.supervisor.processes() if one.name == program)
        os.kill(pid, number)
        if leash is not None:  # until it has ended them, one of the children counts as the program
            wait(lambda: psutil.pid_exists(leash), lambda there: not there)
        return pid

    def stop(self, program: str) -> None:
        """Stop a program until `start`."""
        with self.supervisor._asked() as ask:
            ask.stopProcess(program, True)

    def start(self, program: str) -> None:
        """Start a program that was stopped, and wait until it is healthy."""
        self.supervisor.start_program(program)
        self.wait_until_healthy(program)

    def wait_until_healthy(self, *programs: str, after: int | None = None) -> None:
        """Wait until some programs, or all, do their work.

        Args:
            programs: their names; none: all.
            after: process that it must no longer be.
        """

        def fine(found: dict[str, Health]) -> bool:
            chosen = [found[name] for name in programs] if programs and found else list(found.values())
            return bool(chosen) and all(one.healthy and one.pid != after for one in chosen)

        try:
            wait(self.health, fine)
        except AssertionError as error:
            logs = "\n".join(f"{name}:\n{tail(self.place.log_of(name))}" for name in programs or self.health())
            raise AssertionError(f"{error}\n{logs}") from None


@contextmanager
def running_stack(folder: Path, environment: Mapping[str, str] | None = None, *words: str) -> Iterator[RunningStack]:
    """A tiny project in a folder, and its stack while the context is open.

    Args:
        folder: for the project; made.
        environment: for the commands and the stack, such as addresses of databases.
        words: further options of `up`.
    """
    make_project(folder)
    stack = RunningStack(folder, environment or {})
    with _ended_with_us(stack):
        stack.up(*words)
        yield stack
        stack.command("down")
        assert stack.pids() == {}, "`down` left processes"


@contextmanager
def _ended_with_us(stack: RunningStack) -> Iterator[None]:
    """End every process of a stack at the end, also when this process is killed."""
    sweep = "import sys; sys.stdin.read(); from neuroinspect.stack import marks; marks.end_all(sys.argv[1])"
    words = [sys.executable, "-c", sweep, f"{stack.place.identifier}/"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=stack.environment, start_new_session=True) as sweeper:
        try:
            yield
        finally:
            assert sweeper.stdin is not None
            sweeper.stdin.close()
            sweeper.wait()


def clean_environment() -> dict[str, str]:
    """That of this process without what the tools read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_TOOLS)}
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def wait(read: Callable[[], T], until: Callable[[T], bool], seconds: float = SECONDS) -> T:
    """Read until something holds."""
    deadline = time.monotonic() + seconds
    while not until(found := read()):
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {found}"
        time.sleep(0.1)
    return found
