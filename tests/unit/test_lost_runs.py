"""When a flow run is lost."""

import pytest

from neuroinspect.lost_runs import LAUNCH, LOSSES, Absences, next_step, wait_before

PATIENCE = 20.0


def step(standing, *, held=False, absent_for=PATIENCE, losses=0):
    return next_step(standing, held=held, absent_for=absent_for, losses=losses, patience=PATIENCE)


@pytest.mark.parametrize("standing", ["launching", "running", "cancelling", "crashed"])
@pytest.mark.parametrize("held", [True, None])
def test_a_run_whose_folder_is_held_or_cannot_be_seen_is_never_touched(standing, held):
    assert step(standing, held=held, absent_for=1e9, losses=LOSSES) == "wait"


@pytest.mark.parametrize(
    ("standing", "needed"), [("running", PATIENCE), ("cancelling", PATIENCE), ("launching", PATIENCE + LAUNCH)]
)
def test_an_absence_is_waited_for_and_longer_where_the_process_is_being_launched(standing, needed):
    assert step(standing, absent_for=needed - 0.1) == "wait"
    assert step(standing, absent_for=needed) != "wait"


def test_a_run_that_crashed_is_known_to_be_dead():
    assert step("crashed", absent_for=0) == "bring back"


def test_a_run_that_somebody_cancelled_is_not_begun_again():
    assert step("cancelling") == "call cancelled"


@pytest.mark.parametrize("standing", ["launching", "running", "crashed"])
def test_a_run_that_is_lost_again_and_again_is_given_up(standing):
    late = PATIENCE + LAUNCH
    assert step(standing, absent_for=late, losses=LOSSES - 1) == "bring back"
    assert step(standing, absent_for=late, losses=LOSSES) == "give up"


def test_a_run_goes_on_at_once_the_first_time_and_then_later_and_later():
    waits = [wait_before(losses) for losses in range(LOSSES)]
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert max(waits) == 60


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def absences(clock):
    return Absences(clock)


def test_an_absence_is_counted_from_the_first_look_that_finds_nobody(absences, clock):
    clock.now = 100
    assert absences.note("a", absent=True) == 0
    clock.now = 130
    assert absences.note("a", absent=True) == 30
    assert absences.note("b", absent=True) == 0


def test_whoever_is_seen_ends_the_absence(absences, clock):
    absences.note("a", absent=True)
    clock.now = 50
    assert absences.note("a", absent=False) == 0
    clock.now = 60
    assert absences.note("a", absent=True) == 0


def test_after_a_time_in_which_nothing_could_be_seen_an_absence_begins_anew(absences, clock):
    absences.note("a", absent=True)
    clock.now = 50
    absences.forget()
    assert absences.note("a", absent=True) == 0


def test_what_is_no_longer_looked_at_is_forgotten(absences, clock):
    absences.note("a", absent=True)
    absences.note("b", absent=True)
    clock.now = 50
    absences.keep({"b"})
    assert absences.note("a", absent=True) == 0
    assert absences.note("b", absent=True) == 50
