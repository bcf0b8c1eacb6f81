"""Edits in processes of their own, here ones that only wait until they are told how to end."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from neuroinspect.adapters.local_edits import LocalEdits
from neuroinspect.errors import OutsideError
from neuroinspect.machinery import Machinery
from neuroinspect.outbox import StartState
from neuroinspect.review import EditOrder

# Says who it is and what it was given, then ends as the file `end` beside its own log says.
EDIT = """
import json, os, pathlib, sys, time
given = json.load(sys.stdin)
request, _, end = sys.argv[1:]
folder = pathlib.Path(end).parent
(folder / f"{os.getpid()}.begun").write_text(json.dumps({"request": request, "machinery": given}))
while not (folder / "end").exists():
    time.sleep(0.01)
problem = (folder / "end").read_text() or None
pathlib.Path(end).write_text(json.dumps({"problem": problem}))
"""


def eventually(read: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not read():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def order_of(letter: str, folder: Path) -> EditOrder:
    return EditOrder(
        key=f"edit:{letter * 64}",
        request=letter * 64,
        run=folder / "run",
        params={},
        started=None,
        attempts=0,
        lost=0,
        problem=None,
        again_at=None,
        finished_at=None,
    )


def starter(folder: Path) -> LocalEdits:
    """A new one, as after a restart."""
    machinery = Machinery(state=folder, review_url="postgresql+psycopg://ada:secret@db/reviews")
    return LocalEdits(machinery, command=(sys.executable, "-c", EDIT))


@pytest.fixture
def edits(tmp_path) -> Iterator[LocalEdits]:
    yield starter(tmp_path)
    (tmp_path / "edits").mkdir(exist_ok=True)
    (tmp_path / "edits" / "end").touch()


def begun(folder: Path) -> list[Path]:
    return list((folder / "edits").glob("*.begun"))


def the_process(folder: Path) -> int:
    eventually(lambda: begun(folder))
    (one,) = begun(folder)
    return int(one.stem)


def test_an_order_gets_a_process_with_the_same_machinery_and_is_not_started_twice(edits, tmp_path):
    order = order_of("a", tmp_path)
    started = edits.start(order)
    pid = the_process(tmp_path)
    said = json.loads((tmp_path / "edits" / f"{pid}.begun").read_text())
    assert said["request"] == order.request
    assert said["machinery"]["review_url"] == "postgresql+psycopg://ada:secret@db/reviews"
    assert "secret" not in " ".join(psutil.Process(pid).cmdline())
    assert edits.start(order) == starter(tmp_path).start(order) == started
    assert [one.stem for one in begun(tmp_path)] == [str(pid)]


def test_an_edit_runs_until_it_says_how_it_ended(edits, tmp_path):
    order = order_of("a", tmp_path)
    order = replace(order, started=edits.start(order))
    the_process(tmp_path)
    assert edits.state(order) == starter(tmp_path).state(order) == StartState("running")
    (tmp_path / "edits" / "end").touch()
    eventually(lambda: edits.state(order).kind != "running")
    assert edits.state(order) == StartState("done")
    assert starter(tmp_path).start(order) == order.started  # it is not done again
    assert len(begun(tmp_path)) == 1


def test_an_edit_that_failed_says_why(edits, tmp_path):
    order = order_of("a", tmp_path)
    order = replace(order, started=edits.start(order))
    (tmp_path / "edits").mkdir(exist_ok=True)
    (tmp_path / "edits" / "end").write_text("the disk is full")
    eventually(lambda: edits.state(order).kind != "running")
    state = edits.state(order)
    assert state.kind == "failed"
    assert state.reason.startswith("the disk is full (see ")


def test_an_edit_that_was_killed_is_lost_and_can_be_started_again(edits, tmp_path):
    order = order_of("a", tmp_path)
    first = edits.start(order)
    os.kill(the_process(tmp_path), signal.SIGKILL)
    killed = replace(order, started=first)
    eventually(lambda: edits.state(killed).kind == "lost")
    again = edits.start(replace(order, lost=1))
    assert again != first
    eventually(lambda: len(begun(tmp_path)) == 2)
    assert edits.state(killed).kind == "lost"
    assert edits.state(replace(order, lost=1, started=again)).kind == "running"


def test_one_edit_at_a_time(edits, tmp_path):
    first, second = order_of("a", tmp_path), order_of("b", tmp_path)
    first = replace(first, started=edits.start(first))
    with pytest.raises(OutsideError, match="another edit is under way"):
        starter(tmp_path).start(second)
    (tmp_path / "edits" / "end").touch()
    eventually(lambda: edits.state(first).kind == "done")
    assert edits.start(second) != first.started


def test_the_process_outlives_whoever_started_it_and_does_not_get_its_signals(edits, tmp_path):
    edits.start(order_of("a", tmp_path))
    assert os.getsid(the_process(tmp_path)) != os.getsid(0)


def test_what_runs_elsewhere_is_left_alone(edits, tmp_path):
    order = order_of("a", tmp_path)
    with pytest.raises(OutsideError, match="NEUROINSPECT_PREFECT_URL"):
        edits.state(replace(order, started="2a2b1a52-5f6a-4a5e-9a4e-0d3b8a0c2f11"))
    with pytest.raises(OutsideError, match="another state folder"):
        edits.state(replace(order, started="local:0123456789abcdef:edit-x"))


def test_a_start_is_known_again_on_a_machine_of_another_name(edits, tmp_path, monkeypatch):
    order = order_of("a", tmp_path)
    order = replace(order, started=edits.start(order))
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert starter(tmp_path).state(order) == StartState("running")
    os.kill(the_process(tmp_path), signal.SIGKILL)
    eventually(lambda: starter(tmp_path).state(order).kind == "lost")


def test_a_process_that_cannot_be_started_is_named(tmp_path):
    broken = LocalEdits(Machinery(state=tmp_path), command=("/nowhere/python",))
    with pytest.raises(OutsideError, match="no edit can be started below"):
        broken.start(order_of("a", tmp_path))
