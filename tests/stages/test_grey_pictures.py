"""The plain stages on small grey pictures: a network that takes one channel of 32 pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neuroinspect.artifacts import RunFolder, read_array, read_table
from neuroinspect.chain import run_stage_alone
from neuroinspect.settings import Params, parse_params
from neuroinspect.stages.models import classifier_of
from tests.tiny import QUICK

CLASSES = ("dark", "light")
SIDE = 32
FACTORY = """
import torch
from torch import nn

def digits():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    model.preprocessing = {"image_size": 32, "mean": (0.5,), "std": (0.5,)}
    return model
"""


@pytest.fixture
def params(tmp_path: Path) -> Params:
    generator = np.random.default_rng(0)
    for k in range(60):
        low = 0 if k % 2 == 0 else 120
        pixels = generator.integers(low, low + 130, (SIDE, SIDE), dtype=np.uint8)
        file = tmp_path / "data" / ("train" if k < 20 else "validation") / CLASSES[k % 2] / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    (tmp_path / "grey_network.py").write_text(FACTORY)
    return parse_params(
        {
            "model": {"spec": "grey_network:digits", "python_path": tmp_path, "class_names": CLASSES},
            "data": {split: tmp_path / "data" / split for split in ("train", "validation")},
            "device": "cpu",
            **{name: QUICK[name] for name in ("extract", "visualize")},
        }
    )


def test_the_stages_run_on_grey_pictures_up_to_the_illusions(tmp_path: Path, params: Params) -> None:
    run = RunFolder(tmp_path / "run")
    for stage in ("validate", "extract", "diagnose", "visualize"):
        run_stage_alone(stage, run, params)
    samples = read_table(run.stage("extract") / "samples.train.parquet")
    grey = [np.asarray(Image.open(tmp_path / "data" / path), dtype=np.float32) for path in samples["path"]]
    inputs = (torch.from_numpy(np.stack(grey))[:, None] / 255 - 0.5) / 0.5
    classifier = classifier_of(params)
    np.testing.assert_allclose(
        read_array(run.stage("extract") / "features.train.npy"), classifier.features(inputs), atol=1e-5
    )
    drawn = sorted((run.stage("visualize")).glob("*/[0-9]*.png"))
    pictures = [path for path in drawn if ".mask" not in path.name]
    assert pictures
    assert np.asarray(Image.open(pictures[0])).shape[2] == 3  # in colours, which the network sees as grey
