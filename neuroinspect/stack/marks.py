"""Which processes belong to a stack: each carries a mark in its environment, which its children inherit, wherever they move."""

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import psutil

MARK: Final = "STACK_OF_NEUROINSPECT"
"""Variable that holds `<stack>/<program>`."""
_SECONDS_TO_END: Final = 5.0


def mark(stack: str, program: str) -> str:
    """What the processes of a program carry."""
    return f"{stack}/{program}"


def marked(whose: str) -> list[psutil.Process]:
    """The processes that are marked so: without this one, and without those that are only waited for.

    Args:
        whose: a mark, or `<stack>/` for a whole stack.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            found_mark = process.environ().get(MARK, "")
            # `worker-1` is not the beginning of `worker-10`.
            ours = found_mark.startswith(whose) if whose.endswith("/") else found_mark == whose
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], *, seconds: float = _SECONDS_TO_END) -> None:
    """Ask processes to end, and kill those that do not."""
    left = list(processes)
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(left, timeout=seconds)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=seconds)


def end_all(whose: str, *, seconds: float = _SECONDS_TO_END) -> int:
    """End everything that is marked so, also what is started meanwhile; how many processes there were."""
    count, deadline = 0, time.monotonic() + 4 * seconds
    while (left := marked(whose)) and time.monotonic() < deadline:
        count += len(left)
        end(left, seconds=seconds)
    return count


def die_with_parent(number: int) -> None:
    """Get a signal when the parent ends, however it does. Linux alone has this; elsewhere the leash looks every second."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, number, 0, 0, 0)  # PR_SET_PDEATHSIG


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent ends, so that none is lost from sight. Linux alone."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
