"""The outbox: brings every decision to its edit, once, whatever is killed on the way.

A decision and the order that follows it were written in one transaction. Each round looks at every order that is not finished and
takes one step with it, so a round that was cut off anywhere is made good by the next one, in this process or another:

    ordered --start--> started --the edit itself--> finished
       ^                  |
       +-- lost, failed --+     and, after too many of these, stopped until somebody says `retry`

Two outboxes at the same time start one edit: a starter answers a second call under the same name with the first start.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol

from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.errors import ArtifactError, NeuroInspectError, OutsideError
from neuroinspect.lost_runs import LOSSES
from neuroinspect.review import EditOrder, ReviewBook
from neuroinspect.rounds import Rounds

ROUND_SECONDS: Final = 2.0
FAILURES: Final = 3  # starts of one order after which a failure is the last; for a loss see LOSSES
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 30.0  # seconds until a start that nobody took is tried again
_AFTER_FAILURE: Final = 30.0  # seconds, doubled with every start that was given up
_AFTER_LOSS: Final = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartState:
    """What became of a start.

    Attributes:
        kind: "running" also while it waits for a worker; "lost": its process is gone; "cancelled": by a person.
        reason: in words, where it is lost, failed or cancelled.
    """

    kind: Literal["running", "done", "lost", "failed", "cancelled"]
    reason: str = ""


class EditStarter(Protocol):
    """Starts edits somewhere, and knows what became of them."""

    def start(self, order: EditOrder) -> str:
        """Start an order and return what it was started as; twice with the same key and `lost` gives the same.

        Raises:
            OutsideError: nothing can take it now; the message says why, for a person who waits for the edit.
        """
        ...

    def state(self, order: EditOrder) -> StartState:
        """What became of an order that is started.

        Raises:
            OutsideError: it cannot be told now.
        """
        ...


def start_name(order: EditOrder) -> str:
    """The name under which an order is started: another one after a start that was given up."""
    return f"{order.key}:lost{order.lost}" if order.lost else order.key


def _now() -> datetime:
    return datetime.now(UTC)


class Outbox:
    """Carries out what is ordered.

    Args:
        book: the review store, which holds the orders.
        starter: starts the edits.
        every: seconds between two rounds.
        clock: tells the time.
    """

    def __init__(
        self,
        book: ReviewBook,
        starter: EditStarter,
        *,
        every: float = ROUND_SECONDS,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._book = book
        self._starter = starter
        self._clock = clock
        self._said: dict[str, str] = {}
        self._rounds = Rounds("outbox", self.run_once, every=every)

    def run_once(self) -> None:
        """Take one step with every open order. What goes wrong with one is logged and keeps none of the others.

        Raises:
            OutsideError: the review store cannot be used.
        """
        for order in self._book.open_orders():
            with self._told(order.key):
                self._go_on(order)

    def push(self, identifier: str) -> EditOrder | None:
        """Take one step with the order of one review, now; how it stands then, or None where nothing is ordered.

        Raises:
            OutsideError: the review store cannot be used, or what was started cannot be asked.
        """
        order = self._book.edit_order(identifier)
        if order is not None and order.finished_at is None:
            self._go_on(order)
        return self._book.edit_order(identifier)

    def run_forever(self) -> None:
        """Make rounds until `stop` is called; what cannot be reached is said once and asked again."""
        self._rounds.run_forever()

    def nudge(self) -> None:
        """Let the next round begin at once, because something was decided."""
        self._rounds.nudge()

    def stop(self) -> None:
        """End `run_forever` after its round. What was started goes on."""
        self._rounds.stop()

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Make rounds in a thread while the context is open."""
        with self._rounds.in_background():
            yield

    def _go_on(self, order: EditOrder) -> None:
        if order.started is not None:
            self._look_after(order)
        elif not order.stopped and (order.again_at is None or order.again_at <= self._clock()):
            self._start(order)

    def _start(self, order: EditOrder) -> None:
        self._book.count_attempt(order.key)
        try:
            if RunFolder(order.run).is_held():
                raise OutsideError(f"another process works in {order.run}; the edit follows it")
            started = self._starter.start(order)
        except OutsideError as error:
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(order.attempts, 10))
            self._book.put_off(order.key, problem=str(error), again_at=self._clock() + timedelta(seconds=wait))
            self._say(order.key, f"the edit of review {order.request[:12]} cannot start yet: {error}")
            return
        self._book.mark_started(order.key, started, lost=order.lost)
        self._said.pop(order.key, None)
        log.info("the edit of review %s is started as %s", order.request[:12], started)

    def _look_after(self, order: EditOrder) -> None:
        state = self._starter.state(order)
        if state.kind == "done":
            self._finish(order)
        elif state.kind != "running":
            self._give_up(order, state)

    def _finish(self, order: EditOrder) -> None:
        """Close an order that the edit has not closed itself, because it works with another store or an older version."""
        decision = self._book.decision(order.request)
        standing = self._book.edit_order(order.request)
        if decision is None or standing is None or standing.key != order.key:
            return  # decided again since this round began
        self._book.finish(decision, run=order.run, outcome=verdict_of(RunFolder(order.run)) or "the edit is done")

    def _give_up(self, order: EditOrder, state: StartState) -> None:
        assert order.started is not None
        given_up = order.lost + 1
        last = state.kind == "cancelled" or given_up >= (LOSSES if state.kind == "lost" else FAILURES)
        wait = _AFTER_LOSS if state.kind == "lost" else _AFTER_FAILURE * 2 ** (given_up - 1)
        again_at = None if last else self._clock() + timedelta(seconds=wait)
        self._book.give_up_start(order.key, order.started, problem=state.reason, again_at=again_at)
        following = "it is not started again by itself" if last else f"it is started again in {wait:.0f} s"
        log.warning("the edit of review %s, %s: %s; %s", order.request[:12], state.kind, state.reason, following)

    @contextmanager
    def _told(self, about: str) -> Iterator[None]:
        try:
            yield
        except NeuroInspectError as error:
            self._say(about, str(error))
        except Exception:
            if self._said.get(about) != "unexpected":
                self._said[about] = "unexpected"
                log.exception("%s: an unexpected error; the next round tries again", about)

    def _say(self, about: str, message: str) -> None:
        """Log once what may come in every round."""
        if self._said.get(about) != message:
            self._said[about] = message
            log.warning("%s", message)


def verdict_of(run: RunFolder) -> str | None:
    """The sentence that a run came to; None before that, or where the folder cannot be read from here."""
    try:
        return str(read_json(run.stage("evaluate") / "metrics.json")["verdict"]["sentence"])
    except ArtifactError:
        return None
