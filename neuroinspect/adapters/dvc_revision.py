"""Under which version DVC keeps the data, and data that DVC keeps brought here.

DVC is asked as a library. Nothing here takes DVC's lock but a pull, so a stage of `dvc repro` may ask too; hashes come from
DVC's own record of what it hashed before, so a folder is only listed unless its files changed.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from neuroinspect.errors import DataError

# Louder than anything DVC says; its progress bars are off above ERROR as well.
_SILENCE = logging.CRITICAL + 1
log = logging.getLogger(__name__)


class DvcRevision:
    """A RevisionReader over the DVC repository a path lies in."""

    def revision(self, path: Path) -> str | None:
        """The version of a file or folder as `dvc:<md5>`, where DVC keeps it, or a folder it lies in, and nothing changed.

        Raises:
            DataError: a file of DVC is damaged.
        """
        place = _normal(path)
        if not place.exists():
            return None
        try:
            with _kept(place) as out:
                if out is None or not out.exists or out.get_hash() != out.hash_info:
                    return None
                return f"dvc:{out.hash_info.value}"
        except (OSError, sqlite3.Error) as error:
            log.warning("DVC cannot say which version %s has: %s", path, error)
            return None

    def pull(self, path: Path) -> None:
        """Bring a file or folder that DVC keeps and that is not here: from its cache, or else from the default remote.

        Raises:
            DataError: it is in no cache and there is no remote, or it cannot be brought; or a file of DVC is damaged.
        """
        place = _normal(path)
        if place.exists():
            return
        with _kept(place) as out:
            if out is None:
                return
            start = f"{path} is kept by {_keeper(out)} and is not here{_note(out)}"
            _bring(out, path, start)
        if not place.exists():
            raise DataError(f"{start}, and what DVC keeps does not hold it; correct `data` in the params file")

    def update(self, path: Path) -> None:
        """Bring the version of a file or folder that its DVC file names; nothing where it is here, or DVC does not keep it.

        Raises:
            DataError: what is here was changed and is in no cache, so it would be lost; or as `pull`.
        """
        place = _normal(path)
        if not place.exists():
            self.pull(path)
            return
        with _kept(place) as out:
            if out is None or not out.use_cache or out.get_hash() == out.hash_info:
                return
            _bring(out, path, f"{path} is not in the version that {_keeper(out)} names{_note(out)}")
        if not place.exists():
            raise DataError(f"the version of {path} that DVC names does not hold it; correct `data` in the params file")


def _keeper(out: Any) -> str:
    return Path(out.stage.path).name


def _note(out: Any) -> str:
    return f" ({out.annot.desc})" if out.annot.desc else ""


def _bring(out: Any, path: Path, start: str) -> None:
    """From the cache, or else from the default remote; what is here goes only where the cache holds it too."""
    if not out.use_cache:
        raise DataError(f"{start}; DVC keeps no copy of it, so make it again")
    remote = out.repo.config["core"].get("remote")
    in_cache = not out.changed_cache()
    if remote is None and not in_cache:
        raise DataError(
            f"{start}; DVC has no remote to bring it from: `dvc remote add -d NAME URL`, then run the same again"
        )
    source = "DVC's cache" if in_cache else f"the DVC remote {remote}"
    log.info("bringing %s from %s", path, source)
    try:
        (out.repo.checkout if in_cache else out.repo.pull)(targets=[out.fs_path])
    except Exception as error:  # the remote is anything: a disk, a bucket, a server, each with errors of its own
        raise DataError(
            f"{start}, and cannot be brought from {source}: {error}; correct it, then run the same again"
        ) from error


@contextmanager
def _kept(place: Path) -> Iterator[Any]:
    """The out of the repository that is the place or holds it, or None; DVC is silent meanwhile.

    Raises:
        DataError: a file of DVC is damaged.
    """
    root = next((folder for folder in place.parents if (folder / ".dvc").is_dir()), None)
    if root is None:
        yield None
        return
    from dvc.exceptions import DvcException
    from dvc.logger import set_loggers_level
    from dvc.repo import Repo

    # A project taken as an archive has no git, and DVC would refuse to look at it.
    in_git = any((folder / ".git").exists() for folder in (root, *root.parents))
    config = None if in_git else {"core": {"no_scm": True}}
    with set_loggers_level(_SILENCE), ExitStack() as stack:
        try:
            repo = stack.enter_context(closing(Repo(str(root), config=config)))
            outs = [out for out in repo.index.outs if out.protocol == "local" and out.hash_info]
        except Exception as error:  # DVC's own, and what it stumbles with over files that were written by hand
            reason = error if isinstance(error, DvcException) else f"{type(error).__name__} {error}"
            raise DataError(
                f"DVC cannot read what it keeps in {root}: {reason}; correct the file, `dvc status` reads it too"
            ) from error
        holding = [out for out in outs if place.is_relative_to(out.fs_path)]
        yield max(holding, key=lambda out: len(out.fs_path), default=None)


def _normal(path: Path) -> Path:
    # not resolve(): a folder that is a link into a cache is known under its own name
    return Path(os.path.normpath(path.absolute()))
