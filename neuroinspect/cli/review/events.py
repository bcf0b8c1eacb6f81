"""What happened to the reviews between two looks at the store."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from neuroinspect.cli.review.standing import told
from neuroinspect.review import EditOrder, ReviewBook, StoredReview, TrailEntry

_NOT_TOLD: Final = {"judged", "undone"}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        at: when; None where only the present state is known.
        what: "waiting", "opened", "decided" ..., "edit started", "edit waits" or "edit stopped".
        request: id of the review.
        class_name: what it is about.
        told: in words.
    """

    at: datetime | None
    what: str
    request: str
    class_name: str
    told: str

    def record(self) -> dict[str, Any]:
        """As `--json` prints it."""
        at = None if self.at is None else self.at.isoformat()
        return {"at": at, "event": self.what, "request": self.request, "class": self.class_name, "told": self.told}


class Watched:
    """A review store that is looked at again and again; each look tells what came since the one before.

    Args:
        book: the review store.
    """

    def __init__(self, book: ReviewBook) -> None:
        self._book = book
        self._entries: dict[str, int] = {}
        self._stamps: dict[str, object] = {}
        self._orders: dict[str, object] = {}
        self._first = True

    def look(self) -> list[Event]:
        """What happened since; at the first look, what waits.

        Raises:
            OutsideError: the store cannot be used.
        """
        reviews = [*self._book.pending(), *self._book.closed()]
        known = {review.request.id: review for review in reviews}
        orders = {order.request: order for order in self._book.open_orders()}
        found: list[Event] = []
        for review in reviews:
            found += self._of_trail(review, open_order=review.request.id in orders)
        for request, order in orders.items():
            found += self._of_order(order, known[request]) if request in known else []
        self._orders = {request: _stand(order) for request, order in orders.items()}
        self._first = False
        return found

    def _of_trail(self, review: StoredReview, *, open_order: bool) -> Iterator[Event]:
        request = review.request.id
        # The trail grows only where one of these changes: not every trail is read in every round.
        stamp = (review.status, review.decided_at, review.run.asked_at, review.expires_at, open_order)
        if self._stamps.get(request) == stamp:
            return
        self._stamps[request] = stamp
        entries = self._book.trail(request)
        seen = len(entries) if self._first else self._entries.get(request, 0)
        self._entries[request] = len(entries)
        if self._first and review.status == "pending":
            yield Event(None, "waiting", request, review.request.class_name, _question(review))
        for entry in entries[seen:]:
            if entry.what not in _NOT_TOLD:
                yield Event(entry.at, entry.what, request, review.request.class_name, _told(entry, review))

    def _of_order(self, order: EditOrder, review: StoredReview) -> Iterator[Event]:
        if self._orders.get(order.request) == _stand(order):
            return
        name, request = review.request.class_name, order.request
        if order.started is not None:
            yield Event(None, "edit started", request, name, f"as {order.started}, in {order.run}")
        elif order.stopped:
            yield Event(
                None, "edit stopped", request, name, f"{order.problem}; `neuroinspect review retry` starts it again"
            )
        elif order.problem is not None:
            yield Event(None, "edit waits", request, name, order.problem)


def _stand(order: EditOrder) -> tuple[object, ...]:
    return order.key, order.started, order.stopped, order.problem


def _told(entry: TrailEntry, review: StoredReview) -> str:
    if entry.what == "edited":
        return str((entry.detail or {}).get("outcome", "the edit is done"))
    return _question(review) if entry.decision is None else told(entry.decision)


def _question(review: StoredReview) -> str:
    return f"{review.judged} of {len(review.request.candidates)} candidates judged"
