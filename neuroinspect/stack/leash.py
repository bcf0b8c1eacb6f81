"""Runs one program of the stack, `python -m neuroinspect.stack.leash NAME`: nothing that it started outlives it or supervisord.

supervisord knows the processes it started and no others, and takes nobody with it when it is killed. So each program has a leash:
it first ends what an earlier life of the program left, starts the program, and when either the program or supervisord is gone,
however that came, ends every process below it. On Linux the kernel tells it at once, elsewhere it looks every second.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil

from neuroinspect.stack import marks

PROGRAMS: Final = "STACK_PROGRAMS_OF_NEUROINSPECT"
"""Variable with the file that says what is run."""
_LOOK_SECONDS: Final = 1.0


def main() -> None:
    """Run the program that the first argument names, and end as it did."""
    name = sys.argv[1]
    own = os.environ[marks.MARK]
    record = json.loads(Path(os.environ[PROGRAMS]).read_text(encoding="utf-8"))
    spec = record["programs"][name]
    os.chdir(record["project"])
    sys.exit(run(spec["words"], environment=spec["environment"], without=spec["without"], own=own))


def run(words: Sequence[str], *, environment: Mapping[str, str], without: Sequence[str], own: str) -> int:
    """Run a program until it ends or our parent does; its exit code, 128 and the signal where one ended it.

    Args:
        words: the command.
        environment: beside that of this process.
        without: variables of this process that it does not get.
        own: the mark of the program.
    """
    parent = os.getppid()
    wake = _woken_by_signals()
    marks.die_with_parent(signal.SIGTERM)
    marks.end_all(own)
    marks.adopt_orphans()
    child = _start(words, {**{name: os.environ[name] for name in os.environ if name not in without}, **environment})
    try:
        while (code := _code_of(child)) is None:
            if os.getppid() != parent:
                return 128 + signal.SIGTERM
            select.select([wake], [], [], _LOOK_SECONDS)
            with suppress(BlockingIOError):
                os.read(wake, 4096)
        return code
    finally:
        with suppress(psutil.Error):
            marks.end(psutil.Process().children(recursive=True))
        marks.end_all(own)


def _woken_by_signals() -> int:
    """What can be read from when a signal came. supervisord sends its own to the whole group, so none is handed on."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, _noted)
    return read


def _noted(*_: Any) -> None:
    pass


def _start(words: Sequence[str], environment: Mapping[str, str]) -> int:
    leash = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        # Whoever started `up` in the background of a shell made it deaf to Ctrl-C, and its children after it.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        marks.die_with_parent(signal.SIGKILL)
        if os.getppid() == leash:  # it may have gone before the line above
            os.execvpe(words[0], list(words), dict(environment))
    except OSError as error:
        os.write(2, f"{words[0]} cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _code_of(child: int) -> int | None:
    """Exit code of the child where it has ended; adopted ones that have are let go."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
    return 127


if __name__ == "__main__":
    main()
