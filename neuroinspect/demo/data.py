"""The pictures of the default scenario in a folder of their own: drawn once, the same bytes on every machine."""

import hashlib
import logging
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from neuroinspect.demo import scenario
from neuroinspect.errors import RunFolderError
from neuroinspect.ports import Progress, silent

DIGEST = "40e2141acd74340d7f2cfbfbb4f45a5ca4c5550b1370f2fdd0bde081d6c23b75"
"""SHA-256 over name and bytes of every file of the folder, in the order of the table."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DemoData:
    """What lies in the folder.

    Attributes:
        table: pictures.csv.
        splits: split -> pictures.
        drawn: whether the pictures were drawn now; else they were there already.
    """

    table: Path
    splits: dict[str, int]
    drawn: bool


def draw_demo_data(folder: Path, *, digest: str = DIGEST, progress: Progress = silent) -> DemoData:
    """Draw the pictures and pictures.csv into a folder that appears whole or not at all; what is there whole is kept.

    Args:
        folder: to draw into. Where some of its pictures are missing or changed, all are drawn again.
        digest: of the whole folder.
        progress: is told how many pictures are drawn.

    Raises:
        RunFolderError: the folder holds something else, or cannot be written.
    """
    table = scenario.picture_table(scenario.DEFAULT_PLANT)
    paths = [*table["path"], "pictures.csv"]
    _refuse_strangers(folder, paths)
    present = [path for path in paths if (folder / path).is_file()]
    whole = len(present) == len(paths) and data_digest(folder, paths) == digest
    if not whole:
        if present:
            what = (
                f"{len(paths) - len(present)} files are missing" if len(present) < len(paths) else "a file was changed"
            )
            log.warning("%s: %s; drawing all pictures again", folder, what)
        _draw(folder, paths, digest, progress)
    return DemoData(folder / "pictures.csv", dict(Counter(table["split"])), drawn=not whole)


def data_digest(folder: Path, paths: list[str]) -> str:
    """SHA-256 over name and bytes of the files, in the order they are named."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.encode() + b"\0" + (folder / path).read_bytes())
    return digest.hexdigest()


def _refuse_strangers(folder: Path, paths: list[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; name a folder")
    known = set(paths)
    lying = (path for path in folder.rglob("*") if not path.is_dir())
    strange = next((path for path in lying if path.relative_to(folder).as_posix() not in known), None)
    if strange is not None:
        raise RunFolderError(
            f"{folder} holds {strange.relative_to(folder)}, which is not of the demo; remove it, or name another folder"
        )


def _draw(folder: Path, paths: list[str], digest: str, progress: Progress) -> None:
    """Draw beside the folder, and put it in place by one rename."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(mkdtemp(prefix=f".{folder.name}-", suffix=".drawing", dir=folder.parent))
    except OSError as error:
        raise RunFolderError(f"cannot write {folder.parent}: {error.strerror or error}") from error
    try:
        scenario.write_pictures(beside / "new", scenario.DEFAULT_PLANT, progress)
        if folder.exists():
            folder.rename(beside / "old")
        (beside / "new").rename(folder)
    except RunFolderError:
        raise
    except OSError as error:
        # Another process may have drawn the same at the same time: then its folder is as good.
        if not (all((folder / path).is_file() for path in paths) and data_digest(folder, paths) == digest):
            raise RunFolderError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
