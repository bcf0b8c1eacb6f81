"""What the classes of a night share: the same files, and neither folder can change the other."""

import os
from pathlib import Path

import pytest

from neuroinspect.artifacts import RunFolder, run_stage, write_json
from neuroinspect.errors import RunFolderError, StageOrderError
from neuroinspect.nightly import class_folder, share_stages, worst_classes


def finish(run: RunFolder, stage: str, text: str) -> None:
    def compute(folder: Path) -> dict[str, str]:
        (folder / "deep").mkdir()
        (folder / "deep" / "file.txt").write_text(text)
        return {"text": text}

    run_stage(run, stage, version=1, inputs={"text": text}, compute=compute)


@pytest.fixture
def night(tmp_path) -> RunFolder:
    run = RunFolder(tmp_path / "nightly-net-v1")
    for stage in ("validate", "extract"):
        finish(run, stage, "first")
    write_json(run.root / "checks" / "extract.json", {"success": True})
    write_json(run.root / "run.json", {"data_version": "dvc:0123456789.dir"})
    return run


def said(run: RunFolder, stage: str) -> str:
    return (run.stage(stage) / "deep" / "file.txt").read_text()


def test_a_class_gets_the_stages_and_their_checks_without_a_copy(night, tmp_path):
    run = RunFolder(tmp_path / "class")
    share_stages(night, run)
    assert [said(run, stage) for stage in ("validate", "extract")] == ["first", "first"]
    assert run.upstream_hash("extract") == night.upstream_hash("extract")
    assert (run.root / "checks" / "extract.json").exists()
    assert (run.stage("extract") / "deep" / "file.txt").stat().st_nlink == 2
    assert not list((run.root / ".partial").iterdir())


def test_sharing_a_second_time_leaves_the_folder_alone(night, tmp_path):
    run = RunFolder(tmp_path / "class")
    share_stages(night, run)
    before = run.stage("extract").stat()
    share_stages(night, run)
    assert run.stage("extract").stat().st_ino == before.st_ino


def test_what_the_night_computes_anew_does_not_reach_a_class_until_it_is_shared(night, tmp_path):
    run = RunFolder(tmp_path / "class")
    share_stages(night, run)
    finish(night, "extract", "second")
    assert said(run, "extract") == "first"
    share_stages(night, run)
    assert (said(run, "extract"), said(run, "validate")) == ("second", "first")


def test_what_a_killed_try_left_is_no_part_of_the_next(night, tmp_path):
    run = RunFolder(tmp_path / "class")
    half = run.root / ".partial" / "extract-shared"
    half.mkdir(parents=True)
    (half / "half.txt").touch()
    share_stages(night, run)
    assert sorted(path.name for path in run.stage("extract").iterdir()) == ["deep", "stage.json"]


def test_a_file_system_without_links_gets_copies(night, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    run = RunFolder(tmp_path / "class")
    share_stages(night, run)
    assert said(run, "extract") == "first"
    assert (run.stage("extract") / "deep" / "file.txt").stat().st_nlink == 1


def test_an_unfinished_night_and_a_folder_that_cannot_be_written_are_named(night, tmp_path):
    with pytest.raises(StageOrderError, match="no finished `validate`"):
        share_stages(RunFolder(tmp_path / "empty"), RunFolder(tmp_path / "class"))
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot write the run folder"):
        share_stages(night, RunFolder(tmp_path / "file"))


def test_the_folder_of_a_class_lies_beside_that_of_the_night(night):
    assert class_folder(night, "fish").root == night.root.with_name("nightly-net-v1-01234567-fish")
    assert class_folder(night, "Fish").root.parent == night.root.parent


def test_the_worst_classes_have_mistakes_and_ties_go_to_more_of_them(night):
    cells = {"a": (0.5, 4), "b": (1.0, 9), "c": (0.5, 10), "d": (None, 0), "e": (0.9, 10), "f": (0.5, 10)}
    per_class = {name: {"accuracy": accuracy, "count": count} for name, (accuracy, count) in cells.items()}
    write_json(
        night.stage("extract") / "performance.json",
        {"classes": list(cells), "splits": {"select": {"per_class": per_class}}},
    )
    assert worst_classes(night, count=10) == ["c", "f", "a", "e"]
    assert worst_classes(night, count=2) == ["c", "f"]
