"""The run folder: files are there whole or not at all, and a stage is computed once."""

import json
import multiprocessing
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.artifacts import (
    RunFolder,
    content_hash,
    read_array,
    read_json,
    read_table,
    read_tensors,
    run_stage,
    write_array,
    write_array_parts,
    write_bytes,
    write_json,
    write_table,
    write_tensors,
)
from neuroinspect.errors import ArtifactError, RunFolderError, RunLockedError, StageOrderError

json_values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_the_hash_does_not_depend_on_the_order_of_keys(value):
    assert content_hash(dict(reversed(value.items()))) == content_hash(value)


@given(json_values, json_values)
def test_different_values_have_different_hashes(one, other):
    assert (content_hash(one) == content_hash(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


def test_what_is_written_is_read_back(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    table = pd.DataFrame({"path": ["a", "b"], "group": ["x", None]})
    write_json(tmp_path / "a.json", {"name": "é"})
    write_array(tmp_path / "a.npy", array)
    write_table(tmp_path / "a.parquet", table)
    write_tensors(tmp_path / "a.safetensors", {"weight": torch.eye(2)})
    assert read_json(tmp_path / "a.json") == {"schema_version": 1, "name": "é"}
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), array)
    assert read_table(tmp_path / "a.parquet")["group"].isna().tolist() == [False, True]
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["weight"], torch.eye(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npy", "a.parquet", "a.safetensors"]


def test_an_array_written_in_parts_is_the_array(tmp_path):
    array = np.arange(20, dtype=np.float32).reshape(10, 2)
    write_array_parts(tmp_path / "a.npy", (array[:3], array[3:]), shape=array.shape)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), array)


def test_two_who_write_the_same_file_at_once_do_not_mix(tmp_path):
    path = tmp_path / "a.npy"

    def parts():
        yield np.ones(1, np.float32)
        write_array(path, np.zeros(2, np.float32))  # somebody else, from beginning to end
        assert read_array(path).tolist() == [0, 0]
        yield np.ones(1, np.float32)

    write_array_parts(path, parts(), shape=(2,))
    assert read_array(path).tolist() == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["a.npy"]


def test_a_record_with_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reader", [read_json, read_array, read_table, read_tensors])
@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_a_missing_or_damaged_file_says_what_to_do(tmp_path, reader, content):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match="delete its stage folder and run again"):
        reader(path)


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="choose a writable folder"):
        write_bytes(tmp_path / "file" / "a.json", b"")


def _write_under_a_limit(folder: Path) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
    try:
        write_bytes(folder / "large.bin", bytes(4096))
    except RunFolderError as error:
        Path(folder / "message").write_text(str(error))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    write_bytes(tmp_path / "large.bin", b"old")
    process = multiprocessing.get_context("spawn").Process(target=_write_under_a_limit, args=(tmp_path,))
    process.start()
    process.join()
    assert "Free some space" in (tmp_path / "message").read_text()
    assert (tmp_path / "large.bin").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.bin", "message"]


