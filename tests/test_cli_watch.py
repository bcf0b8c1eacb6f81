"""`neuroinspect review watch` and `retry`: what is decided is carried out, and each thing that happens is told once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from neuroinspect import assembly
from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.cli.review.events import Watched
from neuroinspect.cli.review.serve import _serve as serve
from neuroinspect.cli.review.watch import log as watch_log
from neuroinspect.errors import OutsideError
from neuroinspect.machinery import Machinery
from neuroinspect.outbox import FAILURES, Outbox, StartState
from neuroinspect.review import EditOrder
from neuroinspect.rounds import Rounds
from neuroinspect.stages.review import read_request
from neuroinspect.web import serving
from tests.review_project import Project
from tests.web.safety import page_settings


class Starter:
    """Starts nothing, and says of it what a test wants."""

    def __init__(self) -> None:
        self.state_now = StartState("running")
        self.started: list[str] = []
        self.away = False

    def start(self, order: EditOrder) -> str:
        if self.away:
            raise OutsideError("the server is away")
        self.started.append(order.key)
        return f"run {len(self.started)}"

    def state(self, order: EditOrder) -> StartState:
        return self.state_now


@pytest.fixture
def starter(monkeypatch) -> Starter:
    made = Starter()
    monkeypatch.setattr(assembly, "outbox", lambda machinery, store: Outbox(store, made))
    return made


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("NEUROINSPECT_PREFECT_URL", raising=False)
    made = Project(tmp_path / "project")
    made.printed("show")
    return made


def events(project: Project, *words: object) -> list[tuple[str, str]]:
    result = project.call("watch", "--json", *words)
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return [(line["event"], line["told"]) for line in lines]


def test_watch_and_page_let_the_aliases_of_promotions_follow_their_trail(project, starter, monkeypatch):
    followed = Event()
    rounds = Rounds("aliases", followed.set, every=60)
    monkeypatch.setattr(assembly, "alias_rounds", lambda machinery: rounds)
    events(project, "--once")
    assert followed.is_set()

    followed.clear()
    Served.until = followed
    monkeypatch.setattr(serving, "PageServer", Served)
    serve(Machinery(state=project.run.root / "state"), page_settings(), edits=True, announce=str)
    assert Served.ended


class Served:
    """A page that is served until something happens."""

    address, ended = "http://127.0.0.1", False
    until: Event

    def __init__(self, *_: object) -> None: ...

    def run(self) -> None:
        Served.ended = Served.until.wait(60)


def test_what_waits_is_said_and_what_is_decided_is_started(project, starter):
    assert events(project, "--once") == [("waiting", "0 of 3 candidates judged")]
    project.printed("decide", "--neurons", "3", "--by", "ada")
    ((what, told),) = events(project, "--once")
    assert (what, told) == ("edit started", f"as run 1, in {project.run.root}")
    assert len(starter.started) == 1
    events(project, "--once")
    assert len(starter.started) == 1


def test_each_step_is_told_once_as_it_happens(project):
    store, request = project.store, read_request(project.run)
    watched = Watched(store)
    assert [event.what for event in watched.look()] == ["waiting"]
    assert watched.look() == []
    decision = project.approval("ada")
    store.decide(decision.record())
    ((event,), order) = watched.look(), store.edit_order(request.id)
    assert (event.what, event.told, event.class_name) == ("decided", "approved by ada: neurons 3", "fish")
    assert order is not None
    store.mark_started(order.key, "run 1", lost=order.lost)
    assert [(event.what, event.told) for event in watched.look()] == [
        ("edit started", f"as run 1, in {project.run.root}")
    ]
    store.finish(decision.record(), run=project.run.root, outcome="the edit helps")
    assert [(event.what, event.told) for event in watched.look()] == [("edited", "the edit helps")]
    assert watched.look() == []


def test_a_verdict_on_a_neuron_is_no_event(project):
    watched = Watched(project.store)
    watched.look()
    project.printed("judge", 3, "core", "--by", "ada")
    assert watched.look() == []


def test_an_order_that_nobody_takes_says_why(project, starter):
    starter.away = True
    project.printed("decide", "--neurons", "3", "--by", "ada")
    assert events(project, "--once") == [("edit waits", "the server is away")]


def test_a_stopped_edit_is_told_with_the_way_out_and_starts_again(project, starter):
    assert "nothing of review" in project.call("retry").stderr
    project.printed("decide", "--neurons", "3", "--by", "ada")
    events(project, "--once")
    stop(project.store, read_request(project.run).id)
    ((what, told),) = events(project, "--once")
    assert what == "edit stopped"
    assert told == "it broke; `neuroinspect review retry` starts it again"
    project.printed("retry", "--id", read_request(project.run).id[:8])
    assert events(project, "--once")[-1][0] == "edit started"
    assert len(starter.started) == 2


def stop(store: SqlReviews, identifier: str) -> None:
    """Give up a start for the last time."""
    order = store.edit_order(identifier)
    assert order is not None
    assert order.started is not None
    assert FAILURES > 0
    store.give_up_start(order.key, order.started, problem="it broke", again_at=None)


class InterruptedLoopError(Exception):
    """The end of a test of a loop."""


def test_a_store_that_is_away_is_said_once_and_asked_again(project, starter, monkeypatch):
    looks, said = 0, []

    def another_look(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            raise InterruptedLoopError

    def away(self: Outbox) -> None:
        raise OutsideError("the review store is away")

    monkeypatch.setattr(watch_log, "warning", lambda message, *args: said.append(message % args))
    # The module's own name: time.sleep itself belongs to the threads of other tests as well.
    monkeypatch.setattr(sys.modules["neuroinspect.cli.review.watch"], "time", SimpleNamespace(sleep=another_look))
    monkeypatch.setattr(Outbox, "run_once", away)
    assert isinstance(project.call("watch").exception, InterruptedLoopError)
    assert said == ["the review store is away; it is tried again"]
    assert project.call("watch", "--once").exit_code == 1


def test_an_interrupt_ends_it_cleanly(project):
    words = [sys.executable, "-m", "neuroinspect", "review", "watch", "--params", str(project.params_file)]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        cwd=project.run.root,
        preexec_fn=can_be_interrupted,
    )
    try:
        assert process.stdout is not None
        assert "waiting" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, said) == (130, "stopped; the same command goes on where it stopped\n")


def can_be_interrupted() -> None:
    """A shell lets what it starts in the background ignore interrupts, and so do all children of that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
