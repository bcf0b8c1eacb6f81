"""How moments are written: always in UTC, in words that need no table of months."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, overload

_STEPS: Final = ((60, "minute", 60), (3600, "hour", 48), (86_400, "day", 60))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for <time>: for machines, in full, and as a distance from now."""

    iso: str
    full: str
    distance: str


@overload
def moment_of(when: datetime, *, now: datetime | None = None) -> Moment: ...
@overload
def moment_of(when: datetime | None, *, now: datetime | None = None) -> Moment | None: ...
def moment_of(when: datetime | None, *, now: datetime | None = None) -> Moment | None:
    """A time as it is shown; None where it is not known.

    Args:
        when: the time.
        now: what it is seen from; None: the clock.
    """
    if when is None:
        return None
    return Moment(iso(when), moment(when), distance(when, now=now or datetime.now(UTC)))


def moment(when: datetime) -> str:
    """`2026-11-22 14:51 UTC`."""
    return f"{_in_utc(when):%Y-%m-%d %H:%M} UTC"


def iso(when: datetime) -> str:
    """For the attribute `datetime` of <time>."""
    return _in_utc(when).isoformat(timespec="seconds")


def distance(when: datetime, *, now: datetime) -> str:
    """`3 hours ago`, `in 2 days`; the day itself where it is far."""
    seconds = (_in_utc(when) - _in_utc(now)).total_seconds()
    for size, unit, most in _STEPS:
        count = int(abs(seconds) // size)
        if count < most:
            if count == 0 and unit == "minute":
                return "just now" if seconds <= 0 else "in a moment"
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"{words} ago" if seconds <= 0 else f"in {words}"
    return f"{_in_utc(when):%Y-%m-%d}"


def _in_utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
