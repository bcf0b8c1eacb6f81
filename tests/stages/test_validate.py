import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuroinspect.artifacts import RunFolder, read_json, read_table
from neuroinspect.errors import DataError, RunFolderError
from neuroinspect.settings import Params, parse_params
from neuroinspect.stages.validate import validate


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def params(tmp_path: Path) -> Params:
    for split, start in (("train", 0), ("validation", 100)):
        for k in range(8):
            draw(tmp_path / "data" / split / ("cat", "dog")[k % 2] / f"{k}.png", start + k)
    return make_params(tmp_path)


def make_params(folder: Path, **changes: object) -> Params:
    data = {split: str(folder / "data" / split) for split in ("train", "validation")}
    return parse_params({"model": {"spec": "no_such_module:nothing"}, "data": data, **changes})


def test_the_model_is_not_needed_and_the_files_are_those_of_the_contract(tmp_path: Path, params: Params) -> None:
    result = validate(RunFolder(tmp_path / "run"), params)
    manifest = read_table(result.folder / "manifest.parquet")
    assert list(manifest.columns) == ["path", "label", "group", "split", "sha256", "pixels_sha256"]
    assert dict(manifest["split"].value_counts()) == {"train": 8, "select": 4, "judge": 4}
    assert {file.name for file in result.folder.iterdir()} == {
        "manifest.parquet",
        "quarantine.csv",
        "report.json",
        "stage.json",
    }
    assert result.summary["classes"] == ["cat", "dog"]
    assert result.summary["splits"] == {"train": 8, "select": 4, "judge": 4}
    assert result.summary["halved"]
    report = read_json(result.folder / "report.json")
    assert report["splits"]["judge"] == {"count": 4, "classes": {"cat": 2, "dog": 2}, "groups": {}}


def test_the_second_run_reuses_the_first_until_a_file_changes(tmp_path: Path, params: Params) -> None:
    run = RunFolder(tmp_path / "run")
    first = validate(run, params)
    assert validate(run, params).reused
    draw(tmp_path / "data/train/cat/0.png", 55)
    changed = validate(run, params)
    assert not changed.reused
    assert changed.summary["data_version"] != first.summary["data_version"]


def test_a_touched_file_is_checked_again_but_the_data_version_stays(tmp_path: Path, params: Params) -> None:
    run = RunFolder(tmp_path / "run")
    first = validate(run, params)
    os.utime(tmp_path / "data/train/cat/0.png", ns=(1, 1))
    second = validate(run, params)
    assert not second.reused
    assert second.summary == first.summary


def test_the_seed_decides_the_halves(tmp_path: Path, params: Params) -> None:
    first = validate(RunFolder(tmp_path / "run"), params).summary["data_version"]
    others = [
        validate(RunFolder(tmp_path / f"run{seed}"), make_params(tmp_path, seed=seed)).summary["data_version"]
        for seed in range(1, 5)
    ]
    assert set(others) != {first}


def test_bad_files_end_in_the_quarantine_table_and_the_warnings(tmp_path: Path, params: Params) -> None:
    (tmp_path / "data/train/cat/=HYPERLINK(1).png").write_text("no picture")
    (tmp_path / "data/train/=SUM(1).txt").write_text("no class")
    result = validate(RunFolder(tmp_path / "run"), params)
    rows = list(csv.reader((result.folder / "quarantine.csv").open(newline="")))
    assert rows == [
        ["path", "reason"],
        ["train/=SUM(1).txt", "misplaced: it does not lie in the folder of a class"],
        ["train/cat/=HYPERLINK(1).png", "not a picture: no known picture format"],
    ]
    assert read_json(result.folder / "report.json")["quarantine"] == {"misplaced": 1, "not a picture": 1}
    assert "2 files were put in quarantine; see quarantine.csv" in result.summary["warnings"]


def test_a_small_class_is_warned_about(tmp_path: Path, params: Params) -> None:
    run = RunFolder(tmp_path / "run")
    warnings = validate(run, params).summary["warnings"]
    assert warnings[0] == "class cat has 4 validation pictures, fewer than 30: its accuracy is uncertain"
    assert validate(run, make_params(tmp_path, validate={"small_class": 4})).summary["warnings"] == []


def test_groups_of_a_table_are_counted(tmp_path: Path, params: Params) -> None:
    lines = ["path,label,split,group"]
    for split in ("train", "validation"):
        files = sorted((tmp_path / "data" / split).rglob("*.png"))
        lines += [f"{file.relative_to(tmp_path)},{file.parent.name},{split},sea" for file in files]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    result = validate(RunFolder(tmp_path / "run"), make_params(tmp_path, data={"table": str(tmp_path / "t.csv")}))
    assert result.summary["groups"]
    assert read_json(result.folder / "report.json")["splits"]["train"]["groups"] == {
        "cat": {"sea": 4},
        "dog": {"sea": 4},
    }


def test_no_absolute_path_and_no_time_enters_an_output(tmp_path: Path, params: Params) -> None:
    result = validate(RunFolder(tmp_path / "run"), params)
    texts = b"".join(file.read_bytes() for file in result.folder.iterdir())
    assert str(tmp_path).encode() not in texts


def test_data_that_cannot_be_used_leave_no_stage(tmp_path: Path, params: Params) -> None:
    (tmp_path / "data/train/owl").mkdir()
    run = RunFolder(tmp_path / "run")
    with pytest.raises(DataError, match="class owl"):
        validate(run, params)
    assert run.stage_record("validate") is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, params: Params) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot write the run folder"):
        validate(RunFolder(tmp_path / "file"), params)
