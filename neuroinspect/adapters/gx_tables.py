"""What great-expectations is given of each stage: frames with one row for each thing that a message may have to name.

Beside the columns of the files they hold what a single row cannot tell, so that every failing row has a name.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroinspect.artifacts import RunFolder, read_array, read_table
from neuroinspect.dataset import SPLITS

REQUIRED_SPLITS: Final = ("train", "select", "judge")
_CHUNK_BYTES: Final = 64 << 20


def summary(run: RunFolder, stage: str) -> Mapping[str, Any]:
    """What a finished stage noted of itself.

    Raises:
        StageOrderError: the stage has not run.
    """
    run.require(stage)
    record = run.stage_record(stage) or {}
    return dict(record["summary"])


def pictures(manifest: pd.DataFrame) -> pd.DataFrame:
    """The manifest, and for each picture the number of splits that hold the same image (by file, or by pixels)."""
    by_file, by_pixels = (
        manifest.groupby(column)["split"].transform("nunique").to_numpy() for column in ("sha256", "pixels_sha256")
    )
    return manifest.assign(splits_with_it=np.maximum(by_file, by_pixels))


def class_counts(manifest: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Columns split, label, pictures: every class in every split, also where there is none."""
    present = set(manifest["split"])
    splits = [split for split in SPLITS if split in present or split in REQUIRED_SPLITS]
    counts = manifest.groupby(["split", "label"]).size()
    rows = [(split, label, int(counts.get((split, label), 0))) for split in splits for label in classes]
    return pd.DataFrame(rows, columns=["split", "label", "pictures"])


def split_counts(manifest: pd.DataFrame, noted: Mapping[str, int]) -> pd.DataFrame:
    """Columns split, pictures, noted (by the stage)."""
    counts = manifest["split"].value_counts()
    splits = [split for split in SPLITS if split in counts.index or split in noted or split in REQUIRED_SPLITS]
    return pd.DataFrame(
        [(split, int(counts.get(split, 0)), int(noted.get(split, 0))) for split in splits],
        columns=["split", "pictures", "noted"],
    )


def quarantine(run: RunFolder, *, usable: int) -> pd.DataFrame:
    """Columns path, reason, share: the part of all files that lies in quarantine, the same in every row."""
    rows = pd.read_csv(run.stage("validate") / "quarantine.csv", dtype=str, keep_default_na=False)
    return rows.assign(share=len(rows) / max(1, len(rows) + usable))


def split_samples(run: RunFolder) -> dict[str, pd.DataFrame]:
    """samples.<split>.parquet of every split that has one.

    Raises:
        ArtifactError: a file is damaged.
    """
    files = {split: run.stage("extract") / f"samples.{split}.parquet" for split in SPLITS}
    return {split: read_table(file) for split, file in files.items() if file.exists()}


def split_features(run: RunFolder) -> dict[str, NDArray[Any]]:
    """features.<split>.npy of every split that has one, mapped into memory; what is no matrix of floats is left out.

    Raises:
        ArtifactError: a file is damaged.
    """
    files = {split: run.stage("extract") / f"features.{split}.npy" for split in SPLITS}
    arrays = {split: read_array(file) for split, file in files.items() if file.exists()}
    return {split: array for split, array in arrays.items() if array.ndim == 2 and array.dtype.kind == "f"}


def extracted_splits(
    manifest: pd.DataFrame, samples: Mapping[str, pd.DataFrame], features: Mapping[str, NDArray[Any]], *, width: int
) -> pd.DataFrame:
    """Columns split, manifest_rows, sample_rows, feature_rows, width, noted_width (by the stage)."""
    counts = manifest["split"].value_counts()
    rows = []
    for split in (split for split in SPLITS if split in counts.index or split in samples or split in features):
        length, columns = features[split].shape if split in features else (0, 0)
        rows.append((split, int(counts.get(split, 0)), len(samples.get(split, ())), length, columns, width))
    return pd.DataFrame(rows, columns=["split", "manifest_rows", "sample_rows", "feature_rows", "width", "noted_width"])


def extracted_samples(
    manifest: pd.DataFrame,
    samples: Mapping[str, pd.DataFrame],
    features: Mapping[str, NDArray[Any]],
    *,
    classes: list[str],
) -> pd.DataFrame:
    """One row for each picture of every split, with what its features and the manifest say about it.

    Beside the columns of the samples: split, target_label (name of the target), manifest_sha256 (missing where the manifest
    has no such picture in this split), smallest, largest (finite feature; missing where there is none) and not_finite (how many
    are NaN or infinite).
    """
    names = dict(enumerate(classes))
    hashes = manifest.drop_duplicates(["split", "path"]).set_index(["split", "path"])["sha256"].to_dict()
    parts = []
    for split, rows in samples.items():
        known = pd.Series([hashes.get((split, path)) for path in rows["path"]], index=rows.index, dtype=object)
        extremes = _extremes(features.get(split), len(rows)).set_index(rows.index)
        part = rows.assign(split=split, target_label=rows["target"].map(names), manifest_sha256=known)
        parts.append(pd.concat([part, extremes], axis=1))
    return pd.concat(parts, ignore_index=True)


def _extremes(features: NDArray[Any] | None, count: int) -> pd.DataFrame:
    """Columns smallest, largest, not_finite of `count` rows, a chunk in memory at a time; missing past the features' end."""
    found = np.full((count, 3), np.nan)
    length, width = (0, 0) if features is None else features.shape
    if features is not None and width:
        step = max(1, _CHUNK_BYTES // (width * features.itemsize))
        end = min(length, count)
        for start in range(0, end, step):
            chunk = features[start : min(start + step, end)]
            finite = np.isfinite(chunk)
            empty = ~finite.any(axis=1)
            rows = slice(start, start + len(chunk))
            found[rows, 0] = np.where(empty, np.nan, np.where(finite, chunk, np.inf).min(axis=1))
            found[rows, 1] = np.where(empty, np.nan, np.where(finite, chunk, -np.inf).max(axis=1))
            found[rows, 2] = (~finite).sum(axis=1)
    return pd.DataFrame(found, columns=["smallest", "largest", "not_finite"])
