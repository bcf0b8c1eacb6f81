"""The pictures of some neurons, and their lines in the two tables of the stage visualize.

Nothing here is shared between calls but the content-addressed cache, so neurons can be drawn in any order, at the same time,
and twice: the files come out the same to the last byte.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from neuroinspect.illusion import Illusion, Objective, core_relevance
from neuroinspect.stages.illusion_cache import IllusionMaker, Wish
from neuroinspect.stages.real_pictures import draw_heatmaps, to_picture, top_pictures, write_picture

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
_PERCENTILE = 95


@dataclass(frozen=True, slots=True, eq=False)
class Material:
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


def folder_name(class_name: str) -> str:
    """Name of a class made safe for a file system; different classes get different names."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", class_name)[:60]
    if safe == class_name:
        return safe
    return f"{safe}-{hashlib.sha256(class_name.encode()).hexdigest()[:8]}"


def real_range(features: NDArray[np.float32], neuron: int) -> float:
    """95th percentile of a neuron's activations (N, F) on real pictures: what its pictures have to reach."""
    return float(np.percentile(features[:, neuron], _PERCENTILE))


def draw_neurons(folder: Path, rows: pd.DataFrame, material: Material) -> dict[str, Any]:
    """Make the pictures of a few neurons; the lines of both tables."""
    maker, neurons = material.maker, rows["neuron"].tolist()
    ranges = {neuron: real_range(material.features, neuron) for neuron in neurons}
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


def _draw_real(folder: Path, rows: pd.DataFrame, material: Material) -> list[dict[str, Any]]:
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
