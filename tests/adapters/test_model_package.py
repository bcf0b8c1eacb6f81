"""Edited models whose last layer is not a Linear with a bias, kept as a folder and loaded from it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from neuroinspect.adapters.model_package import package_classifier, write_package
from neuroinspect.export import EditedModel
from neuroinspect.settings import ModelSettings
from neuroinspect.stages.models import load_described

FACTORY = """
from torch import nn

def make():
    tail = {tail}
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), *tail)
    model.preprocessing = {{"image_size": 12, "mean": [0.5], "std": [0.5]}}
    model.class_names = ("ant", "bee", "cow")
    return model
"""


@pytest.mark.parametrize(
    "tail",
    [
        "[nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 3, 1), nn.Flatten()]",
        "[nn.Conv2d(6, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()]",
        "[nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3, bias=False)]",
    ],
)
def test_an_edited_model_loads_from_its_folder_with_the_edited_logits(tmp_path: Path, tail: str) -> None:
    (tmp_path / "net.py").write_text(FACTORY.format(tail=tail))
    described = ModelSettings(spec="net:make", python_path=tmp_path, weights=tmp_path / "w.safetensors")
    torch.manual_seed(0)
    save_file(
        load_described(described.model_copy(update={"weights": None}), device="cpu").module.state_dict(),
        described.weights,
    )
    original = load_described(described, device="cpu")
    edited = EditedModel("cue_erasure", original, weight=torch.randn(3, 6), bias=torch.randn(3))
    folder = tmp_path / "package"
    folder.mkdir()
    write_package(folder, edited, described, facts={})
    loaded = package_classifier(folder, device="cpu")
    images = original.normalize(torch.rand(4, 3, 12, 12))
    expected = original.features(images) @ edited.weight.T + edited.bias
    assert torch.allclose(loaded(images), expected, atol=1e-5)
    assert torch.allclose(loaded.decision_layer.weight, edited.weight)
    assert loaded.class_names == ("ant", "bee", "cow")
