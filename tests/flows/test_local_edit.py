"""The edit of a decision without a worker: in a process of this machine, which outlives whoever started it."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from neuroinspect.adapters.local_edits import LocalEdits
from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import run_chain
from neuroinspect.machinery import Machinery
from neuroinspect.outbox import Outbox, verdict_of
from neuroinspect.ports import Tools
from neuroinspect.review import decide
from neuroinspect.settings import load_params
from neuroinspect.stages.review import read_request
from tests.flows import served
from tests.flows.killable import dying, eventually
from tests.tiny import make_project

AFTER_REVIEW = ("edit", "evaluate", "report")


def start_and_die(machinery: Machinery) -> None:
    """A page that is killed as soon as it has started an edit."""
    Outbox(SqlReviews(machinery.review_store), LocalEdits(machinery)).run_once()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def decided(tmp_path, monkeypatch, prefect_server) -> tuple[RunFolder, Machinery, Path]:
    """A run whose review is rejected, which is the quickest of edits, and the file that says where processes die."""
    params = load_params(make_project(tmp_path / "project"))
    run, machinery = RunFolder(params.runs / "run"), Machinery(state=tmp_path / "project" / ".neuroinspect")
    store = SqlReviews(machinery.review_store)
    assert run_chain(run, params, tools=Tools(reviews=store)).status == "waiting"
    request = read_request(run)
    store.decide(decide(request, verdict="rejected", neurons={}, note="not sure", by="ada").record())
    for name, value in dying(tmp_path / "die_in", params.runs.parent).items():
        monkeypatch.setenv(name, value)
    return run, machinery, tmp_path / "die_in"


def test_an_edit_outlives_the_page_and_is_started_again_when_it_is_killed_itself(decided):
    run, machinery, die_in = decided
    die_in.write_text("evaluate")
    page = multiprocessing.get_context("fork").Process(target=start_and_die, args=(machinery,))
    page.start()
    page.join()
    assert page.exitcode == -signal.SIGKILL
    store = SqlReviews(machinery.review_store)
    identifier = read_request(run).id
    first = store.edit_order(identifier)
    assert first is not None
    assert (first.started or "").startswith("local:")
    eventually(lambda: not die_in.exists())

    outbox = Outbox(store, LocalEdits(machinery), every=0.2)
    with outbox.in_background():
        eventually(lambda: (store.edit_order(identifier) or first).finished_at)
    order = store.edit_order(identifier)
    assert order is not None
    assert order.lost == 1
    assert [entry.what for entry in store.trail(identifier)] == ["opened", "decided", "edited"]
    detail = store.trail(identifier)[-1].detail
    assert detail["run"] == str(run.root)
    assert detail["outcome"].startswith(verdict_of(run))
    assert served.flow_runs(run) == {
        "edit scene_net run (fish)": ["Running", "Completed"]
    }  # nobody told Prefect of the first
    said = "".join(path.read_text() for path in (machinery.state / "edits").glob("*.log"))
    assert {stage: said.count(f"{stage}: computed") for stage in AFTER_REVIEW} == dict.fromkeys(AFTER_REVIEW, 1)
    eventually(lambda: run.is_held() is False)
