"""A `neuroinspect` on the path that starts at once: each call is forked from a process that has loaded the package.

Loading takes seconds, and a pipeline calls the command once for each stage. Everything else is the real command: a process of
its own, in the caller's folder, with the caller's environment, output and exit code.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from threading import Thread

from neuroinspect.cli import main

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["neuroinspect.cli", "neuroinspect.stages.report", "matplotlib.pyplot", "tests.tiny"])
_KEY = b"quick commands"
_SCRIPT = """#!{python}
import os, sys
from multiprocessing.connection import Client
with Client({address!r}, authkey={key!r}) as server:
    server.send((sys.argv, os.getcwd(), dict(os.environ)))
    exit_code, output = server.recv()
sys.stdout.write(output)
sys.exit(exit_code)
"""


@contextmanager
def quick_commands(folder: Path) -> Iterator[Path]:
    """A folder for the path, with `neuroinspect` in it, as long as the context is open."""
    folder.mkdir(parents=True)
    with Listener(("127.0.0.1", 0), authkey=_KEY) as listener:
        script = folder / "neuroinspect"
        script.write_text(_SCRIPT.format(python=sys.executable, address=listener.address, key=_KEY))
        script.chmod(0o755)
        served = Thread(target=_serve, args=(listener, folder / "output"), daemon=True)
        served.start()
        try:
            yield folder
        finally:
            with multiprocessing.connection.Client(listener.address, authkey=_KEY) as last:
                last.send(None)
            served.join()


def _serve(listener: Listener, output: Path) -> None:
    while True:
        with listener.accept() as caller:
            if not _answer(caller, output):
                return


def _answer(caller: Connection, output: Path) -> bool:
    call = caller.recv()
    if call is None:
        return False
    process = PROCESSES.Process(target=_run, args=(*call, output))
    process.start()
    process.join()
    caller.send((process.exitcode, output.read_text()))
    return True


def _run(words: list[str], folder: str, variables: dict[str, str], output: Path) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, sys.stdout.fileno())
    os.dup2(file, sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.argv = words
    main()
