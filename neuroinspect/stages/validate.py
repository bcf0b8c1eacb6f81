"""Stage validate: the manifest of usable pictures, the quarantine, and a report. The model is not loaded."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from neuroinspect.artifacts import RunFolder, StageResult, run_stage, write_bytes, write_json, write_table
from neuroinspect.dataset.manifest import SPLITS, Manifest, build_manifest, quarantine_csv
from neuroinspect.dataset.sources import listing_hash, read_source
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params

STAGE_VERSION = 2


def validate(run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Check every picture and settle the splits.

    Done again when a file's name, size or time of change differs. What follows builds on `data_version` of the summary,
    a hash of names and contents: a file that was only touched costs this stage alone.

    Raises:
        DataError: the pictures, their table or their labels cannot be used at all.
        RunFolderError: the folder cannot be written.
    """
    source = read_source(params.data)

    def compute(folder: Path) -> Mapping[str, Any]:
        manifest = build_manifest(source, seed=params.seed, max_pixels=params.validate_.max_pixels, progress=progress)
        write_table(folder / "manifest.parquet", manifest.pictures)
        write_bytes(folder / "quarantine.csv", quarantine_csv(manifest.quarantine).encode())
        write_json(folder / "report.json", _report(manifest, source.classes))
        return _summary(manifest, source.classes, params.validate_.small_class)

    inputs = {
        "listing": listing_hash(params.data, source),
        "settings": params.validate_.model_dump(mode="json"),
        "seed": params.seed,
    }
    return run_stage(run, "validate", version=STAGE_VERSION, inputs=inputs, compute=compute)


def _summary(manifest: Manifest, classes: tuple[str, ...], small_class: int) -> dict[str, Any]:
    counts = manifest.pictures["split"].value_counts()
    return {
        "data_version": manifest.data_version,
        "classes": list(classes),
        "splits": {split: int(counts[split]) for split in SPLITS if split in counts},
        "halved": manifest.halved,
        "groups": bool(manifest.pictures["group"].notna().any()),
        "quarantined": len(manifest.quarantine),
        "warnings": _warnings(manifest, classes, small_class),
    }


def _report(manifest: Manifest, classes: tuple[str, ...]) -> dict[str, Any]:
    pictures = manifest.pictures
    splits = {}
    for split in (split for split in SPLITS if (pictures["split"] == split).any()):
        rows = pictures[pictures["split"] == split]
        labels = Counter(rows["label"])
        counts = {name: labels[name] for name in classes}
        splits[split] = {"count": len(rows), "classes": counts, "groups": _groups(rows)}
    kinds = Counter(reason.partition(":")[0] for reason in manifest.quarantine["reason"])
    return {
        "data_version": manifest.data_version,
        "halved": manifest.halved,
        "splits": splits,
        "quarantine": dict(kinds),
    }


def _groups(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    known = rows[rows["group"].notna()]
    groups: dict[str, dict[str, int]] = {}
    for (label, group), count in Counter(zip(known["label"], known["group"], strict=True)).items():
        groups.setdefault(label, {})[group] = count
    return groups


def _warnings(manifest: Manifest, classes: tuple[str, ...], small_class: int) -> list[str]:
    pictures = manifest.pictures
    judged = Counter(pictures.loc[pictures["split"].isin(["select", "judge"]), "label"])
    warnings = [
        f"class {name} has {judged[name]} validation pictures, fewer than {small_class}: its accuracy is uncertain"
        for name in classes
        if judged[name] < small_class
    ]
    if len(manifest.quarantine):
        warnings.append(f"{len(manifest.quarantine)} files were put in quarantine; see quarantine.csv")
    return warnings