class Stage:
    """A stage that counts how often it is computed."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.computed = 0

    def __call__(self, version: int = 1, **inputs: object):
        def compute(folder: Path):
            self.computed += 1
            (folder / "shard").write_text(f"{inputs}")
            return {"inputs": len(inputs)}

        return run_stage(self.run, "extract", version=version, inputs=inputs, compute=compute)


@pytest.fixture
def stage(tmp_path):
    return Stage(RunFolder(tmp_path / "run"))


def test_a_stage_with_the_same_inputs_is_computed_once(stage):
    first, second = stage(seed=1), stage(seed=1)
    assert (first.reused, second.reused, stage.computed) == (False, True, 1)
    assert second.summary == first.summary == {"inputs": 1}


def test_another_input_or_version_computes_the_stage_again(stage):
    stage(seed=1)
    assert not stage(seed=2).reused
    assert not stage(seed=2, version=2).reused
    assert (stage.run.stage("extract") / "shard").read_text() == "{'seed': 2}"


def test_a_stage_that_fails_is_not_there_and_keeps_its_shards(stage):
    def half(folder: Path):
        (folder / "shard").write_text("kept")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        run_stage(stage.run, "extract", version=1, inputs={"seed": 1}, compute=half)
    assert not stage.run.stage("extract").exists()

    seen = []
    run_stage(
        stage.run,
        "extract",
        version=1,
        inputs={"seed": 1},
        compute=lambda folder: seen.append((folder / "shard").exists()) or {},
    )
    assert seen == [True]


def test_a_complete_folder_that_was_never_renamed_is_adopted(stage):
    result = stage(seed=1)
    partial = stage.run.root / ".partial" / f"extract-{result.inputs_hash[:16]}"
    result.folder.rename(partial)
    assert stage(seed=1).reused
    assert stage.computed == 1


def test_a_half_written_file_of_a_killed_process_does_not_stay(stage):
    def leave(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / ".a.npy.123.tmp").write_bytes(b"half")
        return {}

    result = run_stage(stage.run, "extract", version=1, inputs={}, compute=leave)
    assert sorted(path.name for path in result.folder.rglob("*")) == ["deep", "stage.json"]


def test_a_shard_that_cannot_be_read_is_not_called_a_full_disk(tmp_path):
    def parts():
        yield read_array(tmp_path / "missing.npy")

    with pytest.raises(ArtifactError, match=r"missing\.npy is missing or damaged"):
        write_array_parts(tmp_path / "a.npy", parts(), shape=(1,))
    assert not list(tmp_path.iterdir())


def test_a_file_that_its_writer_makes_final_while_the_stage_is_swept_fails_nothing(stage, monkeypatch):
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: [*listed(self, pattern), self / ".a.npy.9.tmp"])
    run_stage(stage.run, "extract", version=1, inputs={"seed": 1}, compute=lambda folder: {})
    assert (stage.run.stage("extract") / "stage.json").exists()


def test_shards_of_other_inputs_are_cleared_when_the_stage_is_done(stage):
    leftover = stage.run.root / ".partial" / "extract-0123456789abcdef"
    leftover.mkdir(parents=True)
    stage(seed=1)
    assert not leftover.exists()


def test_a_stage_that_was_not_computed_is_named(tmp_path):
    with pytest.raises(StageOrderError, match="run `neuroinspect diagnose` first"):
        RunFolder(tmp_path).upstream_hash("diagnose")


def test_the_second_holder_of_a_run_is_refused_with_host_and_pid(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.lock(), pytest.raises(RunLockedError) as caught, run.lock():
        pass
    assert f"host {socket.gethostname()}, pid {os.getpid()}" in str(caught.value)


def test_a_holder_that_cannot_be_named_is_told_all_the_same(tmp_path):
    (tmp_path / ".holder").mkdir()
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(RunLockedError, match="in use by another process"),
        RunFolder(tmp_path).lock(),
    ):
        pass


def test_a_run_can_be_held_again_after_its_holder_let_go(tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyError), run.lock():
        raise KeyError("a mistake inside")
    with run.lock():
        assert (run.root / ".holder").exists()


def test_a_run_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunFolderError, match="cannot write the run folder"),
        RunFolder(tmp_path / "file" / "run").lock(),
    ):
        pass


def test_whoever_is_called_by_the_holder_of_a_run_may_take_part(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.lock():
        with RunFolder(tmp_path / "other" / ".." / "run").lock(join=True):
            assert run.is_held()
        assert run.is_held()  # the inner one has not let go of it
    assert run.is_held() is False


def test_another_thread_takes_no_part(tmp_path):
    run, refused = RunFolder(tmp_path / "run"), []

    def join() -> None:
        try:
            with run.lock(join=True):
                pass
        except RunLockedError as error:
            refused.append(error)

    with run.lock():
        other = threading.Thread(target=join)
        other.start()
        other.join()
    assert len(refused) == 1


def test_a_patient_holder_waits_for_the_one_before(tmp_path):
    run = RunFolder(tmp_path / "run")
    held, order = threading.Event(), []

    def first() -> None:
        with run.lock():
            held.set()
            waiting.wait(0.5)  # longer than an impatient one waits
            order.append("first")

    waiting = threading.Event()
    other = threading.Thread(target=first)
    other.start()
    held.wait()
    with run.lock(patience=30):
        order.append("second")
    other.join()
    assert order == ["first", "second"]


def test_a_run_folder_that_nobody_can_reach_is_neither_held_nor_free(tmp_path):
    assert RunFolder(tmp_path / "gone").is_held() is None
    assert not (tmp_path / "gone").exists()
    (tmp_path / "empty").mkdir()
    assert RunFolder(tmp_path / "empty").is_held() is False
