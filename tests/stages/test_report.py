import hashlib
import shutil

import pytest

from neuroinspect.artifacts import RunFolder, read_json, write_json
from neuroinspect.errors import StageOrderError
from neuroinspect.stages.report import report
from tests.report_run import Variant, build_run, write_checks


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run up to evaluate, drawn once."""
    root = tmp_path_factory.mktemp("drawn")
    return root, build_run(root, Variant(groups=False))[1]


@pytest.fixture
def fresh(drawn, tmp_path):
    """A copy of it at a place of its own."""
    return copied(drawn, tmp_path / "run")


def copied(drawn, root):
    """The drawn run as if it had been made in `root`."""
    shutil.copytree(drawn[0], root)
    data = drawn[1].data.model_copy(update={"train": root / "data/train", "validation": root / "data/validation"})
    return RunFolder(root / "run"), drawn[1].model_copy(update={"data": data, "runs": root})


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_stage_writes_the_page_and_its_plots(fresh):
    result = report(*fresh)
    assert (result.folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert result.summary["plots"] == sorted(path.name for path in (result.folder / "plots").iterdir())
    assert result.summary["status"] == "found_and_helped"


def test_the_same_run_in_another_folder_gives_the_same_bytes(drawn, fresh, tmp_path):
    one, two = report(*fresh), report(*copied(drawn, tmp_path / "far" / "away"))
    assert digests(one.folder) == digests(two.folder)


def test_a_finished_report_is_used_again(fresh):
    run, params = fresh
    assert not report(run, params).reused
    assert report(run, params).reused


@pytest.mark.parametrize("change", ["decision", "title", "evaluate", "checks"])
def test_a_report_is_made_anew_when_what_it_shows_changes(fresh, change):
    run, params = fresh
    report(run, params)
    if change == "decision":
        path = run.stage("review") / "decision.json"
        write_json(path, {**read_json(path), "by": "Grace"})
    elif change == "checks":
        write_checks(run, "validate")
    elif change == "evaluate":
        path = run.stage("evaluate") / "stage.json"
        write_json(path, {**read_json(path), "inputs_hash": "another"})
    else:
        params = params.model_copy(update={"report": params.report.model_copy(update={"title": "Another"})})
    assert not report(run, params).reused


def test_a_clean_model_gets_a_page_too(tmp_path):
    result = report(*build_run(tmp_path, Variant(status="nothing_to_explain")))
    assert result.summary["plots"] == ["judge-classes.svg"]


def test_without_a_verdict_there_is_no_report(fresh):
    run, params = fresh
    shutil.rmtree(run.stage("evaluate"))
    with pytest.raises(StageOrderError, match="evaluate"):
        report(run, params)


def test_progress_reaches_its_end(fresh):
    told = []
    report(*fresh, progress=lambda task, done, total: told.append((task, done, total)))
    assert told == [("report", 0, 1), ("report", 1, 1)]
