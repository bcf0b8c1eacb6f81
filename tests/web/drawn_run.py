"""A run folder drawn by hand up to its open review, with as many neurons and pictures as wanted: nothing is trained."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroinspect.artifacts import RunFolder, write_array, write_json, write_table
from neuroinspect.editing.suggest import Figures
from neuroinspect.settings import Params, parse_params
from neuroinspect.stages.extract import class_means, performance
from neuroinspect.stages.models import classifier_of
from neuroinspect.stages.review import review
from tests.web import hostile
from tests.web.drawn_files import POOL, Size, finish, pictures, write_file
from tests.web.drawn_finding import FEATURES, write_diagnosis, write_pictures

PLAIN_CLASSES = ("boat", "car", "tree", "house", "cup")
GROUPS = ("water", "land")
_SIZES = {"train": 400, "select": 300, "judge": 300}
# The weights of a class that leans on neurons 2 and 3; the features below are drawn so that its pictures away from the cue are
# mistakes.
_NETWORK = '''
import torch
from torch import nn


def drawn():
    """A convolution of 320 channels, pooling, and a decision layer whose class 0 leans on neurons 2 and 3."""
    model = nn.Sequential(nn.Conv2d(3, 320, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(320, 5))
    generator = torch.Generator().manual_seed(0)
    model[0].weight.data = torch.randn(model[0].weight.shape, generator=generator)
    model[0].bias.data.zero_()
    model[4].weight.data = 0.01 * torch.randn(5, 320, generator=generator)
    model[4].weight.data[0, :4] = torch.tensor([0.5, 0.5, 1.2, 1.2])
    for label in range(1, 5):
        model[4].weight.data[label, 4 + label] = 1.6
    model[4].bias.data = torch.tensor([-1.5, 0.0, 0.0, 0.0, 0.0])
    model.preprocessing = {"image_size": 16}
    return model
'''


def draw_run(folder: Path, *, size: Size, hostile_names: bool) -> tuple[RunFolder, Params]:
    """Write pictures, a network and a run folder whose review is open; its class under study is the first."""
    folder.mkdir(parents=True, exist_ok=True)
    run, params = RunFolder(folder / "run"), _params(folder, hostile.CLASSES if hostile_names else PLAIN_CLASSES)
    names = params.model.class_names or ()
    samples = _extract(run, folder, params, files=hostile.FILES if hostile_names else ("a.png",))
    neurons = write_diagnosis(run, samples["select"], names=names, count=size.candidates)
    write_pictures(run, neurons, samples["select"], size=size, names=names, hostile_names=hostile_names)
    _suggest(run, names[0])
    review(run, params)
    return run, params


def _params(folder: Path, class_names: Sequence[str]) -> Params:
    (folder / "drawn_network.py").write_text(_NETWORK)
    model = {"spec": "drawn_network:drawn", "python_path": folder, "class_names": class_names}
    data = {"table": folder / "pictures.csv"}
    quick = {"edit": {"placebo_draws": 1, "train": {"epochs": 2}}, "evaluate": {"bootstrap": 100}}
    return parse_params({"model": model, "data": data, "device": "cpu", "runs": folder, **quick})


def _extract(run: RunFolder, folder: Path, params: Params, *, files: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Features, samples and pictures of every split; the stages validate and extract."""
    classifier, names = classifier_of(params), params.model.class_names or ()
    layer = classifier.decision_layer
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    pool, samples = pictures(32), {}
    for number, (split, count) in enumerate(_SIZES.items()):
        features, labels, cue = _features(count, cue_follows_class=split == "train", seed=number)
        paths = [f"{split}/{row}-{files[row % len(files)]}" for row in range(count)]
        for row, path in enumerate(paths):
            write_file(folder / path, pool[row % POOL])
        samples[split] = pd.DataFrame(
            {
                "path": paths,
                "label": [names[label] for label in labels],
                "target": labels,
                "group": [GROUPS[0] if wet else GROUPS[1] for wet in cue],
                "sha256": [hashlib.sha256(pool[row % POOL]).hexdigest() for row in range(count)],
                "prediction": (features @ weight.T + bias).argmax(axis=1),
            }
        )
        write_array(run.stage("extract") / f"features.{split}.npy", features)
        write_table(run.stage("extract") / f"samples.{split}.parquet", samples[split])
        if split == "select":
            write_array(run.stage("extract") / "representatives.npy", class_means(features, labels, num_classes=5))
    table = pd.concat([rows.assign(split=split) for split, rows in samples.items()])
    table[["path", "label", "split", "group"]].to_csv(folder / "pictures.csv", index=False)
    write_table(run.stage("validate") / "manifest.parquet", table[["path", "label", "group", "split", "sha256"]])
    finish(run, "validate", {"data_version": "d" * 64, "classes": sorted(names), "splits": _SIZES, "warnings": []})
    splits = {split: performance(rows, names) for split, rows in samples.items()}
    write_json(run.stage("extract") / "performance.json", {"classes": list(names), "splits": splits})
    summary = {"classes": list(names), "model": classifier.fingerprint, "features": FEATURES, "maps_kind": "channel"}
    finish(run, "extract", {**summary, "splits": _SIZES, "accuracy": {k: v["accuracy"] for k, v in splits.items()}})
    return samples


def _features(
    count: int, *, cue_follows_class: bool, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    """Features (count, 320), labels, and whether the cue shows: neurons 0 and 1 see the object of class 0, 2 and 3 the cue."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 5
    cue = labels == 0 if cue_follows_class else generator.random(count) < 0.4
    features = 0.5 * generator.standard_normal((count, FEATURES))
    features[:, :2] += 0.7 * (labels == 0)[:, None]
    features[:, 2:4] += 2.0 * cue[:, None]
    for label in range(1, 5):
        features[:, 4 + label] += 1.5 * (labels == label)
    return features.clip(0).astype(np.float32), labels, cue


def _suggest(run: RunFolder, class_name: str) -> None:
    """What an edit of some candidates gave."""
    tried = [([2], "candidate", 0.05), ([2, 3], "union", 0.11), ([1], "family", None)]
    sets = [
        {
            "neurons": neurons,
            "kind": kind,
            **asdict(Figures(average=0.8, worst_class=0.6, class_auroc=0.9)),
            "auroc_gain": gain,
            "eligible": gain is not None,
        }
        for neurons, kind, gain in tried
    ]
    record = {"class": class_name, "method": "cue_erasure", "diagnose": run.upstream_hash("diagnose")}
    original = asdict(Figures(average=0.79, worst_class=0.4, class_auroc=0.8))
    refused = [{"neurons": [0], "reason": "too few samples to know the direction of the cue"}]
    write_json(
        run.stage("suggest") / "suggest.json", {**record, "original": original, "sets": sets, "refused": refused}
    )
    finish(run, "suggest", {"class": class_name, "sets": len(sets), "refused": 1})
