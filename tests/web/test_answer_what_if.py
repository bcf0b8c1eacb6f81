"""What-if on the page: one question at a time, the newest wins, refusals are told, and desks are few."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from neuroinspect.artifacts import read_table, write_bytes, write_table
from neuroinspect.errors import EvidenceError
from neuroinspect.stages.what_if import WhatIf, WhatIfRow
from neuroinspect.web.routes import what_if as route
from neuroinspect.web.what_if_answer import answer_in_words
from neuroinspect.web.what_ifs import Question, WhatIfBench
from tests.web.answering import Reviewer
from tests.web.reviews import MadeReview, made_review
from tests.web.served import until


def row(name: Any, auroc: float | None, **ends: float) -> WhatIfRow:
    low, high = ({"class_auroc": ends[end]} if end in ends else None for end in ("low", "high"))
    return WhatIfRow(name, name, 0.8, 0.5, "boat", 0.5, auroc, None, low, high)


def answered(
    *, edit: float | None = 0.9, retrain: float = 0.8, placebo: tuple[float, float] | None = (0.8, 0.82), **changes: Any
) -> WhatIf:
    rows = [row("original", 0.8), row("retrain", retrain), row("edit", edit)]
    if placebo is not None:
        rows.append(row("placebo", sum(placebo) / 2, low=placebo[0], high=placebo[1]))
    values = {"neurons": (2,), "method": "cue_erasure", "strength": 1.0, "class_name": "boat", "rows": tuple(rows)}
    counts = {"samples": 300, "trained_on": 400, "steps": 300, "tries": 1, "placebo_draws": 3}
    return WhatIf(**{**values, **counts, "refused": None, "judged_on": "select", **changes})


class Table:
    """A desk that answers when it may, and keeps what it was asked."""

    def __init__(self) -> None:
        self.may_answer = Event()
        self.may_answer.set()
        self.asked: list[Question] = []
        self.prepared = False
        self.closed = False
        self.begun = Event()

    def prepare(self) -> None:
        self.prepared = True

    def close(self) -> None:
        self.closed = True

    def ask(self, neurons: Any, *, method: str | None = None, strength: float = 1.0) -> WhatIf:
        self.asked.append(Question(tuple(neurons), method, strength))
        self.begun.set()
        assert self.may_answer.wait(20)
        if 9 in neurons:
            raise EvidenceError("too few samples")
        return answered(neurons=tuple(neurons), strength=strength)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def reviewer(made: MadeReview, table: Table):
    at_page = Reviewer(made)
    site = replace(at_page.app.state.site, what_ifs=WhatIfBench(lambda run, params: table, pause=0))
    at_page.app.state.site = site
    yield at_page
    table.may_answer.set()
    site.close()


def test_a_question_is_answered_in_figures_and_words(reviewer, table):
    answer = reviewer.api("what-if", "POST", neurons=[3, 2], strength=0.5).json()
    assert (answer["state"], answer["neurons"], answer["samples"], answer["draws"]) == ("done", [2, 3], 300, 3)
    assert table.asked == [Question((2, 3), None, 0.5)]
    line = next(line for line in answer["lines"] if line["metric"] == "class_auroc")
    assert (line["original"]["shown"], line["edit"]["shown"], line["edit"]["change"]) == ("0.800", "0.900", "+0.100")
    assert line["placebo"]["range"] == "0.800 to 0.820"
    assert answer["verdict"] == "beyond"


def test_the_same_question_is_not_tried_twice(reviewer, table):
    first, second = (reviewer.api("what-if", "POST", neurons=given).json() for given in ([2, 3], [3, 2]))
    assert first == second
    assert len(table.asked) == 1


def test_a_run_folder_that_shows_another_finding_by_now_answers_nothing(reviewer, table):
    diagnosis = reviewer.made.run.stage("diagnose")
    ranked = read_table(diagnosis / "neurons.parquet")
    write_table(diagnosis / "neurons.parquet", ranked[ranked["neuron"] != 3])
    write_bytes(diagnosis / "stage.json", (diagnosis / "stage.json").read_bytes())
    answer = reviewer.api("what-if", "POST", neurons=[2])
    assert (answer.status_code, "another finding" in answer.json()["error"]) == (412, True), answer.text
    assert "so it would answer about another finding" in reviewer.get(f"/reviews/{reviewer.made.id}").text
    assert table.asked == []
    assert not table.prepared


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"neurons": [319]}, 422, "not candidates"),
        ({"neurons": [2, 2]}, 422, "more than once"),
        ({"neurons": [2], "strength": 0}, 422, "above 0"),
        ({"neurons": [2], "strength": 1.5}, 422, "above 0"),
        ({"neurons": [2], "method": "silencing"}, 422, "wrong way round"),
        ({"neurons": [2], "method": "bias"}, 422, "whichever neurons"),
        ({"neurons": [2], "method": "x"}, 422, "method"),
        ({"neurons": [9]}, 422, "too few samples"),
    ],
)
def test_a_wrong_question_is_refused_with_its_reason(reviewer, body, status, told):
    answer = reviewer.api("what-if", "POST", **body)
    assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text


def test_a_newer_question_takes_the_place_of_one_that_waits(reviewer, table):
    table.may_answer.clear()
    with ThreadPoolExecutor(3) as callers:

        def ask(neuron: int) -> Any:
            return callers.submit(reviewer.api, "what-if", "POST", neurons=[neuron])

        running = ask(2)
        assert table.begun.wait(20)
        waiting = ask(3)
        bench = reviewer.app.state.site.what_ifs
        until(lambda: any(question.neurons == (3,) for (_, question), _ in bench._latest.values()))
        newest = ask(4)
        refused = waiting.result(20)
        assert (refused.status_code, "newer question" in refused.json()["error"]) == (409, True)
        table.may_answer.set()
        assert [one.result(20).json()["neurons"] for one in (running, newest)] == [[2], [4]]
    assert [one.neurons for one in table.asked] == [(2,), (4,)]


def test_what_takes_longer_is_asked_for_again(reviewer, table, monkeypatch):
    monkeypatch.setattr(route, "PATIENCE", 0.05)
    table.may_answer.clear()
    answer = reviewer.api("what-if", "POST", neurons=[2]).json()
    assert (answer["state"], answer["prepared"], answer["lines"]) == ("waiting", False, [])
    table.may_answer.set()
    monkeypatch.setattr(route, "PATIENCE", 20)
    assert reviewer.api("what-if", "POST", neurons=[2]).json()["state"] == "done"
    assert len(table.asked) == 1


def test_opening_a_review_begins_to_prepare(reviewer, table):
    assert reviewer.get(f"/reviews/{reviewer.made.id}").status_code == 200
    assert until(lambda: table.prepared)
    assert table.asked == []


def test_two_runs_are_kept_ready_and_no_more(tmp_path):
    tables = []

    def make(run: Any, params: Any) -> Table:
        tables.append(Table())
        return tables[-1]

    bench = WhatIfBench(make, pause=0)
    runs = [made_review(tmp_path / str(number), candidates=4) for number in range(3)]
    for number in (0, 1, 0, 2, 0, 1):
        bench.ask("ada", runs[number].run, runs[number].params, Question((2,), None, 1.0)).result(20)
    assert [one.closed for one in tables] == [False, True, True, False]
    bench.close()
    assert all(one.closed for one in tables)
    # the answer of run 1 is kept when its desk is not; asking again makes the desk anew all the same
    assert len(tables) == 4


@pytest.mark.parametrize(
    ("found", "verdict", "told"),
    [
        (answered(edit=0.9), "beyond", "More than the controls: the class AUROC changes by +0.100"),
        (answered(edit=0.821), "within", "No more than the controls"),
        (answered(edit=0.9, retrain=0.91), "within", "retraining alone by +0.110"),
        (answered(edit=0.9, placebo=None), "unknown", "no placebo could be made"),
        (answered(edit=None), "unknown", "cannot tell boat"),
        (answered(refused="Cue erasure refused: too alike"), "refused", "too alike"),
    ],
)
def test_the_answer_says_whether_it_beats_its_controls(found, verdict, told):
    answer = answer_in_words(found)
    assert (answer.verdict, told in answer.sentence) == (verdict, True), answer.sentence


def test_a_real_run_answers_on_its_select_split(made, monkeypatch):
    monkeypatch.setattr(route, "PATIENCE", 120)
    reviewer = Reviewer(made)
    answer = reviewer.api("what-if", "POST", neurons=[2, 3])
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["samples"] == 300
    assert {line["metric"] for line in found["lines"]} >= {"worst_class", "class_accuracy", "average", "class_auroc"}
    assert all(line["edit"] is not None for line in found["lines"])
    reviewer.app.state.site.close()


def test_the_panel_shows_selection_methods_and_form(reviewer, made):
    made.say(2, "spurious")
    shown = reviewer.get(f"/reviews/{made.id}/neurons/4").text
    assert 'data-selected-neuron="2"' in shown
    assert '<option value="cue_erasure">Cue erasure</option>' in shown
    assert "silencing" not in shown.lower()
    assert f'action="/reviews/{made.id}/decision"' in shown
    made.approve(2)
    closed = reviewer.get(f"/reviews/{made.id}").text
    assert f'action="/reviews/{made.id}/decision"' not in closed
    assert f"/reviews/{made.id}/outcome" in closed
