"""The data of the default scenario: the same bytes everywhere, drawn whole or not at all, never over anything else."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from neuroinspect.cli import app
from neuroinspect.demo import scenario
from neuroinspect.demo.data import data_digest, draw_demo_data
from neuroinspect.demo.drawing import draw
from neuroinspect.demo.scenario import DEFAULT_PLANT, picture_table, scenes_of, table_bytes
from neuroinspect.errors import RunFolderError


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The digest of a scenario of few pictures, which takes the place of the default one."""
    monkeypatch.setattr(scenario, "SPLIT_SIZES", {"train": 12, "select": 6, "judge": 6, "test": 6})
    folder = tmp_path / "once"
    scenario.write_pictures(folder, DEFAULT_PLANT, lambda task, done, total: None)
    return data_digest(folder, names())


def names() -> list[str]:
    return [*picture_table(DEFAULT_PLANT)["path"], "pictures.csv"]


def times(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in names()}


def test_a_picture_is_kept_uncompressed_as_it_was_drawn(tmp_path: Path, digest: str):
    file = tmp_path / "once" / picture_table(DEFAULT_PLANT)["path"][3]
    picture = draw(scenes_of(DEFAULT_PLANT, "train"))[3]
    assert np.array_equal(np.asarray(Image.open(file)), picture)
    assert file.stat().st_size == 54 + picture.nbytes  # the header of a bitmap, and its pixels


def test_the_table_names_every_picture_on_lines_that_end_alike_everywhere():
    table = table_bytes(DEFAULT_PLANT)
    assert table.count(b"\n") == 7201
    assert b"\r" not in table
    assert table.startswith(b"path,label,group,split\ntrain/boat/0000.bmp,boat,")


def test_the_folder_holds_the_table_and_its_pictures_and_nothing_else(tmp_path: Path, digest: str):
    made = draw_demo_data(tmp_path / "data", digest=digest)
    assert made.drawn
    assert made.splits == {"train": 12, "select": 6, "judge": 6, "test": 6}
    files = {path.relative_to(tmp_path / "data").as_posix() for path in (tmp_path / "data").rglob("*.*")}
    assert files == set(names())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "once"]


def test_what_is_there_whole_is_kept(tmp_path: Path, digest: str):
    draw_demo_data(tmp_path / "data", digest=digest)
    before = times(tmp_path / "data")
    assert not draw_demo_data(tmp_path / "data", digest=digest).drawn
    assert times(tmp_path / "data") == before


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_damaged_folder_is_drawn_again_and_that_is_said(tmp_path: Path, digest: str, harm: str, caplog):
    draw_demo_data(tmp_path / "data", digest=digest)
    victim = tmp_path / "data" / names()[4]
    if harm == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-1] + b"\x07")
    assert draw_demo_data(tmp_path / "data", digest=digest).drawn
    assert data_digest(tmp_path / "data", names()) == digest
    assert "drawing all pictures again" in caplog.text
    assert {"missing": "1 files are missing", "changed": "a file was changed"}[harm] in caplog.text


def test_a_drawing_that_was_broken_off_leaves_no_folder(tmp_path: Path, digest: str):
    def stop(task: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_demo_data(tmp_path / "data", digest=digest, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["once"]


def test_a_folder_with_anything_else_in_it_is_refused(tmp_path: Path, digest: str):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(RunFolderError, match=r"holiday\.jpg, which is not of the demo"):
        draw_demo_data(tmp_path / "data", digest=digest)
    assert (tmp_path / "data" / "holiday.jpg").read_bytes() == b"mine"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path, digest: str):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(RunFolderError, match="is a file"):
        draw_demo_data(tmp_path / "data", digest=digest)


def test_the_command_draws_and_says_what_it_did(tmp_path: Path, digest: str):
    result = CliRunner().invoke(app, ["demo-data", str(tmp_path / "data"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "table": str(tmp_path / "data" / "pictures.csv"),
        "splits": {"train": 12, "select": 6, "judge": 6, "test": 6},
        "drawn": True,
    }
    assert data_digest(tmp_path / "data", names()) == digest


def test_the_command_leaves_a_folder_of_something_else_alone(tmp_path: Path, digest: str):
    result = CliRunner().invoke(app, ["demo-data", str(tmp_path)])
    assert result.exit_code == 1
    assert "not of the demo" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["once"]
