"""The what-if desk: questions about a run folder while a review is open."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neuroinspect.artifacts import RunFolder, read_json, write_json
from neuroinspect.editing.edit import register_method
from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.errors import EvidenceError, ReviewError, SettingsError, StageOrderError
from neuroinspect.settings import EditSettings, Params, load_params
from neuroinspect.stages.what_if import WhatIfDesk
from tests.stages.judged_run import judged_run, make_params
from tests.tiny import make_diagnosed_project


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    return make_params(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return judged_run(tmp_path_factory.mktemp("pending"), verdict=None)


@pytest.fixture(scope="module")
def desk(run: RunFolder, params: Params) -> WhatIfDesk:
    return WhatIfDesk(run, params)


def with_methods(params: Params, *methods: str) -> Params:
    return params.model_copy(update={"edit": params.edit.model_copy(update={"methods": methods})})


def test_an_answer_shows_the_edit_beside_every_control_and_says_what_was_done(desk: WhatIfDesk) -> None:
    answer = desk.ask([3, 2])
    assert [row.name for row in answer.rows] == ["original", "retrain", "edit", "placebo"]
    assert [row.title for row in answer.rows] == ["Original", "Retrain-only", "Cue erasure", "Placebo: Cue erasure"]
    assert (answer.neurons, answer.method, answer.strength, answer.class_name) == ((2, 3), "cue_erasure", 1.0, "boat")
    assert (answer.samples, answer.trained_on, answer.steps, answer.tries) == (600, 600, 300, 5)
    assert "the other half selected" in answer.judged_on
    rows = {row.name: row for row in answer.rows}
    for control in ("original", "retrain", "placebo"):
        assert rows["edit"].class_auroc > rows[control].class_auroc + 0.02
        assert rows["edit"].cross_cue_auroc > rows[control].cross_cue_auroc + 0.1
    for row in answer.rows:
        assert 0 <= row.worst_class <= row.average <= 1
        assert row.worst_class <= row.class_accuracy
        assert row.worst_class_name in {"boat", "car", "tree"}
        assert (row.low is None) == (row.name != "placebo")


def test_a_placebo_lies_between_the_lowest_and_the_highest_of_its_draws(desk: WhatIfDesk) -> None:
    answer = desk.ask([2])
    placebo = answer.rows[-1]
    assert answer.placebo_draws == 2
    assert placebo.low is not None
    assert placebo.high is not None
    for figure in placebo.low:
        assert placebo.low[figure] <= getattr(placebo, figure) <= placebo.high[figure]
        assert getattr(placebo, figure) == pytest.approx((placebo.low[figure] + placebo.high[figure]) / 2)


def test_nothing_in_the_run_folder_changes_and_its_lock_is_not_taken(run: RunFolder, params: Params) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    with run.lock():
        held = set(run.root.rglob("*")) - set(before)
        fresh = WhatIfDesk(run, with_methods(params, "ratio"))
        fresh.prepare()
        assert fresh.prepared
        assert fresh.ask([2]).rows
        assert set(run.root.rglob("*")) - set(before) == held
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path.is_file())


def test_many_threads_get_the_answers_that_one_would_get(run: RunFolder, params: Params) -> None:
    quick = with_methods(params, "ratio")
    questions = [((2, 3), 1.0), ((3, 2), 0.5), ((1,), 1.0), ((2, 3), 1.0), ((1, 2), 1.0), ((2,), 0.5)]
    desk, fresh = WhatIfDesk(run, quick), WhatIfDesk(run, quick)
    alone = [desk.ask(neurons, strength=strength) for neurons, strength in questions]
    preparing = threading.Thread(target=fresh.prepare)
    preparing.start()
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda asked: fresh.ask(asked[0], strength=asked[1]), questions))
    preparing.join()
    assert together == alone
    assert fresh.prepared


def test_whoever_asks_while_the_desk_prepares_goes_before_what_is_left(run: RunFolder, params: Params) -> None:
    order: list[str] = []

    def noted(problem: EditProblem, _: EditSettings) -> list[Try]:
        order.append("asked" if problem.neurons[0] == (1, 2) else "prepared")
        return [Try({}, problem.weight, problem.bias, trained=False)]

    register_method("noted", noted)
    fresh = WhatIfDesk(run, with_methods(params, "noted"))
    preparing = threading.Thread(target=fresh.prepare)
    with fresh._turn:
        preparing.start()
        answering = threading.Thread(target=lambda: fresh.ask([1, 2]))
        answering.start()
        with fresh._nobody_waits:
            assert fresh._nobody_waits.wait_for(lambda: fresh._waiting == 1, timeout=10)
    for thread in (answering, preparing):
        thread.join(30)
        assert not thread.is_alive()
    assert order[0] == "asked"


def test_preparing_twice_is_preparing_once(run: RunFolder, params: Params) -> None:
    desk = WhatIfDesk(run, with_methods(params, "ratio"))
    desk.prepare()
    opened = desk._opened
    desk.prepare()
    assert desk.prepared
    assert desk._opened is opened


def test_a_closed_desk_prepares_no_further_and_still_answers(run: RunFolder, params: Params) -> None:
    closed = WhatIfDesk(run, with_methods(params, "ratio"))
    closed.close()
    closed.prepare()
    assert not closed.prepared
    assert closed.ask([2]).rows


def test_a_new_diagnosis_is_opened_anew(tmp_path: Path, params: Params) -> None:
    run = judged_run(tmp_path, verdict=None)
    fresh = WhatIfDesk(run, with_methods(params, "ratio"))
    fresh.prepare()
    path = run.stage("diagnose") / "stage.json"
    record = read_json(path)
    write_json(path, {**record, "inputs_hash": "another"})
    assert fresh.ask([2]).rows
    assert not fresh.prepared


def test_a_refusal_is_an_answer_and_says_that_it_is_of_half_the_samples(run: RunFolder, params: Params) -> None:
    def never(problem: EditProblem, _: EditSettings) -> list[Try]:
        raise EvidenceError("too few samples")

    register_method("never", never)
    answer = WhatIfDesk(run, with_methods(params, "never")).ask([2])
    assert answer.refused is not None
    assert answer.refused.startswith("never refused on half of the select split")
    assert answer.refused.endswith("too few samples")
    assert [row.name for row in answer.rows] == ["original", "retrain"]
    assert (answer.tries, answer.placebo_draws) == (0, 0)


def test_the_first_method_is_asked_where_none_is_named(run: RunFolder, params: Params) -> None:
    chosen = WhatIfDesk(run, with_methods(params, "bias", "ratio", "silencing"))
    assert chosen.methods == ("ratio",)
    assert chosen.ask([2]).method == "ratio"
    with pytest.raises(SettingsError, match="no method that uses neurons"):
        WhatIfDesk(run, with_methods(params, "bias")).ask([2])


def test_what_cannot_be_asked_is_refused_in_words(desk: WhatIfDesk) -> None:
    with pytest.raises(SettingsError, match="wrong way round"):
        desk.ask([2], method="silencing")
    with pytest.raises(SettingsError, match="unknown edit method"):
        desk.ask([2], method="<script>")
    with pytest.raises(SettingsError, match="above 0"):
        desk.ask([2], strength=1.5)
    with pytest.raises(ReviewError, match="choose at least one"):
        desk.ask([])
    with pytest.raises(ReviewError, match=r"0\.\.7"):
        desk.ask([2, 8])
    assert desk.ask([2]).rows  # the desk goes on answering


def test_a_run_without_a_finding_has_nothing_to_ask(tmp_path: Path, params: Params) -> None:
    with pytest.raises(StageOrderError, match="diagnose"):
        WhatIfDesk(RunFolder(tmp_path / "none"), params).ask([2])
    perfect = judged_run(tmp_path, explained=False)
    with pytest.raises(ReviewError, match="no mistakes"):
        WhatIfDesk(perfect, params).prepare()


def test_a_run_of_the_whole_chain_can_be_asked(tmp_path: Path) -> None:
    folder = make_diagnosed_project(tmp_path)
    project = load_params(folder / "params.yaml")
    tiny = WhatIfDesk(RunFolder(folder / "runs" / "a"), project)
    answer = tiny.ask([5, 1], method="ratio")
    assert answer.class_name == "fish"
    assert answer.refused is None
    assert answer.samples == 60
    refused = tiny.ask([5, 1])
    assert refused.refused is not None
    assert "too few validation samples" in refused.refused
