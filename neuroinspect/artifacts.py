"""The run folder: where each stage writes, and how a file gets there whole or not at all.

A stage computes into `.partial/<stage>-<hash>/`, puts `stage.json` there last, and one rename makes the folder final. So a
stage folder is always complete, a killed run keeps the shards it finished, and a stage whose hash matches is not computed
again.
"""

import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import DTypeLike, NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from neuroinspect.errors import ArtifactError, RunFolderError, RunLockedError, StageOrderError

SCHEMA_VERSION = 1
STAGES = ("validate", "extract", "diagnose", "visualize", "review", "edit", "evaluate", "report")
_TEMPORARY = ".tmp"
_GLANCE = 0.2  # seconds; somebody who only looks whether the folder is held holds it for less
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage leaves: its folder, the hash of its inputs, a few figures, and whether it was already there."""

    stage: str
    folder: Path
    inputs_hash: str
    summary: Mapping[str, Any]
    reused: bool


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of a JSON-like value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole: temporary name, fsync, rename.

    Raises:
        RunFolderError: the disk is full or the folder cannot be written.
    """
    _write_whole(path, lambda file: file.write(data))


def _write_whole(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    # Not by the pid alone: containers that share a mount have the same ones.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except ArtifactError:  # a part that cannot be read, not this file
        temporary.unlink(missing_ok=True)
        raise
    except OSError as error:
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            log.debug("could not remove %s", temporary)
        raise RunFolderError(
            f"cannot write {path}: {error.strerror or error}. Free some space or choose a writable folder, then run the "
            "same command again; what is finished is kept."
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys and the schema version; NaN is refused."""
    record = {"schema_version": SCHEMA_VERSION, **value} if isinstance(value, dict) else value
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False, default=str)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ArtifactError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is missing or damaged ({error}); delete its stage folder and run again") from error


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, without an index."""
    write_bytes(path, table.to_parquet(None, index=False))


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet table.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is missing or damaged ({error}); delete its stage folder and run again") from error


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as .npy."""
    write_array_parts(path, [array], shape=array.shape, dtype=array.dtype)


def write_array_parts(
    path: Path, parts: Iterable[NDArray[Any]], *, shape: tuple[int, ...], dtype: DTypeLike = np.float32
) -> None:
    """Write an array as .npy part by part along its first axis, so that it need not fit into memory.

    Raises:
        RunFolderError: the disk is full or the folder cannot be written.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}

    def fill(file: BinaryIO) -> None:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype=dtype).data)

    _write_whole(path, fill)


