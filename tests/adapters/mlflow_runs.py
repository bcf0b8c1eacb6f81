"""Help for the tests of MLflow: what a store holds, and processes that die while they write to it."""

import importlib
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from neuroinspect.machinery import Machinery

SKIPPED_TAGS = {"mlflow.parentRunId", "run_id", "mlflow.modelVersions"}


def client(machinery: Machinery) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(machinery.mlflow_store, machinery.mlflow_store)


def everything(machinery: Machinery) -> tuple[list[str], dict[str, bytes]]:
    """Every row of the database and every file beside it."""
    with closing(sqlite3.connect(machinery.state / "mlflow" / "mlflow.db")) as database:
        rows = sorted(database.iterdump())
    files = [path for path in machinery.mlflow_artifacts.rglob("*") if path.is_file()]
    return rows, {str(path.relative_to(machinery.mlflow_artifacts)): path.read_bytes() for path in files}


def runs(machinery: Machinery) -> list[Any]:
    """All runs, the parents first."""
    mlflow = client(machinery)
    found = mlflow.search_runs([one.experiment_id for one in mlflow.search_experiments()])
    return sorted(found, key=lambda run: (run.data.tags.get("method", ""), run.info.start_time))


def remembered(machinery: Machinery, *, files: bool = True) -> list[Any]:
    """What the runs say, without identifiers, times, and the state of the machine."""
    mlflow, told = client(machinery), []
    for run in runs(machinery):
        root = Path(run.info.artifact_uri.removeprefix("file://"))
        points = [
            (name, point.value, point.step)
            for name in sorted(run.data.metrics)
            if not name.startswith("system/")
            for point in mlflow.get_metric_history(run.info.run_id, name)
        ]
        told.append(
            {
                "name": run.info.run_name,
                "status": run.info.status,
                "tags": {name: text for name, text in sorted(run.data.tags.items()) if name not in SKIPPED_TAGS},
                "params": dict(sorted(run.data.params.items())),
                "points": points,
                "inputs": sorted((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs),
                "files": {
                    str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*")) if files
                },
            }
        )
    return told


def registered(machinery: Machinery, *, files: bool = True) -> dict[str, Any]:
    """Logged models and versions, without identifiers and times."""
    mlflow = client(machinery)
    experiments = [one.experiment_id for one in mlflow.search_experiments()]
    models = mlflow.search_logged_models(experiments)
    root = [Path(one.artifact_location.removeprefix("file://")) / "artifacts" / "package" for one in models]
    return {
        "outputs": [len(run.outputs.model_outputs) for run in runs(machinery) if "method" not in run.data.tags],
        "models": [(str(one.status), one.tags["mlflow.modelVersions"]) for one in models],
        "weights": [(place / "model.safetensors").read_bytes() for place in root if files],
        "versions": [
            (
                one.name,
                int(one.version),
                {name: text for name, text in sorted(one.tags.items()) if name not in SKIPPED_TAGS},
            )
            for one in mlflow.search_model_versions()
        ],
        "aliases": {
            one.name: {alias: int(version) for alias, version in one.aliases.items()}
            for one in mlflow.search_registered_models()
        },
    }


def attempt(task: Callable[..., Any], arguments: Sequence[Any], watched: Path, moments: Sequence[int]) -> list[int]:
    """Call `task` in one process after another, each killed at its moment, and once more in one that is left alone.

    Args:
        task: what to call.
        arguments: for it.
        watched: folder whose files are counted.
        moments: for each process, the number of the write at which it dies.

    Returns:
        The exit codes of all of them.
    """
    for module in ("mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"):
        importlib.import_module(module)  # before the forks: seconds of imports are paid once
    codes = []
    for moment in (*moments, None):
        child = os.fork()
        if child == 0:
            if moment is not None:
                _die_after(moment, watched)
            try:
                task(*arguments)
                os._exit(0)
            finally:
                os._exit(1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return codes


def _die_after(count: int, watched: Path) -> None:
    """Die at this write: the commit of a transaction, or the opening of a file for writing."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    seen = 0

    def another(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(name: str, words: tuple[Any, ...]) -> None:
        if name == "open" and str(words[0]).startswith(str(watched)) and words[1] not in {"r", "rb", None}:
            another()

    event.listen(Engine, "commit", another)
    sys.addaudithook(watch)
