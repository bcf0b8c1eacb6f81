"""A finished run in MLflow: written again as often as it takes, and there once.

Every point has the time at which the parent run started, every file its place, every run a key in its tags: what was written
before the process died is written over. The parent becomes FINISHED last, and a finished one is left alone.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
import torch

from neuroinspect.adapters.mlflow_entries import FINISHED, PARENT, create_run, find_run, write_entry
from neuroinspect.adapters.mlflow_record import Entry, RunRecord, name_of_model, read_record, run_key
from neuroinspect.adapters.mlflow_store import KEY, asking, experiment_id, open_client
from neuroinspect.artifacts import RunFolder
from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

EXPERIMENTS: Final = "neuroinspect/"
_MEGABYTE: Final = 2**20


class MlflowTracker:
    """A Tracker that writes to MLflow."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery

    def track(self, run: Path, params: Params) -> str:
        """Record the run, see the port.

        Raises:
            StageOrderError: the run has not come to its report.
            ArtifactError: a file of the run folder is missing or damaged.
            OutsideError: MLflow cannot be reached, or refuses.
        """
        folder = RunFolder(run)
        key, model = run_key(folder, params), name_of_model(folder)
        with asking(self._machinery, "say whether it has the run"):
            client = open_client(self._machinery)
            experiment = experiment_id(client, self._machinery, EXPERIMENTS + model)
            parent = find_run(client, experiment, key)
        if parent is not None and parent.info.status == FINISHED:
            return str(parent.info.run_id)
        # A loopback address would lead everybody else to their own machine.
        page_of = None if self._machinery.page_url is None else self._machinery.page_of
        record = read_record(folder, params, page_of=page_of)
        with asking(self._machinery, "take the run"):
            parent = parent or create_run(client, experiment, record.parent)
            _write_parent(client, parent, record)
            _write_children(client, parent, record)
            client.set_terminated(parent.info.run_id, FINISHED)
        return str(parent.info.run_id)


def _write_parent(client: "MlflowClient", parent: "Run", record: RunRecord) -> None:
    identifier = parent.info.run_id
    write_entry(client, parent, record.parent, time=parent.info.start_time)
    client.log_inputs(identifier, _datasets(record))
    client.log_dict(identifier, dict(record.settings), "settings.json")
    # As MlflowClient.log_table leaves them; it would add the rows once more each time it is called.
    for name, table in record.tables.items():
        client.log_dict(identifier, dict(table), f"tables/{name}.json")
    tables = [{"path": f"tables/{name}.json", "type": "table"} for name in record.tables]
    client.set_tag(identifier, "mlflow.loggedArtifacts", json.dumps(tables))
    for path, place in record.files:
        if path.is_dir():
            client.log_artifacts(identifier, str(path), place)
        elif path.exists():
            client.log_artifact(identifier, str(path), place or None)
    if not any(name.startswith("system/") for name in parent.data.metrics):
        reading = Entry("", tags={}, params={}, metrics=_system_metrics())
        write_entry(client, parent, reading, time=parent.info.start_time)


def _write_children(client: "MlflowClient", parent: "Run", record: RunRecord) -> None:
    experiment, identifier = parent.info.experiment_id, parent.info.run_id
    found = client.search_runs([experiment], f"tags.`{PARENT}` = '{identifier}'", max_results=1000)
    known = {run.data.tags[KEY]: run for run in found}
    for entry in record.children.values():
        child = known.get(entry.tags[KEY]) or create_run(client, experiment, entry, parent=parent)
        if child.info.status != FINISHED:
            write_entry(client, child, entry, time=parent.info.start_time)
            client.set_terminated(child.info.run_id, FINISHED)


def _datasets(record: RunRecord) -> "list[DatasetInput]":
    """One data set for each split; MLflow keeps one of the same name and digest once."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, Schema

    columns = Schema([ColSpec("string", name) for name in record.manifest.columns])
    inputs = []
    for split, rows in record.manifest.groupby("split"):
        profile = {
            "num_rows": len(rows),
            "classes": {str(name): int(count) for name, count in rows["label"].value_counts().sort_index().items()},
            "data_version": record.data_version,
        }
        dataset = Dataset(
            name=str(split),
            digest=record.manifest_hash[:36],
            source_type="local",
            # Among the artifacts of the run: MLflow takes no address of DVC, and a path would say where the run was made.
            source=json.dumps({"uri": "validate/manifest.parquet"}),
            schema=json.dumps({"mlflow_colspec": columns.to_dict()}),
            profile=json.dumps(profile),
        )
        inputs.append(DatasetInput(dataset, tags=[InputTag("mlflow.data.context", str(split))]))
    return inputs


def _system_metrics() -> dict[str, float]:
    """What this process has needed up to now: in a flow, the one that edited and evaluated."""
    process = psutil.Process()
    times = process.cpu_times()
    figures = {
        "system/process_cpu_seconds": times.user + times.system,
        "system/process_memory_megabytes": process.memory_info().rss / _MEGABYTE,
        "system/system_memory_usage_percentage": psutil.virtual_memory().percent,
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        figures["system/gpu_peak_memory_megabytes"] = torch.cuda.max_memory_allocated() / _MEGABYTE
    return figures
