"""Rounds in the background: one step taken again and again, and what goes wrong said once."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from neuroinspect.errors import NeuroInspectError

_LAST_ROUND: Final = 5.0  # seconds that the end of a round is waited for
log = logging.getLogger(__name__)


class Rounds:
    """Takes a step every few seconds, whatever comes of it.

    Args:
        name: of what is done, for the messages.
        step: one round. What cannot be reached is an error of ours; any other is logged with its traceback.
        every: seconds between two rounds.
    """

    def __init__(self, name: str, step: Callable[[], object], *, every: float) -> None:
        self._name, self._step, self._every = name, step, every
        self._said = ""
        self._nudged, self._stopped = threading.Event(), threading.Event()

    def run_forever(self) -> None:
        """Make rounds until `stop` is called."""
        while not self._stopped.is_set():
            self._nudged.clear()
            self.take()
            self._nudged.wait(self._every)

    def take(self) -> None:
        """One round. The same problem round after round is logged once, and again where it comes back after a good one."""
        try:
            self._step()
        except NeuroInspectError as error:
            if str(error) != self._said:
                log.warning("%s", error)
            self._said = str(error)
        except Exception:
            if self._said != "unexpected":
                log.exception("%s: an unexpected error; the next round tries again", self._name)
            self._said = "unexpected"
        else:
            self._said = ""

    def nudge(self) -> None:
        """Let the next round begin at once."""
        self._nudged.set()

    def stop(self) -> None:
        """End `run_forever` after its round."""
        self._stopped.set()
        self._nudged.set()

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Make rounds in a thread while the context is open."""
        thread = threading.Thread(target=self.run_forever, name=self._name, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop()
            thread.join(_LAST_ROUND)
