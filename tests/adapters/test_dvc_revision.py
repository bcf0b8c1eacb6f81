"""Which version DVC keeps of the data, and data brought from a remote: on real repositories of git and DVC."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neuroinspect.adapters.dvc_revision import DvcRevision
from neuroinspect.errors import DataError
from tests.dvc_repository import dvc, environment, make_repository

REVISIONS = DvcRevision()
ASK = """
import json, pathlib, sys
from neuroinspect.adapters.dvc_revision import DvcRevision
pathlib.Path(sys.argv[2]).write_text(json.dumps(DvcRevision().revision(pathlib.Path(sys.argv[1]))))
"""
opened: list[str] = []
watching = False


def _note(event: str, words: tuple[object, ...]) -> None:
    if watching and event == "open":
        opened.append(str(words[0]))


sys.addaudithook(_note)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose `data` DVC keeps; its remote is a folder beside it."""
    folder = tmp_path_factory.mktemp("kept")
    root = make_repository(folder / "project", state=folder)
    for name in ("train/a.txt", "train/b.txt", "table.csv"):
        path = root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"what is in {name}")
    dvc(root, "add", "-q", "data", state=folder)
    dvc(root, "remote", "add", "-q", "-d", "store", folder / "remote", state=folder)
    dvc(root, "push", "-q", state=folder)
    return folder


@pytest.fixture
def project(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository to change; the working directory is another one."""
    shutil.copytree(kept / "project", tmp_path / "project")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", environment(tmp_path)["DVC_SITE_CACHE_DIR"])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "project"


def version(project: Path) -> str:
    """What data.dvc says."""
    return f"dvc:{yaml.safe_load((project / 'data.dvc').read_text())['outs'][0]['md5']}"


def lose_the_data(project: Path) -> None:
    """What a fresh clone has: neither the data nor DVC's cache."""
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc" / "cache")


@pytest.mark.parametrize("place", ["data", "data/train", "data/table.csv"])
def test_clean_data_has_the_version_of_its_dvc_file(project: Path, place: str):
    assert REVISIONS.revision(project / place) == version(project)
    assert REVISIONS.revision(Path("project") / place) == version(project)


def test_data_need_not_lie_in_the_cache_to_be_clean(project: Path):
    shutil.rmtree(project / ".dvc" / "cache")
    assert REVISIONS.revision(project / "data") == version(project)


def test_a_project_taken_as_an_archive_without_git_is_clean_too(project: Path):
    shutil.rmtree(project / ".git")
    assert REVISIONS.revision(project / "data") == version(project)


@pytest.mark.parametrize("harm", ["changed", "added", "removed"])
def test_changed_data_has_no_version_until_it_is_as_before(project: Path, harm: str):
    file = project / "data" / ("new.txt" if harm == "added" else "train/a.txt")
    before = file.read_text() if file.exists() else None
    if harm == "removed":
        file.unlink()
    else:
        file.write_text("something else")
    assert REVISIONS.revision(project / "data") is None
    assert REVISIONS.revision(project / "data" / "train") is None
    if before is None:
        file.unlink()
    else:
        file.write_text(before)
    assert REVISIONS.revision(project / "data") == version(project)


def test_what_dvc_does_not_keep_has_no_version(project: Path, tmp_path: Path):
    (project / "other").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for place in (project / "other", project / "data-2", tmp_path / "elsewhere"):
        assert REVISIONS.revision(place) is None
        REVISIONS.pull(place)


def test_files_that_did_not_change_are_not_read_again(project: Path):
    global watching
    REVISIONS.revision(project / "data")
    opened.clear()
    watching = True
    try:
        assert REVISIONS.revision(project / "data") == version(project)
    finally:
        watching = False
    assert any(name.endswith("data.dvc") for name in opened)
    assert not [name for name in opened if f"{os.sep}data{os.sep}" in name]


def test_a_running_stage_of_dvc_may_ask(project: Path, tmp_path: Path):
    (project / "ask.py").write_text(ASK)
    command = f"{sys.executable} ask.py data answer.json"
    stage = {"cmd": command, "deps": ["ask.py", "data"], "outs": [{"answer.json": {"cache": False}}]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"ask": stage}}))
    dvc(project, "repro", "-q", state=tmp_path)
    assert json.loads((project / "answer.json").read_text()) == version(project)


def test_nothing_is_written_to_a_terminal(project: Path, tmp_path: Path):
    words = "from pathlib import Path; from neuroinspect.adapters.dvc_revision import DvcRevision as D; import sys; "
    words += "place = Path(sys.argv[1]); D().pull(place); assert D().revision(place)"
    lose_the_data(project)
    terminal, side = os.openpty()
    call = [sys.executable, "-c", words, str(project / "data")]
    done = subprocess.run(call, env=environment(tmp_path), stdout=side, stderr=side)
    os.write(side, b"the end")
    shown = b""
    while not shown.endswith(b"the end"):
        shown += os.read(terminal, 100_000)
    os.close(side)
    os.close(terminal)
    # DVC's colours are switched off as the process ends, whether or not they were used
    assert (done.returncode, shown.replace(b"\x1b[0m", b"")) == (0, b"the end")


@pytest.mark.parametrize("text", ["outs: [", "outs:\n- md5: 1\n  colour: red\n"])
def test_a_damaged_dvc_file_is_named(project: Path, text: str):
    (project / "data.dvc").write_text(text)
    with pytest.raises(DataError, match=r"(?s)DVC cannot read what it keeps in .*data\.dvc.*correct the file"):
        REVISIONS.revision(project / "data")


