"""Slows down whoever tries tokens: a few failures, then a wait."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Network, ip_address
from threading import Lock
from time import monotonic

_HOUSEHOLD = 64  # bits of an IPv6 address that one customer of a network shares


class LoginAttempts:
    """Counts failed logins of an address; what it remembers is bounded.

    Args:
        most: failures within the window after which an address has to wait.
        window: seconds.
        addresses: how many are remembered; the one that failed longest ago is forgotten first.
        clock: seconds that only rise.
    """

    def __init__(
        self, *, most: int = 10, window: float = 300, addresses: int = 4096, clock: Callable[[], float] = monotonic
    ) -> None:
        self._most = most
        self._window = window
        self._addresses = addresses
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, address: str) -> float:
        """Seconds until an address may try again; 0 where it may now."""
        with self._lock:
            failures = self._recent(_household(address))
            return 0.0 if len(failures) < self._most else max(0.0, failures[0] + self._window - self._clock())

    def failed(self, address: str) -> None:
        """Note a failure."""
        with self._lock:
            household = _household(address)
            self._failures[household] = [*self._recent(household), self._clock()][-self._most :]
            self._failures.move_to_end(household)
            while len(self._failures) > self._addresses:
                self._failures.popitem(last=False)

    def _recent(self, household: str) -> list[float]:
        since = self._clock() - self._window
        return [when for when in self._failures.get(household, ()) if when > since]


def _household(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(IPv6Network((int(parsed), _HOUSEHOLD), strict=False)) if parsed.version == 6 else address