def read_array(path: Path) -> NDArray[Any]:
    """Map an array into memory; what is written to it stays there and does not reach the file.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"{path} is missing or damaged ({error}); delete its stage folder and run again") from error
    return array


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors."""
    write_bytes(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own class, not a subclass of OSError
        raise ArtifactError(f"{path} is missing or damaged ({error}); delete its stage folder and run again") from error


class RunFolder:
    """`runs/<run>/`: one run of the whole chain."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def stage(self, name: str) -> Path:
        """Folder of a stage, there only when the stage is complete."""
        return self.root / name

    def require(self, name: str) -> Path:
        """Folder of a stage another stage needs.

        Raises:
            StageOrderError: the stage has not been computed in this run folder.
        """
        if not (self.stage(name) / "stage.json").exists():
            raise StageOrderError(f"{self.root} has no finished `{name}` stage; run `neuroinspect {name}` first")
        return self.stage(name)

    def stage_record(self, name: str) -> dict[str, Any] | None:
        """The stage's stage.json, or None where the stage is not complete."""
        path = self.stage(name) / "stage.json"
        return dict(read_json(path)) if path.exists() else None

    def upstream_hash(self, name: str) -> str:
        """Hash of the inputs of a finished stage, for the hash of the stage that builds on it."""
        return str(read_json(self.require(name) / "stage.json")["inputs_hash"])

    def partial(self, name: str, inputs_hash: str) -> Path:
        """Folder a stage is computed in until it is complete."""
        return self.root / ".partial" / f"{name}-{inputs_hash[:16]}"

    def is_held(self) -> bool | None:
        """Whether some process works in the run folder now; None where the folder cannot be reached from here.

        The kernel frees it when that process ends, however it does.
        """
        if not self.root.is_dir():
            return None
        try:
            if not (self.root / ".lock").exists():
                return False
            with FileLock(self.root / ".lock", timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return None

    @contextmanager
    def lock(self, *, join: bool = False, patience: float = _GLANCE) -> Iterator[None]:
        """Hold the run folder for this process.

        Args:
            join: inside another lock of the same thread, take part in that one; for a flow that is called by a holder.
            patience: seconds to wait for another process; the least is what looking whether a folder is held may take.

        Raises:
            RunLockedError: another process holds it; the message names its host and pid.
            RunFolderError: the folder cannot be written.
        """
        root = self.root.resolve()
        if join and root in _held.get():
            yield
            return
        with self._locked(patience):
            token = _held.set(_held.get() | {root})
            try:
                yield
            finally:
                _held.reset(token)

    @contextmanager
    def _locked(self, patience: float) -> Iterator[None]:
        holder = self.root / ".holder"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / ".lock", timeout=patience)
            lock.acquire()
        except Timeout as error:
            raise RunLockedError(
                f"{self.root} is in use by {_who(holder)}; wait for it, or choose another run with --out"
            ) from error
        except OSError as error:
            raise RunFolderError(
                f"cannot write the run folder {self.root}: {error.strerror or error}; choose a writable folder with --out, "
                "or `runs` in the params file"
            ) from error
        try:
            write_bytes(holder, f"host {socket.gethostname()}, pid {os.getpid()}".encode())
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()


def _who(holder: Path) -> str:
    try:
        return holder.read_text()
    except OSError:  # it has just been let go, or was only looked at
        return "another process"


def stage_hash(stage: str, *, version: int, inputs: Mapping[str, Any]) -> str:
    """The hash under which a stage is kept: same stage, version and inputs, same hash."""
    return content_hash({"stage": stage, "version": version, "inputs": inputs})


def run_stage(
    run: RunFolder, stage: str, *, version: int, inputs: Mapping[str, Any], compute: Callable[[Path], Mapping[str, Any]]
) -> StageResult:
    """Compute a stage once for given inputs.

    Args:
        run: where it is kept.
        stage: one of STAGES.
        version: the stage's own STAGE_VERSION; raise it when the same inputs give another output.
        inputs: everything the output depends on, JSON-like.
        compute: fills the folder it is given (where finished shards of an earlier, killed try may lie already) and returns
            a small JSON-like summary.

    Raises:
        RunFolderError: the folder cannot be written; finished shards are kept.
    """
    inputs_hash = stage_hash(stage, version=version, inputs=inputs)
    final, partial = run.stage(stage), run.partial(stage, inputs_hash)
    record = run.stage_record(stage)
    if record is not None and record["inputs_hash"] == inputs_hash:
        log.info("%s: reused", stage)
        return StageResult(stage, final, inputs_hash, record["summary"], reused=True)
    adopted = (partial / "stage.json").exists()
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"cannot write the run folder {run.root}: {error.strerror or error}") from error
    if adopted:
        summary = read_json(partial / "stage.json")["summary"]
    else:
        log.info("%s: computing", stage)
        summary = compute(partial)
        for leftover in list(partial.rglob(f".*{_TEMPORARY}")):  # of a process killed while it wrote
            leftover.unlink(missing_ok=True)  # its writer may be at work yet, in a try that was given up
        write_json(
            partial / "stage.json", {"stage": stage, "inputs_hash": inputs_hash, "version": version, "summary": summary}
        )
    make_final(run, stage, partial)
    log.info("%s: %s", stage, "reused" if adopted else "computed")
    return StageResult(stage, final, inputs_hash, summary, reused=adopted)


def make_final(run: RunFolder, stage: str, partial: Path) -> None:
    """Let a stage that is whole in its partial folder take its place, and that of an outdated one; other begun ones go.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    final = run.stage(stage)
    try:
        if final.exists():
            outdated = run.root / ".partial" / f"{stage}-outdated"
            shutil.rmtree(outdated, ignore_errors=True)
            final.rename(outdated)
        partial.rename(final)
    except OSError as error:
        raise RunFolderError(f"cannot write the run folder {run.root}: {error.strerror or error}") from error
    for leftover in (run.root / ".partial").glob(f"{stage}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
