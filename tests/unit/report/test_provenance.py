import json
from pathlib import Path

import pytest

from neuroinspect.report.provenance import (
    installed_versions,
    settings_text,
    settings_without_folders,
    spec_without_folder,
)
from neuroinspect.settings import DataSettings, GuideSettings, ModelSettings, Params

PARAMS = Params(
    model=ModelSettings(
        spec="timm:resnet18", weights=Path("/home/ada/weights.safetensors"), python_path=Path("/home/ada/code")
    ),
    data=DataSettings(train=Path("/home/ada/data/train"), validation=Path("/home/ada/data/val")),
    guide=GuideSettings(spec="open_clip:ViT-B-32//home/ada/clip.safetensors"),
    runs=Path("/home/ada/runs"),
    device="cuda:3",
)


def test_settings_hold_no_folder_of_the_machine():
    text = settings_text(PARAMS)
    assert "/home" not in text
    assert "cuda:3" not in text
    assert {"weights.safetensors", "train", "val"} <= set(json.dumps(json.loads(text)).split('"'))


def test_a_moved_run_has_the_same_settings():
    moved = PARAMS.model_copy(update={"runs": Path("/elsewhere"), "device": None})
    assert settings_without_folders(moved) == settings_without_folders(PARAMS)


def test_sections_carry_the_names_of_the_params_file():
    assert "validate" in settings_without_folders(PARAMS)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "open_clip:ViT-B-32/laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32//home/ada/clip.pt", "open_clip:ViT-B-32/clip.pt"),
        (r"open_clip:ViT-B-32/C:\models\clip.pt", "open_clip:ViT-B-32/clip.pt"),
        ("neuroinspect.demo.clip:guide", "neuroinspect.demo.clip:guide"),
    ],
)
def test_a_guide_is_named_without_its_folder(spec, expected):
    assert spec_without_folder(spec) == expected


def test_versions_name_python_and_torch():
    assert {"python", "torch", "numpy"} <= set(installed_versions())
