"""A project small enough to run the whole chain in seconds: a few dozen drawn pictures and the demo's backbone."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import run_stage_alone
from neuroinspect.demo.backbone import BACKBONE_WEIGHTS, scene_net
from neuroinspect.demo.drawing import BACKGROUNDS, OBJECTS, draw, neutral_scenes
from neuroinspect.demo.scenario import scene_features, train_decision_layer
from neuroinspect.settings import load_params

SIZES = {"train": 72, "select": 60, "judge": 60}
QUICK: dict[str, Any] = {
    "extract": {"shard_size": 64},
    "visualize": {
        "neurons": 1,
        "real_images": 1,
        "feature_visualization": False,
        "illusion": {"steps": 2, "restarts": 0},
    },
    "edit": {"placebo_draws": 1, "train": {"epochs": 1}},
    "evaluate": {"bootstrap": 100},
}


def make_project(folder: Path, *, perfect: bool = False) -> Path:
    """Write pictures, a classifier that misses half of the fish, and params.yaml; return the params file.

    The flaw is a lowered bias. A perfect classifier has none, and was trained on the very pictures it is judged on.
    """
    scenes = {split: neutral_scenes(5, split, count) for split, count in SIZES.items()}
    rows = []
    for split, some in scenes.items():
        (folder / split).mkdir(parents=True)
        for number, picture in enumerate(draw(some)):
            name = f"{split}/{number}.bmp"
            Image.fromarray(picture).save(folder / name)
            group = BACKGROUNDS[some.backgrounds[number]]
            rows.append({"path": name, "label": OBJECTS[some.objects[number]], "split": split, "group": group})
    pd.DataFrame(rows).to_csv(folder / "pictures.csv", index=False)

    features = torch.cat([scene_features(some, scene_net()) for some in scenes.values()])
    labels = torch.cat([torch.from_numpy(some.objects) for some in scenes.values()])
    layer = train_decision_layer(features, labels, num_classes=len(OBJECTS))
    if not perfect:
        fish = OBJECTS.index("fish")
        logits = layer(features[labels == fish])
        others = torch.cat([logits[:, :fish], logits[:, fish + 1 :]], dim=1).amax(dim=1)
        layer.bias[fish] -= (logits[:, fish] - others).median()
    backbone = {f"backbone.{name}": tensor for name, tensor in load_file(BACKBONE_WEIGHTS).items()}
    own = {"classifier.weight": layer.weight.detach(), "classifier.bias": layer.bias.detach()}
    save_file({**backbone, **own}, folder / "classifier.safetensors")

    params = {
        "model": {"spec": "neuroinspect.demo.backbone:scene_net", "weights": "classifier.safetensors"},
        "data": {"table": "pictures.csv"},
        "device": "cpu",
        "runs": "runs",
        **QUICK,
    }
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    return path


def make_diagnosed_project(folder: Path) -> Path:
    """A project whose run `a` is finished up to diagnose; return the folder."""
    params = load_params(make_project(folder))
    for name in ("validate", "extract", "diagnose"):
        run_stage_alone(name, RunFolder(folder / "runs" / "a"), params)
    return folder
