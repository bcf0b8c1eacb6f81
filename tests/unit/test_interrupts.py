import signal
import threading
from collections.abc import Iterator

import pytest

from neuroinspect.cli.review.interrupts import Interrupts


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Also where the shell that started the tests ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def done_in_a_step_with(count: int) -> list[str]:
    """What a step does that so many interrupts come into; each time it ends with one."""
    done: list[str] = []
    interrupts = Interrupts()

    def work() -> None:
        with interrupts.held(), interrupts.step():
            for _ in range(count):
                signal.raise_signal(signal.SIGINT)
            done.append("step")

    with pytest.raises(KeyboardInterrupt):
        work()
    return done


def test_an_interrupt_lets_a_step_end():
    assert done_in_a_step_with(1) == ["step"]


def test_a_second_one_ends_the_step_at_once():
    assert done_in_a_step_with(2) == []


def test_between_steps_it_comes_at_once():
    interrupts = Interrupts()
    with interrupts.held():
        with interrupts.step():
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_afterwards_interrupts_are_what_they_were():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts().held():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_where_they_are_ignored_they_stay_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts().held():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_changes_nothing():
    seen = []

    def hold() -> None:
        with Interrupts().held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
