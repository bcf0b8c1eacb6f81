"""Stage extract: one pass of the backbone over every split. A killed run loses at most one shard."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from neuroinspect.artifacts import (
    RunFolder,
    StageResult,
    read_array,
    read_table,
    read_tensors,
    run_stage,
    write_array,
    write_array_parts,
    write_json,
    write_table,
    write_tensors,
)
from neuroinspect.dataset import SPLITS, data_root
from neuroinspect.errors import DataError
from neuroinspect.features import ExtractedFeatures, extract_features, shard_bounds
from neuroinspect.metrics import average_accuracy, per_class_accuracy, worst_class
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params
from neuroinspect.stages.models import classifier_of

STAGE_VERSION = 1
_SHARDS = "shards"
_NAMES_SHOWN = 5

Backbone = Callable[[pd.DataFrame, int, int], ExtractedFeatures]


def extract(run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Features and predictions of every picture of the manifest, class representatives, and the accuracies.

    Raises:
        StageOrderError: validate has not been run.
        ModelError: the classifier cannot be loaded or used.
        DataError: class names that do not match the labels, or a picture that has changed since it was validated.
        FeaturesError: features that are NaN or infinite.
        RunFolderError: the folder cannot be written; finished shards are kept.
    """
    manifest = read_table(run.require("validate") / "manifest.parquet")
    validated: Mapping[str, Any] = (run.stage_record("validate") or {})["summary"]
    classifier = classifier_of(params)
    classes = resolve_class_names(classifier.class_names, validated["classes"])

    root = data_root(params.data)

    def backbone(rows: pd.DataFrame, start: int, end: int) -> ExtractedFeatures:
        names = rows["path"].tolist()[start:end]
        return extract_features(
            classifier,
            [root / name for name in names],
            batch_size=params.extract.batch_size,
            names=names,
            sha256=rows["sha256"].tolist()[start:end],
            progress=lambda _, done, __: progress(f"extract {rows['split'].iloc[0]}", start + done, len(rows)),
        )

    def compute(folder: Path) -> Mapping[str, Any]:
        samples = _write_splits(
            folder, manifest, classes=classes, shard_size=params.extract.shard_size, backbone=backbone
        )
        targets = samples["select"]["target"].to_numpy()
        means = class_means(read_array(folder / "features.select.npy"), targets, num_classes=len(classes))
        write_array(folder / "representatives.npy", means)
        measured = dict(samples)
        if validated["halved"]:
            measured["validation"] = pd.concat([samples["select"], samples["judge"]])
        splits = {split: performance(rows, classes) for split, rows in measured.items()}
        write_json(folder / "performance.json", {"classes": list(classes), "splits": splits})
        return {
            "classes": list(classes),
            "model": classifier.fingerprint,
            "features": classifier.num_features,
            "maps_kind": classifier.maps_kind,
            "splits": {split: len(rows) for split, rows in samples.items()},
            "accuracy": {split: figures["accuracy"] for split, figures in splits.items()},
        }

    inputs = {
        # not the hash of validate, which holds the files' times: pictures that were only touched are not run again
        "data_version": validated["data_version"],
        "halved": validated["halved"],
        "model": params.model.spec,
        "classifier": classifier.fingerprint,
        "settings": params.extract.model_dump(mode="json"),
    }
    return run_stage(run, "extract", version=STAGE_VERSION, inputs=inputs, compute=compute)


def resolve_class_names(names: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The names of the logits, in their order, checked against the labels of the data.

    Args:
        names: of the classifier; the numbers "0" to "C-1" where its model says nothing.
        labels: of the data. Where the names are only numbers, and the labels are not, the sorted labels are the names:
            the order of folder-per-class loaders.

    Raises:
        DataError: names and labels differ; the message names the differences.
    """
    if set(names) == set(labels):
        return tuple(names)
    numbered = list(names) == [str(k) for k in range(len(names))]
    if numbered and len(labels) == len(names):
        return tuple(sorted(labels))
    if numbered:
        raise DataError(
            f"the classifier has {len(names)} classes without names, but the data have {len(labels)} labels "
            f"({_some(labels)}); give `model.class_names` in the order of the logits, and pictures of each class"
        )
    raise DataError(
        f"the class names of the classifier do not match the labels: only in the data: "
        f"{_some(sorted(set(labels) - set(names)))}; only in the classifier: {_some(sorted(set(names) - set(labels)))}; "
        "correct `model.class_names` or the labels"
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN]) or "none"
    return f"{shown} and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else shown


def _write_splits(
    folder: Path, manifest: pd.DataFrame, *, classes: tuple[str, ...], shard_size: int, backbone: Backbone
) -> dict[str, pd.DataFrame]:
    """Write features and samples of every split; the samples by split."""
    samples: dict[str, pd.DataFrame] = {}
    for split in (split for split in SPLITS if (manifest["split"] == split).any()):
        table, features, shards = (
            folder / f"samples.{split}.parquet",
            folder / f"features.{split}.npy",
            folder / _SHARDS,
        )
        if not table.exists():  # written last, so the features are there with it
            rows = manifest[manifest["split"] == split].reset_index(drop=True)
            files = _fill_shards(shards / split, rows, shard_size=shard_size, backbone=backbone)
            width = read_tensors(files[0])["features"].shape[1]
            parts = (read_tensors(file)["features"].numpy() for file in files)
            write_array_parts(features, parts, shape=(len(rows), width))
            predictions = np.concatenate([read_tensors(file)["predictions"].numpy() for file in files])
            targets = rows["label"].map(classes.index).astype(np.int64)
            columns = rows[["path", "label"]].assign(target=targets, group=rows["group"], sha256=rows["sha256"])
            write_table(table, columns.assign(prediction=predictions))
        shutil.rmtree(shards / split, ignore_errors=True)
        samples[split] = read_table(table)
    shutil.rmtree(folder / _SHARDS, ignore_errors=True)
    return samples


def _fill_shards(folder: Path, rows: pd.DataFrame, *, shard_size: int, backbone: Backbone) -> list[Path]:
    files = []
    for start, end in shard_bounds(len(rows), shard_size):
        file = folder / f"{start}.safetensors"
        if not file.exists():
            found = backbone(rows, start, end)
            arrays = {"features": found.features, "predictions": found.predictions}
            write_tensors(file, {name: torch.from_numpy(array) for name, array in arrays.items()})
        files.append(file)
    return files


def class_means(features: NDArray[np.float32], targets: NDArray[np.int64], *, num_classes: int) -> NDArray[np.float32]:
    """Mean features (C, F) of each class; features (N, F), targets (N,), every class with a sample."""
    means = [features[targets == k].mean(axis=0, dtype=np.float64) for k in range(num_classes)]
    return np.stack(means).astype(np.float32)


def performance(samples: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracies of one split, with Wilson 95 % intervals; samples hold target and prediction."""
    predictions, targets = samples["prediction"].to_numpy(), samples["target"].to_numpy()
    cells = per_class_accuracy(predictions, targets, num_classes=len(classes))
    per_class: dict[str, dict[str, Any]] = {}
    for name, cell in zip(classes, cells, strict=True):
        low, high = cell.interval()
        per_class[name] = {"count": cell.count, "accuracy": cell.accuracy, "low": low, "high": high}
    worst = classes[worst_class(cells)]
    return {
        "count": len(samples),
        "accuracy": average_accuracy(predictions, targets),
        "per_class": per_class,
        "worst_class": {"name": worst, "accuracy": per_class[worst]["accuracy"], "count": per_class[worst]["count"]},
    }