@pytest.mark.parametrize(
    ("file", "text"), [("data.dvc", "outs:\n- md5: xxx\n"), (".dvc/config", "garbage\n"), ("dvc.yaml", "stages: 3\n")]
)
def test_files_of_dvc_that_were_spoilt_by_hand_are_an_error_of_the_data(project: Path, file: str, text: str):
    (project / file).write_text(text)
    with pytest.raises(DataError, match=r"(?s)DVC cannot read what it keeps in .*correct the file"):
        REVISIONS.revision(project / "data")


def test_missing_data_is_pulled_from_the_default_remote(project: Path):
    expected = version(project)
    lose_the_data(project)
    REVISIONS.pull(project / "data")
    assert (project / "data" / "train" / "a.txt").read_text() == "what is in train/a.txt"
    assert REVISIONS.revision(project / "data") == expected


def test_data_in_the_cache_needs_no_remote(project: Path, tmp_path: Path):
    shutil.rmtree(project / "data")
    dvc(project, "remote", "remove", "store", state=tmp_path)
    REVISIONS.pull(project / "data")
    assert (project / "data" / "train" / "a.txt").read_text() == "what is in train/a.txt"


def test_data_that_is_here_is_not_pulled(project: Path):
    (project / "data" / "table.csv").write_text("my own work")
    REVISIONS.pull(project / "data")
    assert (project / "data" / "table.csv").read_text() == "my own work"


def test_without_a_remote_the_way_out_is_printed(project: Path, tmp_path: Path):
    lose_the_data(project)
    dvc(project, "remote", "remove", "store", state=tmp_path)
    with pytest.raises(DataError, match=r"kept by data\.dvc and is not here; .*`dvc remote add -d NAME URL`"):
        REVISIONS.pull(project / "data")


def test_a_remote_that_does_not_have_it_is_an_error(project: Path, tmp_path: Path):
    lose_the_data(project)
    dvc(project, "remote", "modify", "store", "url", tmp_path / "empty", state=tmp_path)
    with pytest.raises(DataError, match="cannot be brought from the DVC remote"):
        REVISIONS.pull(project / "data")


def test_a_place_inside_the_data_that_the_version_does_not_hold_is_an_error(project: Path):
    lose_the_data(project)
    with pytest.raises(DataError, match="does not hold it"):
        REVISIONS.pull(project / "data" / "validation")


def test_data_that_dvc_keeps_no_copy_of_says_how_it_is_made(project: Path):
    lose_the_data(project)
    record = yaml.safe_load((project / "data.dvc").read_text())
    record["outs"][0] |= {"cache": False, "desc": "drawn by `neuroinspect demo-data`"}
    (project / "data.dvc").write_text(yaml.safe_dump(record))
    with pytest.raises(DataError, match=r"\(drawn by `neuroinspect demo-data`\); DVC keeps no copy of it"):
        REVISIONS.pull(project / "data")


def next_version(project: Path, tmp_path: Path) -> tuple[str, str]:
    """Add a second version of the data and push it; the texts of the DVC file before and after."""
    before = (project / "data.dvc").read_text()
    (project / "data" / "train" / "c.txt").write_text("added later")
    dvc(project, "add", "-q", "data", state=tmp_path)
    dvc(project, "push", "-q", state=tmp_path)
    return before, (project / "data.dvc").read_text()


def test_another_version_that_the_dvc_file_names_is_brought(project: Path, tmp_path: Path):
    before, after = next_version(project, tmp_path)
    for text, there in ((before, False), (after, True), (before, False)):
        (project / "data.dvc").write_text(text)
        REVISIONS.update(project / "data" / "table.csv")
        assert (project / "data" / "train" / "c.txt").exists() == there
        assert REVISIONS.revision(project / "data") == version(project)


def test_a_version_that_is_in_no_cache_is_brought_from_the_remote(project: Path, tmp_path: Path):
    before, after = next_version(project, tmp_path)
    (project / "data.dvc").write_text(before)
    REVISIONS.update(project / "data")
    shutil.rmtree(project / ".dvc" / "cache")
    dvc(project, "commit", "-q", "-f", "data.dvc", state=tmp_path)  # the cache has what is here, and no more
    (project / "data.dvc").write_text(after)
    REVISIONS.update(project / "data")
    assert (project / "data" / "train" / "c.txt").read_text() == "added later"


def test_bringing_a_version_brings_what_is_not_here_at_all(project: Path):
    lose_the_data(project)
    REVISIONS.update(project / "data")
    assert REVISIONS.revision(project / "data") == version(project)


def test_what_was_changed_by_hand_is_never_lost_to_another_version(project: Path):
    (project / "data" / "table.csv").write_text("my own work")
    with pytest.raises(DataError, match=r"not in the version that data\.dvc names.*cannot be brought"):
        REVISIONS.update(project / "data")
    assert (project / "data" / "table.csv").read_text() == "my own work"


def test_what_dvc_does_not_keep_is_left_as_it_is(project: Path):
    (project / "other").mkdir()
    REVISIONS.update(project / "other")
    record = yaml.safe_load((project / "data.dvc").read_text())
    record["outs"][0]["cache"] = False
    (project / "data.dvc").write_text(yaml.safe_dump(record))
    (project / "data" / "table.csv").write_text("drawn anew")
    REVISIONS.update(project / "data")
    assert (project / "data" / "table.csv").read_text() == "drawn anew"
