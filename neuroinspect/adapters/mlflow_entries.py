"""One entry of MLflow: found by its key, made once, written as often as it takes."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from neuroinspect.adapters.mlflow_record import Entry
from neuroinspect.adapters.mlflow_store import KEY

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FINISHED: Final = "FINISHED"
PARENT: Final = "mlflow.parentRunId"
_BATCH: Final = 100


def find_run(client: "MlflowClient", experiment: str, key: str) -> "Run | None":
    """The run with a key, the first where another process was as fast; None where there is none."""
    found = client.search_runs(
        [experiment], f"tags.`{KEY}` = '{key}'", max_results=1, order_by=["attributes.start_time ASC"]
    )
    return found[0] if found else None


def create_run(
    client: "MlflowClient", experiment: str, entry: Entry, *, parent: "Run | None" = None, time: int | None = None
) -> "Run":
    """Make a run, with its key from the start: what is there can be found again.

    Args:
        client: of the store.
        experiment: its identifier.
        entry: the run; its other tags, params and metrics are written by `write_entry`.
        parent: of which it is a child, with whose time.
        time: when it began, in milliseconds; None: now.
    """
    tags = {KEY: entry.tags[KEY]} | ({} if parent is None else {PARENT: parent.info.run_id})
    start = time if parent is None else parent.info.start_time
    return client.create_run(experiment, start_time=start, tags=tags, run_name=entry.name)


def write_entry(client: "MlflowClient", run: "Run", entry: Entry, *, time: int) -> None:
    """Write tags, params and metrics. MLflow keeps a point of the same name, time, step and value once."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = _batches([Metric(name, value, time, 0) for name, value in entry.metrics.items()])
    params = _batches([Param(name, text) for name, text in entry.params.items()])
    tags = _batches([RunTag(name, text) for name, text in entry.tags.items()])
    for some in zip_longest(metrics, params, tags, fillvalue=()):
        client.log_batch(run.info.run_id, *some)


def _batches(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[start : start + _BATCH] for start in range(0, len(values), _BATCH)]
