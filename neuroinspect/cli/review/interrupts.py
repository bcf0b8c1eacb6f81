"""Ctrl-C between two steps: what has begun is finished, because a library that is interrupted anywhere may not say so."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Interrupts of this process while `held` is open."""

    def __init__(self) -> None:
        self._came = False
        self._in_step = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let interrupts wait for the end of a step; where they are ignored, or go to another thread, nothing is changed."""
        before = signal.getsignal(signal.SIGINT)
        if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def step(self) -> Iterator[None]:
        """What an interrupt lets end; a second one does not.

        Raises:
            KeyboardInterrupt: one came meanwhile.
        """
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False
        if self._came:
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._came or not self._in_step:
            raise KeyboardInterrupt
        self._came = True
