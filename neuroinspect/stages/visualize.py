"""Stage visualize: pictures of the diagnosed neurons for the reviewer. A killed run loses at most one shard.

For each neuron: what it looks for inside the class (illusion), its own pixels in it, what it looks for alone, and the real
pictures of the select split that activate it most.
"""

import hashlib
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
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
    read_json,
    read_table,
    run_stage,
    write_json,
    write_table,
)
from neuroinspect.dataset import data_root
from neuroinspect.illusion import Illusion, Objective, core_relevance
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params
from neuroinspect.stages.illusion_cache import ILLUSION_VERSION, IllusionMaker, Wish, guide_key
from neuroinspect.stages.models import classifier_of_run, guide_of
from neuroinspect.stages.real_pictures import draw_heatmaps, to_picture, top_pictures, write_picture
from neuroinspect.text_guide import bind_texts

STAGE_VERSION = 1
ILLUSION_COLUMNS = (
    "class",
    "neuron",
    "direction",
    "rank",
    "picture",
    "mask",
    "feature_visualization",
    "activation",
    "class_logit",
    "real_p95",
    "reached",
    "restarts",
    "guide_similarity",
    "core_relevance",
)
REAL_COLUMNS = ("class", "neuron", "rank", "path", "picture", "activation", "label", "prediction")
_SHARDS = "shards"
_PERCENTILE = 95


@dataclass(frozen=True, slots=True, eq=False)
class _Material:
    """What every shard needs: the maker of pictures and what extract left of the select split."""

    maker: IllusionMaker
    class_index: int
    features: NDArray[np.float32]
    representatives: NDArray[np.float32]
    samples: pd.DataFrame
    class_names: Sequence[str]
    data_root: Path
    real_images: int
    feature_visualization: bool


def visualize(run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Write illusions.parquet, real.parquet and their pictures; empty tables where diagnose found nothing to explain.

    Raises:
        StageOrderError: extract or diagnose has not been run.
        ModelError: the classifier or the text guide cannot be loaded.
        SettingsError: the guide's class texts or templates do not fit.
        DataError: a picture cannot be read, or has changed since it was validated.
        RunFolderError: the folder cannot be written; finished shards are kept.
    """
    extracted, diagnosed = run.require("extract"), run.require("diagnose")
    finding = (run.stage_record("diagnose") or {})["summary"]
    class_names = (run.stage_record("extract") or {})["summary"]["classes"]
    settings, classifier, guide = params.visualize, classifier_of_run(run, params), guide_of(params)
    texts = None if guide is None else bind_texts(guide, class_names, params.guide)
    fingerprint = classifier.fingerprint

    def compute(folder: Path) -> dict[str, Any]:
        if finding["status"] == "nothing_to_explain":
            return _gather(folder, [])
        chosen = choose_neurons(read_table(diagnosed / "neurons.parquet"), count=settings.neurons)
        material = _Material(
            maker=IllusionMaker(
                classifier,
                fingerprint,
                texts,
                settings.illusion,
                params.seed,
                params.runs.parent / "cache" / "illusions",
            ),
            class_index=finding["class_index"],
            features=read_array(extracted / "features.select.npy"),
            representatives=np.array(read_array(extracted / "representatives.npy")),
            samples=read_table(extracted / "samples.select.parquet"),
            class_names=class_names,
            data_root=data_root(params.data),
            real_images=settings.real_images,
            feature_visualization=settings.feature_visualization,
        )
        shards = []
        for start in range(0, len(chosen), settings.shard_size):
            progress("visualize", start, len(chosen))
            rows = chosen.iloc[start : start + settings.shard_size]
            shard = folder / _SHARDS / f"{start}-{start + len(rows)}.json"
            if not shard.exists():
                write_json(shard, _draw_shard(folder, rows, material))
            shards.append(shard)
        progress("visualize", len(chosen), len(chosen))
        return _gather(folder, shards)

    inputs = {
        "extract": run.upstream_hash("extract"),
        "diagnose": run.upstream_hash("diagnose"),
        "illusion_version": ILLUSION_VERSION,
        "classifier": fingerprint,
        "guide": guide_key(texts, finding["class_index"]),
        "settings": settings.model_dump(mode="json", exclude={"shard_size": True, "illusion": {"memory_cap_mb"}}),
        "seed": params.seed,
    }
    return run_stage(run, "visualize", version=STAGE_VERSION, inputs=inputs, compute=compute)


def choose_neurons(neurons: pd.DataFrame, *, count: int) -> pd.DataFrame:
    """The first `count` of each direction by rank, each neuron once; one that is `both` counts as insufficient.

    Args:
        neurons: the table of diagnose.
        count: of each direction.

    Returns:
        Rows of the table, insufficient ones first.
    """
    ranked = neurons.sort_values(["rank", "neuron"], kind="stable")
    excessive = ranked["direction"] == "excessive"
    chosen = pd.concat([ranked[~excessive].head(count), ranked[excessive].head(count)])
    return chosen.drop_duplicates(["class", "neuron"]).reset_index(drop=True)


def folder_name(class_name: str) -> str:
    """Name of a class made safe for a file system; different classes get different names."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", class_name)[:60]
    if safe == class_name:
        return safe
    return f"{safe}-{hashlib.sha256(class_name.encode()).hexdigest()[:8]}"


