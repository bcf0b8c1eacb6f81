"""What is told to others when something happened to a review."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from neuroinspect.review.decision import Decision

NoticeEvent = Literal["opened", "decided", "edited"]
GIVEN_UP_AFTER: Final = timedelta(days=1)
_FIRST_WAIT: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell, written together with what happened.

    Attributes:
        key: one for each event, whoever sends it.
        request: id of the review.
        event: what happened.
        at: when.
        attempts: how often it was tried to tell it.
        decision: the answer that stood from then on.
        detail: of an edit: what came of it.
    """

    key: str
    request: str
    event: NoticeEvent
    at: datetime
    attempts: int
    decision: Decision | None
    detail: Mapping[str, Any] | None

    def is_due(self, now: datetime) -> bool:
        """Whether to try now: at once, and after a failure with a wait that doubles, so that two senders seldom meet."""
        return now >= self.at + _FIRST_WAIT * ((1 << min(self.attempts, 20)) - 1)

    def is_over(self, now: datetime) -> bool:
        """Whether it is too old to be tried again."""
        return now >= self.at + GIVEN_UP_AFTER


class NoticeBook(Protocol):
    """The notices that wait to be sent; every method raises OutsideError where the store cannot be used."""

    def unsent(self) -> list[Notice]:
        """Those that nobody has sent, the oldest first."""
        ...

    def claim(self, notice: Notice) -> bool:
        """Count one more attempt; False where another sender has begun one since the notice was read, or has sent it."""
        ...

    def mark_sent(self, key: str) -> None:
        """Note that it was taken."""
        ...

    def drop(self, key: str) -> None:
        """Give it up."""
        ...
