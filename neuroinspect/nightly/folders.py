"""The folders of a night: one for what all classes share, one for each class, all below the folder of the runs.

Their names follow from model, data and class alone, so whatever is done again goes on where it stopped.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from neuroinspect.artifacts import RunFolder, make_final, read_json, write_bytes
from neuroinspect.errors import RunFolderError
from neuroinspect.nightly.naming import model_label, safe_name, short_version
from neuroinspect.settings import Params

SHARED: Final = ("validate", "extract")
"""The stages that do not depend on the class: the backbone runs once for all of them."""


def night_folder(params: Params, runs: Path, *, version: str) -> RunFolder:
    """Folder of what the classes of a night share.

    Args:
        params: with the model brought here.
        runs: folder of the run folders.
        version: fingerprint of the model.
    """
    return RunFolder(runs / f"nightly-{model_label(params.model, version=version)}")


def class_folder(night: RunFolder, class_name: str) -> RunFolder:
    """Run folder of one class, by model, data and class.

    Raises:
        StageOrderError: the night has no finished validate.
    """
    night.require("validate")
    data = short_version(read_json(night.root / "run.json")["data_version"])
    return RunFolder(night.root.with_name(f"{night.root.name}-{data}-{safe_name(class_name)}"))


def share_stages(night: RunFolder, run: RunFolder) -> None:
    """Give a run folder the finished stages that do not depend on the class, and the checks they passed; twice is once.

    The files are linked where the file system can, so that a night costs the disk of one pass. No stage writes into a finished
    file, so neither folder can change the other.

    Raises:
        StageOrderError: the night lacks one of them.
        RunFolderError: the folder cannot be written.
    """
    for stage in SHARED:
        source, known = night.require(stage), run.stage_record(stage)
        if known is None or known["inputs_hash"] != night.upstream_hash(stage):
            partial = run.root / ".partial" / f"{stage}-shared"
            try:
                shutil.rmtree(partial, ignore_errors=True)
                partial.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(source, partial, copy_function=_link)
            except OSError as error:
                raise RunFolderError(f"cannot write the run folder {run.root}: {error}") from error
            make_final(run, stage, partial)
        passed = night.root / "checks" / f"{stage}.json"
        if passed.exists():
            write_bytes(run.root / "checks" / passed.name, passed.read_bytes())


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
