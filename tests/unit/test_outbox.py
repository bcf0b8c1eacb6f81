"""The outbox over stand-ins: what it does in which order, and that it may be cut off anywhere."""

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.artifacts import RunFolder, write_json
from neuroinspect.errors import OutsideError
from neuroinspect.outbox import FAILURES, LOSSES, Outbox, StartState, start_name
from neuroinspect.review import EditOrder

REQUEST = "a" * 64
DECISION = {"request": REQUEST, "verdict": "approved"}


class Cut(BaseException):
    """The process dies here."""


@dataclass
class Clock:
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Script:
    """Counts the moments before and after each call of an outbox on the world, and dies at some of them."""

    cuts: list[int] = field(default_factory=list)
    moments: int = 0
    calls: int = 0

    def pass_by(self) -> None:
        self.moments += 1
        if self.moments in self.cuts:
            raise Cut

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def one(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            self.pass_by()
            result = call(*args, **kwargs)
            self.pass_by()
            return result

        return one


@dataclass
class Book:
    """One order, kept as the review store keeps it."""

    run: Path
    script: Script = field(default_factory=Script)
    orders: dict[str, EditOrder] = field(default_factory=dict)
    edited: list[str] = field(default_factory=list)

    def order_(self, key: str = f"edit:{REQUEST}") -> None:
        self.orders = {
            key: EditOrder(
                key=key,
                request=REQUEST,
                run=self.run,
                params={},
                started=None,
                attempts=0,
                lost=0,
                problem=None,
                again_at=None,
                finished_at=None,
            )
        }

    @property
    def order(self) -> EditOrder:
        (order,) = self.orders.values()
        return order

    def change(self, key: str, **values: Any) -> None:
        self.orders[key] = replace(self.orders[key], **values)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return self.script.around(found) if name in _CALLS else found

    def open_orders(self) -> list[EditOrder]:
        return [order for order in self.orders.values() if order.finished_at is None]

    def edit_order(self, identifier: str) -> EditOrder | None:
        return next((order for order in self.orders.values() if order.request == identifier), None)

    def decision(self, identifier: str) -> dict[str, str]:
        return DECISION

    def count_attempt(self, key: str) -> None:
        self.change(key, attempts=self.orders[key].attempts + 1)

    def put_off(self, key: str, *, problem: str, again_at: datetime) -> None:
        self.change(key, problem=problem, again_at=again_at)

    def mark_started(self, key: str, started: str, *, lost: int) -> None:
        if self.orders[key].started is None and self.orders[key].lost == lost:
            self.change(key, started=started, problem=None, again_at=None)

    def give_up_start(self, key: str, started: str, *, problem: str, again_at: datetime | None) -> None:
        if self.orders[key].started == started:
            self.change(key, started=None, lost=self.orders[key].lost + 1, problem=problem, again_at=again_at)

    def finish(self, decision: Any, *, run: Path, outcome: str) -> None:
        if self.order.finished_at is None:
            self.change(self.order.key, finished_at=datetime.now(UTC))
            self.edited.append(outcome)


_CALLS = {
    "open_orders",
    "edit_order",
    "decision",
    "count_attempt",
    "put_off",
    "mark_started",
    "give_up_start",
    "finish",
}


@dataclass
class Starter:
    """Starts nothing, and tells of each start what the test says: the last of `states` for all that follow."""

    states: list[StartState] = field(default_factory=lambda: [StartState("done")])
    script: Script = field(default_factory=Script)
    runs: list[str] = field(default_factory=list)
    away: str | None = None

    def start(self, order: EditOrder) -> str:
        return self.script.around(self._start)(order)

    def state(self, order: EditOrder) -> StartState:
        return self.script.around(self._state)(order)

    def _start(self, order: EditOrder) -> str:
        if self.away is not None:
            raise OutsideError(self.away)
        name = start_name(order)
        if name not in self.runs:
            self.runs.append(name)
        return name

    def _state(self, order: EditOrder) -> StartState:
        assert order.started in self.runs
        return self.states[min(self.runs.index(order.started), len(self.states) - 1)]


@pytest.fixture
def book(tmp_path) -> Book:
    (tmp_path / "run").mkdir()
    made = Book(tmp_path / "run")
    made.order_()
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_order_is_started_in_one_round_and_closed_in_the_next(book):
    starter = Starter()
    outbox = Outbox(book, starter)
    outbox.run_once()
    assert (book.order.started, book.order.attempts) == (book.order.key, 1)
    outbox.run_once()
    assert book.order.finished_at is not None
    outbox.run_once()
    assert starter.runs == [book.order.key]


def test_an_edit_that_runs_is_left_alone(book):
    starter = Starter([StartState("running")])
    outbox = Outbox(book, starter)
    for _ in range(5):
        outbox.run_once()
    assert starter.runs == [book.order.key]
    assert book.order.finished_at is None


def test_an_order_that_the_edit_itself_closed_is_not_looked_at_again(book):
    starter = Starter()
    outbox = Outbox(book, starter)
    outbox.run_once()
    book.finish(DECISION, run=book.run, outcome="closed by the edit")
    before = starter.script.calls
    outbox.run_once()
    assert starter.script.calls == before
    assert book.edited == ["closed by the edit"]


def test_the_outcome_is_the_verdict_of_the_run(book):
    write_json(book.run / "evaluate" / "metrics.json", {"verdict": {"sentence": "It helped."}})
    outbox = Outbox(book, Starter())
    outbox.run_once()
    outbox.run_once()
    assert book.edited == ["It helped."]


def test_a_decision_taken_again_meanwhile_is_not_closed_by_the_edit_of_the_one_before(book):
    outbox = Outbox(book, Starter())
    outbox.run_once()
    stale = book.open_orders()
    book.order_(f"edit:{REQUEST}:1")
    book.open_orders = lambda: stale  # type: ignore[method-assign]
    outbox.run_once()
    assert book.order.finished_at is None
    assert book.edited == []


@pytest.mark.parametrize("kind", ["lost", "failed"])
def test_what_is_gone_or_failed_is_started_again_under_another_name_but_not_at_once(book, clock, kind):
    starter = Starter([StartState(kind, "no luck"), StartState("done")])
    outbox = Outbox(book, starter, clock=clock)
    outbox.run_once()
    outbox.run_once()
    assert (book.order.started, book.order.problem, book.order.lost) == (None, "no luck", 1)
    assert book.order.again_at is not None
    outbox.run_once()
    assert len(starter.runs) == 1
    clock.wait(60)
    outbox.run_once()
    assert starter.runs == [f"edit:{REQUEST}", f"edit:{REQUEST}:lost1"]
    outbox.run_once()
    assert book.order.finished_at is not None


@pytest.mark.parametrize(("kind", "starts"), [("failed", FAILURES), ("lost", LOSSES), ("cancelled", 1)])
def test_after_too_many_an_order_is_left_to_a_person(book, clock, kind, starts):
    starter = Starter([StartState(kind, "no luck")])
    outbox = Outbox(book, starter, clock=clock)
    for _ in range(40):
        outbox.run_once()
        clock.wait(3600)
    assert len(starter.runs) == starts
    assert book.order.stopped
    assert book.order.problem == "no luck"


def test_what_nobody_takes_is_tried_again_less_and_less_often_and_said_once(book, clock, caplog):
    starter = Starter(away="the server is away")
    outbox = Outbox(book, starter, clock=clock)
    for _ in range(600):
        outbox.run_once()
        clock.wait(1)
    assert 15 < book.order.attempts < 40
    assert book.order.problem == "the server is away"
    assert caplog.text.count("the server is away") == 1
    starter.away = None
    clock.wait(30)
    outbox.run_once()
    assert (book.order.started, book.order.problem) == (book.order.key, None)


def test_a_run_folder_in_which_another_process_works_is_waited_for(book, clock):
    starter = Starter()
    outbox = Outbox(book, starter, clock=clock)
    with RunFolder(book.run).lock():
        outbox.run_once()
    assert starter.runs == []
    assert "another process works in" in (book.order.problem or "")
    clock.wait(30)
    outbox.run_once()
    assert starter.runs == [book.order.key]


def test_one_order_that_cannot_be_told_keeps_no_other_from_being_started(book, caplog):
    class Broken(Starter):
        def _start(self, order: EditOrder) -> str:
            if order.key == "first":
                raise ZeroDivisionError
            return super()._start(order)

    first = replace(book.order, key="first")
    book.orders = {"first": first, **book.orders}
    starter = Broken()
    outbox = Outbox(book, starter)
    outbox.run_once()
    outbox.run_once()
    assert starter.runs == [f"edit:{REQUEST}"]
    assert caplog.text.count("an unexpected error") == 1


@given(
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    states=st.lists(st.sampled_from(["lost", "failed"]), max_size=2),
)
def test_a_process_that_dies_anywhere_leaves_nothing_lost_and_nothing_doubled(tmp_path_factory, cuts, states):
    run = tmp_path_factory.getbasetemp() / "any run"
    run.mkdir(exist_ok=True)
    script, clock = Script(cuts), Clock()
    book = Book(run, script)
    book.order_()
    starter = Starter([*(StartState(kind, "no luck") for kind in states), StartState("done")], script)  # type: ignore[arg-type]
    for _ in range(40):
        with contextlib.suppress(Cut):
            Outbox(book, starter, clock=clock).run_once()
        clock.wait(600)
    key = f"edit:{REQUEST}"
    assert starter.runs == [key, *(f"{key}:lost{number}" for number in range(1, len(states) + 1))]
    assert book.order.finished_at is not None
    assert len(book.edited) == 1


@given(steps=st.lists(st.booleans(), min_size=8, max_size=12), lost=st.booleans())
def test_two_outboxes_that_look_at_the_same_moment_start_one_edit(tmp_path_factory, steps, lost):
    """Each acts on what it saw a while ago: whose turn it is, is drawn."""
    run = tmp_path_factory.getbasetemp() / "shared run"
    run.mkdir(exist_ok=True)
    clock = Clock()
    book = Book(run)
    book.order_()
    starter = Starter([StartState("lost"), StartState("running")] if lost else [StartState("running")])
    seen = [book.open_orders(), book.open_orders()]

    class Late:
        """What one of the two sees of the book: as it was when its last turn ended."""

        def __init__(self, number: int) -> None:
            self.number = number

        def open_orders(self) -> list[EditOrder]:
            return seen[self.number]

        def __getattr__(self, name: str) -> Any:
            return getattr(book, name)

    for second in steps:
        Outbox(Late(int(second)), starter, clock=clock).run_once()  # type: ignore[arg-type]
        seen[int(second)] = book.open_orders()
        clock.wait(60)
    key = f"edit:{REQUEST}"
    assert starter.runs in ([key], [key, f"{key}:lost1"])
    assert book.order.lost == len(starter.runs) - 1 or book.order.started is None


def test_one_review_can_be_pushed(book):
    starter = Starter()
    outbox = Outbox(book, starter)
    pushed = outbox.push(REQUEST)
    assert pushed is not None
    assert pushed.started == book.order.key
    assert outbox.push("b" * 64) is None


def test_a_nudge_begins_a_round_at_once_and_stop_ends_it(book):
    looked = threading.Semaphore(0)
    book.orders = {}

    class Watched(Starter):
        def _start(self, order: EditOrder) -> str:
            started = super()._start(order)
            looked.release()
            return started

    outbox = Outbox(book, Watched(), every=3600)
    with outbox.in_background():
        book.order_()
        outbox.nudge()
        assert looked.acquire(timeout=10)
    names = [thread.name for thread in threading.enumerate()]
    assert "outbox" not in names


def test_a_store_that_cannot_be_used_is_said_once_and_asked_again(book, caplog):
    rounds = []

    def broken() -> list[EditOrder]:
        rounds.append(1)
        if len(rounds) == 3:
            outbox.stop()
        else:
            outbox.nudge()
        raise OutsideError("the store is away")

    book.open_orders = broken  # type: ignore[method-assign]
    outbox = Outbox(book, Starter(), every=3600)
    with caplog.at_level(logging.WARNING):
        outbox.run_forever()
    assert len(rounds) == 3
    assert caplog.text.count("the store is away") == 1
