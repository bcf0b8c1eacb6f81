"""supervisord and the leashes, with small programs in place of servers: nothing is lost from sight, and nothing leaks."""

import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from neuroinspect.errors import OutsideError
from neuroinspect.stack import marks
from neuroinspect.stack.configuration import read_programs, write_configuration
from neuroinspect.stack.health import check_health, wait_until_healthy
from neuroinspect.stack.place import Place
from neuroinspect.stack.programs import Program
from neuroinspect.stack.supervision import Supervisor

ROOT = Path(__file__).parents[3]
SECONDS = 60
SLEEP = "import time; time.sleep(600)"
# A grandchild in a session of its own, as Prefect starts flow runs; its process id is what the program says.
PARENT = (
    "import subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)\n"
)


def wait(until: Callable[[], bool], told: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + SECONDS
    while not until():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


def program(code: str, name: str = "prefect", **values: object) -> Program:
    return Program(name, (sys.executable, "-c", code), **values)  # type: ignore[arg-type]


class Small:
    """A stack of small programs."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.supervisor = Supervisor(place)

    def start(self, *programs: Program, **environment: str) -> None:
        self.place.make()
        write_configuration(self.place, programs, {})
        self.supervisor.start({**os.environ, "PYTHONPATH": str(ROOT), **environment})

    def state(self, name: str = "prefect") -> str:
        return next(one.state for one in self.supervisor.processes() if one.name == name)

    def pid(self, name: str = "prefect") -> int | None:
        return next(one.pid for one in self.supervisor.processes() if one.name == name)

    def log(self, name: str = "prefect") -> str:
        file = self.place.log_of(name)
        return file.read_text() if file.exists() else ""


@pytest.fixture
def small(tmp_path) -> Iterator[Small]:
    # A name that would break a configuration file it stood in.
    stack = Small(Place(tmp_path / 'we ird #;%x "ü' / "state", tmp_path))
    yield stack
    stack.supervisor.stop()


def grandchild(small: Small) -> int:
    wait(lambda: small.log().strip() != "")
    return int(small.log().split()[-1])


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_program_runs_below_a_folder_of_any_name_and_ends_with_all_it_started(small):
    assert small.supervisor.answers() is False
    small.start(program(PARENT), program(SLEEP, "worker-0"))
    assert small.supervisor.answers() is True
    started = grandchild(small)
    assert started in small.supervisor.pids()["prefect"]
    assert small.state("worker-0") == "STOPPED"
    small.supervisor.start_program("worker-0")
    wait(lambda: small.pid("worker-0") is not None)
    assert small.supervisor.stop() == 0  # nothing was left to be ended by force
    assert small.supervisor.pids() == {}
    assert gone(started)
    assert not small.place.socket.exists()


def test_a_killed_program_is_started_anew_and_what_it_had_started_is_ended(small):
    small.start(program(PARENT))
    started, before = grandchild(small), small.pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    wait(lambda: small.pid() not in {None, before})
    wait(lambda: gone(started))
    wait(lambda: grandchild(small) != started)


def test_a_program_whose_leash_is_killed_leaves_nothing_to_the_next_one(small):
    small.start(program(PARENT))
    started = grandchild(small)
    leash = small.supervisor.processes()[0].leash
    assert leash is not None
    os.kill(leash, signal.SIGKILL)
    wait(lambda: small.pid() is not None and gone(started))
    wait(lambda: len(small.supervisor.pids()["prefect"]) == 3, small.supervisor.pids)


def test_nothing_outlives_a_killed_supervisord(small):
    small.start(program(PARENT))
    grandchild(small)
    everything = [pid for some in small.supervisor.pids().values() for pid in some]
    os.kill(small.supervisor.pids()["supervisord"][0], signal.SIGKILL)
    wait(lambda: all(gone(pid) for pid in everything), small.supervisor.pids)
    assert small.supervisor.answers() is False
    small.start(program(SLEEP))
    assert small.supervisor.answers() is True


def test_files_are_closed_to_others_and_hold_no_password(small):
    told = "import os; print(os.environ.get('SECRET'), os.environ.get('OWN'), flush=True); " + SLEEP
    small.start(
        program(told),
        program(told, "mlflow", without=("SECRET",), environment={"OWN": "mine"}),
        SECRET="hush",
    )
    wait(lambda: "None mine" in small.log("mlflow") and "hush None" in small.log())
    files = [one for one in small.place.folder.iterdir() if one.is_file() and one.name != ".lock"]
    assert files
    assert not any("hush" in one.read_text() for one in files)
    for file in (small.place.configuration, small.place.programs):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    words = [psutil.Process(pid).cmdline() for some in small.supervisor.pids().values() for pid in some]
    assert not any("hush" in word for command in words for word in command)


def test_a_program_that_ends_at_once_is_named_with_the_end_of_its_log(small):
    small.start(program("raise SystemExit('the disk is full')"))
    with pytest.raises(OutsideError, match=r"prefect ended as soon as it was started(?s:.*)the disk is full"):
        wait_until_healthy(small.place, small.supervisor, ["prefect"], {"prefect": "http://127.0.0.1:9"}, SECONDS)


def test_a_program_that_does_not_answer_in_time_is_named_with_the_reason(small):
    small.start(program(SLEEP))
    wait(lambda: small.state() == "RUNNING")
    with pytest.raises(
        OutsideError, match=r"prefect is not ready after 0 s \(does not answer \(ConnectionRefusedError\)\)"
    ):
        wait_until_healthy(small.place, small.supervisor, ["prefect"], {"prefect": "http://127.0.0.1:9"}, 0)


def test_a_program_between_two_lives_is_not_healthy(small):
    small.start(program(SLEEP))
    wait(lambda: small.pid() is not None and small.state() == "RUNNING")
    (process,) = small.supervisor.processes()
    os.kill(process.leash, signal.SIGSTOP)  # it does not see that the program ends
    try:
        os.kill(small.pid(), signal.SIGKILL)
        wait(lambda: process.pid is None)
        health = check_health(process, {"prefect": "http://127.0.0.1:9"})
    finally:
        os.kill(process.leash, signal.SIGCONT)
    assert (health.healthy, health.problem) == (False, "has ended")


def test_a_supervisord_that_cannot_start_says_why(small):
    small.place.make()
    small.place.configuration.write_text("[supervisord]\nlogfile = /nowhere/there/log\n")
    with pytest.raises(OutsideError, match=r"supervisord does not start(?s:.*)/nowhere/there"):
        small.supervisor.start({**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_record_that_cannot_be_read_is_no_record(small):
    small.place.make()
    assert read_programs(small.place) is None
    small.place.programs.write_text("{")
    assert read_programs(small.place) is None


def test_a_worker_that_starts_ends_no_other_of_which_the_name_begins_alike(small):
    small.start(program(SLEEP, "worker-1"), program(SLEEP, "worker-10"))
    small.supervisor.start_program("worker-10")
    wait(lambda: small.pid("worker-10") is not None)
    tenth = small.pid("worker-10")
    small.supervisor.start_program("worker-1")
    wait(lambda: small.pid("worker-1") is not None)
    first = small.pid("worker-1")
    os.kill(first, signal.SIGKILL)
    wait(lambda: small.pid("worker-1") not in {first, None})
    assert small.pid("worker-10") == tenth


def test_processes_of_another_stack_are_not_ours(small):
    small.start(program(SLEEP))
    assert marks.marked("another/") == []
    assert marks.end_all("another/") == 0
    assert small.supervisor.answers() is True
