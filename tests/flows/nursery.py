"""A process that has loaded everything and forks one child for each job, so that seconds of imports are paid once.

Not multiprocessing's forkserver: that one is shared by all tests of a process, and Prefect must be loaded in the environment of
the test server.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_SERVE = "from tests.flows.nursery import serve; serve()"


class Nursery:
    """Runs `neuroinspect run --review auto`, or the nightly flow, in forked children."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, params: Path, *, killed_in: str | None = None, night: str | None = None) -> int:
        """Exit code of the child, -9 where it was killed. What it logs is added to `log` beside the params.

        Args:
            params: the params file.
            killed_in: the task in which the child gets the signal that cannot be caught, as it opens the first file of the
                project for writing.
            night: the date of the nightly flow; None: run the chain.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(params), killed_in, night]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def nursery(log: Path) -> Iterator[Nursery]:
    """Start one in the environment of this process."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Nursery(process)
    finally:
        process.communicate()  # its input ends, and so does it


def serve() -> None:
    """What the nursery does: one job a line, one exit code a line."""
    import great_expectations  # noqa: F401
    import mlflow.pyfunc  # noqa: F401

    import flows.local
    import flows.nightly  # noqa: F401
    import neuroinspect.cli
    import neuroinspect.stages.report  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _run(*json.loads(line))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(params: str, killed_in: str | None, night: str | None) -> None:
    folder = Path(params).parent
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    if killed_in is not None:
        _die_in(killed_in, folder)
    if night is not None:
        _run_nightly(Path(params), night)
    from neuroinspect.cli import main

    sys.argv = ["neuroinspect", "run", "--params", params, "--review", "auto"]
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(int(end.code or 0))


def _run_nightly(params: Path, night: str) -> None:
    from flows.nightly import nightly
    from flows.surroundings import surrounded_by
    from neuroinspect.machinery import load_machinery
    from neuroinspect.ports import silent
    from neuroinspect.settings import load_params

    logging.basicConfig(format="%(message)s", level=logging.INFO)
    given = load_params(params)
    with surrounded_by(load_machinery(params.parent), silent):
        nightly(given, str(given.runs), night)
    sys.stdout.flush()
    os._exit(0)


def _die_in(task: str, project: Path) -> None:
    from prefect.context import TaskRunContext

    def watch(event: str, words: tuple[Any, ...]) -> None:
        if event != "open" or not _writes(words) or not str(words[0]).startswith(str(project)):
            return
        context = TaskRunContext.get()
        if context is not None and context.task.name == task:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _writes(words: tuple[Any, ...]) -> bool:
    """Whether the file of an `open` event, with its path, mode and flags, is opened for writing."""
    _, _, flags = words
    return bool(flags & (os.O_WRONLY | os.O_RDWR))
