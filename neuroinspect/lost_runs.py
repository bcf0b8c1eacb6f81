"""When a flow run is taken for lost, and what is done with it then.

A server never hears of a process that was killed together with its worker: the run stays at work for good, and so does the place
it occupies in a queue. But whoever works holds the lock of a folder, and the kernel takes that back from the dead. So a run that
is at work while nobody holds its folder for a while is lost.
"""

from collections.abc import Callable
from typing import Final, Literal

LOSSES: Final = 10
"""How often a run may be lost until it is no longer brought back."""
LAUNCH: Final = 300.0
"""Seconds that a process which is being launched may need before it takes its folder."""
_LONGEST_WAIT: Final = 60.0

Standing = Literal["launching", "running", "cancelling", "crashed"]
Step = Literal["wait", "bring back", "give up", "call cancelled"]


def next_step(standing: Standing, *, held: bool | None, absent_for: float, losses: int, patience: float) -> Step:
    """What to do with a run.

    Args:
        standing: what the server says of it. One that crashed is known to be dead, and nobody has to be waited for.
        held: whether somebody holds its folder; None where the folder cannot be seen from here, and then nothing is done.
        absent_for: seconds since nobody was seen there.
        losses: how often it has been brought back.
        patience: seconds that a folder may be free while its run is at work.
    """
    needed = {"crashed": 0.0, "launching": patience + LAUNCH}.get(standing, patience)
    if held is not False or absent_for < needed:
        return "wait"
    if standing == "cancelling":
        return "call cancelled"
    return "bring back" if losses < LOSSES else "give up"


def wait_before(losses: int) -> float:
    """Seconds until a run goes on that was lost so often before: the first time at once."""
    return min(_LONGEST_WAIT, 2.0**losses - 1)


class Absences:
    """Since when nobody was seen, for things that are looked at again and again.

    Args:
        clock: tells seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def note(self, key: str, *, absent: bool) -> float:
        """Take note of one look; seconds since the first of the looks that found nobody, 0 where somebody is there."""
        if not absent:
            self._since.pop(key, None)
            return 0.0
        return self._clock() - self._since.setdefault(key, self._clock())

    def keep(self, keys: set[str]) -> None:
        """Forget all others."""
        self._since = {key: since for key, since in self._since.items() if key in keys}

    def forget(self) -> None:
        """Begin anew: after a time in which nothing could be seen, nobody can say how long an absence has lasted."""
        self._since.clear()
