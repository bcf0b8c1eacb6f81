"""Drawings on request: one after the other, each once, kept over a restart, and never too many."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from neuroinspect.errors import ModelError
from neuroinspect.illusion import Objective
from neuroinspect.web.drawing import MOST_WAITING, DrawingRoom
from tests.web.answering import Reviewer
from tests.web.reviews import MadeReview, made_review

FV = {"neuron": 2, "kind": "fv"}


class Pencil:
    """Draws a grey square in the place of an illusion, once it may."""

    def __init__(self) -> None:
        self.may_draw = Event()
        self.may_draw.set()
        self.drawn: list[tuple[int, str, Objective]] = []

    def __call__(
        self, run: Any, params: Any, neuron: int, *, class_name: str, objective: Objective, out: Path, **_: Any
    ):
        assert self.may_draw.wait(20)
        if neuron == 5:
            raise ModelError("there is no neuron 5")
        if neuron == 7:
            raise ZeroDivisionError("inner secret")
        self.drawn.append((neuron, class_name, objective))
        out.parent.mkdir(parents=True, exist_ok=True)
        for path in (out, out.with_name(f"{out.stem}.mask.png")):
            Image.new("RGB", (4, 4), (len(self.drawn), 0, 0)).save(path)
        return SimpleNamespace(activation=2.0, real_p95=1.5)


@pytest.fixture
def pencil() -> Pencil:
    return Pencil()


def reviewer_of(made: MadeReview, pencil: Pencil) -> Reviewer:
    reviewer = Reviewer(made)
    reviewer.app.state.site = replace(reviewer.app.state.site, drawings=DrawingRoom(pencil))
    return reviewer


@pytest.fixture
def reviewer(made: MadeReview, pencil: Pencil):
    at_page = reviewer_of(made, pencil)
    yield at_page
    pencil.may_draw.set()
    at_page.app.state.site.close()


def until(reviewer: Reviewer, job: str, done: Callable[[dict], bool]) -> dict:
    deadline = time.monotonic() + 20
    while not done(found := reviewer.api(f"drawings/{job}").json()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def asked(reviewer: Reviewer, **wish: Any) -> dict:
    answer = reviewer.api("drawings", "POST", **wish)
    assert answer.status_code == 200, answer.text
    return answer.json()


def finished(found: dict) -> bool:
    return found["state"] in {"done", "failed"}


def test_a_wish_is_drawn_and_its_pictures_are_served(reviewer, pencil):
    job = asked(reviewer, **FV)["job"]
    found = until(reviewer, job, finished)
    assert (found["state"], found["activation"], found["reached"]) == ("done", 2.0, True)
    for address in (found["picture"], found["mask"]):
        answer = reviewer.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert "immutable" in answer.headers["cache-control"]
    assert pencil.drawn == [(2, "boat", Objective.FEATURE_VISUALIZATION)]


def test_the_same_wish_is_the_same_drawing(reviewer, pencil):
    pencil.may_draw.clear()
    jobs = {asked(reviewer, neuron=2, kind="class", class_name="car")["job"] for _ in range(3)}
    pencil.may_draw.set()
    (job,) = jobs
    until(reviewer, job, finished)
    assert asked(reviewer, neuron=2, kind="class", class_name="car")["state"] == "done"
    assert pencil.drawn == [(2, "car", Objective.ILLUSION)]


def test_drawings_wait_for_each_other(reviewer, pencil):
    pencil.may_draw.clear()
    first, second = (asked(reviewer, neuron=neuron, kind="fv")["job"] for neuron in (2, 3))
    assert until(reviewer, first, lambda found: found["state"] == "drawing")["seconds"] >= 0
    waiting = reviewer.api(f"drawings/{second}").json()
    assert (waiting["state"], waiting["ahead"]) == ("waiting", 1)
    pencil.may_draw.set()
    assert until(reviewer, second, finished)["state"] == "done"


def test_a_finished_drawing_outlives_the_page(reviewer, made, pencil):
    job = asked(reviewer, **FV)["job"]
    until(reviewer, job, finished)
    after = reviewer_of(made, pencil)
    assert after.api(f"drawings/{job}").json()["state"] == "done"
    assert asked(after, **FV)["state"] == "done"
    assert len(pencil.drawn) == 1


def test_no_stage_folder_is_touched(reviewer, made):
    before = {path for path in made.run.root.rglob("*") if path.is_file()}
    until(reviewer, asked(reviewer, **FV)["job"], finished)
    assert {path for path in made.run.root.rglob("*") if path.is_file()} == before
    assert len(list((made.params.runs.parent / "cache" / "drawings").iterdir())) == 3


@pytest.mark.parametrize(("neuron", "told"), [(5, "there is no neuron 5"), (7, "could not be drawn")])
def test_a_failure_is_told_and_may_be_tried_again(reviewer, neuron, told):
    job = asked(reviewer, neuron=neuron, kind="fv")["job"]
    found = until(reviewer, job, finished)
    assert (found["state"], told in found["problem"], "secret" in found["problem"]) == ("failed", True, False)
    assert asked(reviewer, neuron=neuron, kind="fv")["state"] in {"waiting", "drawing", "failed"}


def test_too_many_wishes_are_refused_until_some_are_done(tmp_path, pencil):
    made = made_review(tmp_path / "many", candidates=MOST_WAITING + 4)
    reviewer = reviewer_of(made, pencil)
    pencil.may_draw.clear()
    jobs = [asked(reviewer, neuron=neuron, kind="fv")["job"] for neuron in made.neurons[:MOST_WAITING]]
    last = {"neuron": made.neurons[MOST_WAITING], "kind": "fv"}
    refused = reviewer.api("drawings", "POST", **last)
    assert (refused.status_code, refused.json()["kind"]) == (429, "BusyError")
    pencil.may_draw.set()
    until(reviewer, jobs[-1], finished)
    assert asked(reviewer, **last)["state"] != "absent"
    reviewer.app.state.site.close()


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"neuron": 319, "kind": "fv"}, 422),
        ({"neuron": 2, "kind": "class", "class_name": "../../etc"}, 422),
        ({"neuron": 2, "kind": "photo"}, 422),
        ({"neuron": -1, "kind": "fv"}, 422),
        ({"neuron": 2, "kind": "fv", "out": "/tmp/x.png"}, 422),
    ],
)
def test_a_wrong_wish_is_refused(reviewer, pencil, wish, status):
    assert reviewer.api("drawings", "POST", **wish).status_code == status
    assert pencil.drawn == []


def test_a_drawing_of_another_run_is_not_shown(reviewer, tmp_path, pencil):
    other = made_review(tmp_path / "other", candidates=6)
    job = asked(reviewer, **FV)["job"]
    until(reviewer, job, finished)
    (tmp_path / "other" / "run" / "visualize" / "stage.json").unlink()
    assert reviewer_of(other, pencil).api(f"drawings/{job}").status_code == 404
    assert reviewer.api(f"drawings/{'0' * 64}").status_code == 404


def test_what_can_be_drawn_is_told_with_how_far_it_is(reviewer, made):
    until(reviewer, asked(reviewer, **FV)["job"], finished)
    found = reviewer.api("drawings?neuron=2").json()["drawings"]
    assert [(one["kind"], one["state"]) for one in found[:2]] == [("fv", "done"), ("class", "absent")]
    classes = [one["class_name"] for one in found if one["kind"] == "class"]
    assert set(classes) == {"car", "tree", "house", "cup"}
    assert reviewer.api("drawings?neuron=319").status_code == 422


def test_a_damaged_record_is_drawn_again(reviewer, made, pencil):
    job = asked(reviewer, **FV)["job"]
    until(reviewer, job, finished)
    record = made.params.runs.parent / "cache" / "drawings" / f"{job}.json"
    record.write_text("{")
    assert reviewer.api(f"drawings/{job}").status_code in {200, 404}
    asked(reviewer, **FV)
    assert until(reviewer, job, finished)["state"] == "done"
    assert len(pencil.drawn) == 2