def _draw_shard(folder: Path, rows: pd.DataFrame, material: _Material) -> dict[str, Any]:
    """Make the pictures of a few neurons; the lines of both tables."""
    maker, neurons = material.maker, rows["neuron"].tolist()
    ranges = {neuron: float(np.percentile(material.features[:, neuron], _PERCENTILE)) for neuron in neurons}
    wishes = [Wish(neuron, material.class_index, floor=ranges[neuron]) for neuron in neurons]
    illusions = maker.make(wishes, Objective.ILLUSION)
    alone: Sequence[Illusion | None] = [None] * len(wishes)
    if material.feature_visualization:
        alone = maker.make(wishes, Objective.FEATURE_VISUALIZATION)
    relevance = core_relevance(illusions, maker.classifier, torch.from_numpy(material.representatives)).tolist()
    lines = []
    for row, illusion, plain, score in zip(rows.to_dict("records"), illusions, alone, relevance, strict=True):
        stem = f"{folder_name(row['class'])}/{row['neuron']}"
        write_picture(folder / f"{stem}.png", to_picture(illusion.image))
        write_picture(folder / f"{stem}.mask.png", to_picture(illusion.image * illusion.pixel_mask))
        if plain is not None:
            write_picture(folder / f"{stem}.fv.png", to_picture(plain.image))
        lines.append(
            {
                **{name: row[name] for name in ("class", "neuron", "direction", "rank")},
                "picture": f"{stem}.png",
                "mask": f"{stem}.mask.png",
                "feature_visualization": None if plain is None else f"{stem}.fv.png",
                "activation": illusion.activation,
                "class_logit": illusion.class_logit,
                "real_p95": ranges[row["neuron"]],
                "reached": illusion.activation >= ranges[row["neuron"]],
                "restarts": illusion.restarts,
                "guide_similarity": illusion.guide_similarity,
                "core_relevance": score if math.isfinite(score) else None,
            }
        )
    return {"illusions": lines, "real": _draw_real(folder, rows, material)}


def _draw_real(folder: Path, rows: pd.DataFrame, material: _Material) -> list[dict[str, Any]]:
    names = dict(zip(rows["neuron"], rows["class"], strict=True))
    top = top_pictures(material.features, rows["neuron"].tolist(), count=material.real_images)
    samples = material.samples.iloc[[picture.row for picture in top]]
    files = [material.data_root / path for path in samples["path"]]
    neurons = [picture.neuron for picture in top]
    drawn = draw_heatmaps(material.maker.classifier, files, neurons, sha256=samples["sha256"].tolist())
    lines = []
    for picture, sample, image in zip(top, samples.to_dict("records"), drawn, strict=True):
        name = f"{folder_name(names[picture.neuron])}/real/{picture.neuron}-{picture.rank}.png"
        write_picture(folder / name, image)
        lines.append(
            {
                "class": names[picture.neuron],
                "neuron": picture.neuron,
                "rank": picture.rank,
                "path": sample["path"],
                "picture": name,
                "activation": picture.activation,
                "label": sample["label"],
                "prediction": material.class_names[sample["prediction"]],
            }
        )
    return lines


def _gather(folder: Path, shards: Sequence[Path]) -> dict[str, Any]:
    """Join the shards into the two tables; the summary of the stage."""
    read = [read_json(shard) for shard in shards]
    illusions = pd.DataFrame([line for shard in read for line in shard["illusions"]], columns=list(ILLUSION_COLUMNS))
    real = pd.DataFrame([line for shard in read for line in shard["real"]], columns=list(REAL_COLUMNS))
    write_table(folder / "illusions.parquet", illusions)
    write_table(folder / "real.parquet", real)
    shutil.rmtree(folder / _SHARDS, ignore_errors=True)
    missed = illusions.loc[~illusions["reached"].astype(bool), "neuron"].tolist()
    warnings = []
    if missed:
        warnings.append(
            f"{len(missed)} of {len(illusions)} illusions do not reach the activation of the strongest 5 % of real "
            f"pictures (neurons {', '.join(map(str, missed))}); judge these neurons by their real pictures"
        )
    return {
        "illusions": len(illusions),
        "reached": len(illusions) - len(missed),
        "real_pictures": len(real),
        "warnings": warnings,
    }
