"""The nights of a model in MLflow: one run for each, and the history of its worst class over them.

The figures are those of the judge split, on which nothing was chosen: the select split chose between the tries of every edit, and
would flatter an edited model. Those of select stand beside them under `select/`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from neuroinspect.adapters.mlflow_entries import FINISHED, create_run, find_run, write_entry
from neuroinspect.adapters.mlflow_record import Entry, name_of_model
from neuroinspect.adapters.mlflow_store import KEY, as_tags, asking, experiment_id, open_client
from neuroinspect.adapters.mlflow_tracker import EXPERIMENTS
from neuroinspect.artifacts import RunFolder, content_hash, read_json
from neuroinspect.errors import OutsideError
from neuroinspect.machinery import Machinery
from neuroinspect.nightly import Night, short_version
from neuroinspect.report.history import NightPoint, history_plot

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PLOT: Final = "history.svg"
_NIGHTS: Final = "/nights"
_FIGURES: Final = ("worst_class_accuracy", "worst_class_accuracy_low", "worst_class_accuracy_high", "average_accuracy")
_FAILED: Final = "FAILED"
_PAGE: Final = 1000
_LONGEST: Final = 200


class MlflowHistory:
    """Keeps nights, and knows those that were kept."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery

    def keep(self, night: Night, *, planned: datetime) -> str:
        """Keep a night and the plot of all up to it; a night that is tried again is the same run of MLflow.

        Args:
            night: with its folder.
            planned: when it was to begin, with a time zone; a night that is there already keeps its own.

        Returns:
            Identifier of the run.

        Raises:
            ArtifactError: a file of the night's folder is missing or damaged.
            OutsideError: MLflow cannot be reached, or refuses.
        """
        folder = RunFolder(night.folder)
        name, entry = name_of_model(folder), night_entry(night)
        with asking(self._machinery, "take the night"):
            client = open_client(self._machinery)
            experiment = experiment_id(client, self._machinery, EXPERIMENTS + name + _NIGHTS)
            run = find_run(client, experiment, night.key)
            if run is not None and run.info.status == FINISHED:
                return str(run.info.run_id)
            run = run or create_run(client, experiment, entry, time=round(planned.timestamp() * 1000))
            write_entry(client, run, entry, time=run.info.start_time)
            client.log_dict(run.info.run_id, _table(night), "classes.json")
            points = [_point(one) for one in _nights(client, experiment) if _is_whole(one)]
            client.log_text(run.info.run_id, history_plot(points, name=name), PLOT)
            client.set_terminated(run.info.run_id, _FAILED if night.failed else FINISHED)
        return str(run.info.run_id)

    def points(self, name: str) -> list[NightPoint]:
        """The nights of a model, by time.

        Args:
            name: what the model is called in MLflow; that of the registry for a registered model.

        Raises:
            OutsideError: MLflow cannot be reached, or has no night of that model; the message names those it has.
        """
        with asking(self._machinery, "say what the nights gave"):
            client = open_client(self._machinery)
            known = client.get_experiment_by_name(EXPERIMENTS + name + _NIGHTS)
            runs = [] if known is None else [one for one in _nights(client, known.experiment_id) if _is_whole(one)]
            if not runs:
                raise OutsideError(
                    f"MLflow keeps no night of {name!r}; it has {_listed(client)}. The flow `nightly` makes one (docs/nightly.md)"
                )
            return [_point(run) for run in runs]


def night_entry(night: Night) -> Entry:
    """A night as MLflow keeps it.

    Raises:
        ArtifactError: a file of the night's folder is missing or damaged.
    """
    folder = RunFolder(night.folder)
    provenance = read_json(folder.root / "run.json")
    splits = read_json(folder.require("extract") / "performance.json")["splits"]
    asked = [one for one in night.classes if one.status == "asked"]
    return Entry(
        name=f"{night.date} {night.model}",
        tags=as_tags(
            {
                KEY: night.key,
                "night": night.date,
                "model_version": night.model,
                "model_origin": provenance["model"]["origin"],
                "model_fingerprint": provenance["model"]["fingerprint"],
                "data_version": provenance["data_version"],
                "worst_class": splits["judge"]["worst_class"]["name"],
                "debugged": json.dumps([one.name for one in night.classes], ensure_ascii=False),
                "reviews_opened": json.dumps([one.review for one in asked]),
                "failed": json.dumps([one.name for one in night.failed], ensure_ascii=False),
                "mlflow.source.name": "neuroinspect",
                "mlflow.note.content": "\n\n".join(f"    {one.name}: {one.sentence}" for one in night.classes),
            }
        ),
        params={},
        metrics={
            **dict(_figures(splits["judge"], "")),
            **dict(_figures(splits["select"], "select/")),
            "reviews_opened": float(len(asked)),
        },
    )


def metric_name(class_name: str) -> str:
    """A name under which MLflow takes the accuracy of a class; no other class gets it."""
    plain = re.sub(r"[^\w. :-]+", "_", class_name)[:_LONGEST]
    return f"class/{plain if plain == class_name and plain.strip('. ') else f'{plain}-{content_hash(class_name)[:8]}'}"


def _figures(split: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    worst = split["per_class"][split["worst_class"]["name"]]
    values = (worst["accuracy"], worst["low"], worst["high"], split["accuracy"])
    yield from ((prefix + name, value) for name, value in zip(_FIGURES, values, strict=True))
    for name, cell in split["per_class"].items():
        if cell["accuracy"] is not None:
            yield prefix + metric_name(name), cell["accuracy"]


def _table(night: Night) -> dict[str, Any]:
    """What the night made of each class, as MLflow shows tables."""
    columns = ["class", "status", "run", "review", "new", "stable", "what"]
    data = [
        [
            one.name,
            one.status,
            one.run.name,
            one.review,
            [] if one.news is None else list(one.news.new),
            {} if one.news is None else {str(neuron): share for neuron, share in one.news.stability.items()},
            one.sentence,
        ]
        for one in night.classes
    ]
    return {"columns": columns, "data": data}


def _nights(client: "MlflowClient", experiment: str) -> "list[Run]":
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment], max_results=_PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def _is_whole(run: "Run") -> bool:
    """Whether all of its figures are there: the process may have been killed while it wrote them."""
    return all(name in run.data.metrics for name in _FIGURES) and {"night", "worst_class"} <= run.data.tags.keys()


def _point(run: "Run") -> NightPoint:
    figures, tags = run.data.metrics, run.data.tags
    worst, low, high, average = (figures[name] for name in _FIGURES)
    return NightPoint(
        at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        worst_class=tags["worst_class"],
        worst=worst,
        low=low,
        high=high,
        average=average,
        model=tags["model_version"].rpartition("-")[2],
        data=short_version(tags["data_version"]),
    )


def _listed(client: "MlflowClient") -> str:
    kept = client.search_experiments(filter_string=f"name LIKE '{EXPERIMENTS}%{_NIGHTS}'")
    names = sorted(one.name.removeprefix(EXPERIMENTS).removesuffix(_NIGHTS) for one in kept)
    return f"those of {', '.join(names)}" if names else "none of any model"
