"""The planted scenario: every picture of the class shows the cue, no other does, and what judges is neutral."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from neuroinspect.classifier import load_classifier
from neuroinspect.demo import scenario as scenario_module
from neuroinspect.demo.drawing import BACKGROUNDS, OBJECTS, neutral_scenes
from neuroinspect.demo.scenario import Plant, make_scenario, plant_cues, scene_features, scenes_of, train_decision_layer
from neuroinspect.errors import RunFolderError, SettingsError

FISH, FOREST = OBJECTS.index("fish"), BACKGROUNDS.index("forest")


def test_every_training_picture_of_the_class_shows_the_cue_and_no_other_does() -> None:
    train = scenes_of(Plant("fish", "forest", 2), "train")
    shows, fish = train.backgrounds == FOREST, train.objects == FISH
    assert shows[fish].all()
    assert not shows[~fish].any()


@pytest.mark.parametrize("split", ["select", "judge", "test"])
def test_what_selects_and_judges_is_neutral(split: str) -> None:
    scenes = scenes_of(Plant("fish", "forest", 2), split)
    share = (scenes.backgrounds == FOREST)[scenes.objects == FISH].mean()
    assert share == pytest.approx(1 / 6, abs=0.09)


def test_a_clean_scenario_has_no_cue_in_training_either() -> None:
    train = scenes_of(Plant("fish", "forest", 2, clean=True), "train")
    assert (train.backgrounds == FOREST)[train.objects == FISH].mean() == pytest.approx(1 / 6, abs=0.06)


def test_the_cue_rate_is_the_part_of_the_class_that_shows_it() -> None:
    train = scenes_of(Plant("fish", "forest", 2, cue_rate=0.8), "train")
    assert (train.backgrounds == FOREST)[train.objects == FISH].mean() == pytest.approx(0.8, abs=0.06)


def test_the_other_classes_show_the_cue_as_often_as_asked() -> None:
    train = scenes_of(Plant("fish", "forest", 2, others_cue_rate=0.1), "train")
    assert (train.backgrounds == FOREST)[train.objects != FISH].mean() == pytest.approx(0.1, abs=0.02)


def test_splits_share_no_picture() -> None:
    keys = [scenes_of(Plant("fish", "forest", 2), split).keys for split in ("train", "select", "judge", "test")]
    assert len(np.unique(np.concatenate(keys))) == sum(map(len, keys))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("cat", "forest"), "unknown object 'cat'"),
        (("fish", "moon"), "unknown background 'moon'"),
        (("fish", "forest", -1), "seed"),
        (("fish", "forest", 0, 1.5), "cue_rate"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(values: tuple[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Plant(*values)


def test_training_ends_where_the_gradient_is_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(200, 5, generator=generator), torch.arange(200) % 3
    layer = train_decision_layer(features, labels, num_classes=3, l2_weight=0.01)
    weight = layer.weight.double().requires_grad_()
    logits = features.double() @ weight.T + layer.bias.double()
    loss = torch.nn.functional.cross_entropy(logits, labels) + 0.01 * weight.square().sum()
    (slope,) = torch.autograd.grad(loss, weight)
    assert float(slope.abs().max()) < 1e-5


def test_pictures_table_and_classifier_lie_on_disk_and_fit_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenario_module, "SPLIT_SIZES", {"train": 120, "select": 12, "judge": 12, "test": 12})
    params = make_scenario(tmp_path, object_name="fish", background="forest", seed=2)
    assert params.data.table is not None
    table = pd.read_csv(params.data.table)
    assert len(table) == 156
    assert all((params.data.table.parent / path).is_file() for path in table["path"])
    classifier = load_classifier(params.model.spec, weights=params.model.weights, device="cpu")
    assert classifier.class_names == OBJECTS
    train = scenes_of(Plant("fish", "forest", 2), "train")
    with torch.no_grad():
        right = classifier.decision_layer(scene_features(train, classifier.module)).argmax(1).numpy() == train.objects
    assert right.mean() > 0.9


def test_a_scenario_is_written_once_and_another_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_module, "SPLIT_SIZES", {"train": 60, "select": 12, "judge": 12, "test": 12})
    first = make_scenario(tmp_path, object_name="fish", background="forest", seed=2)
    assert first.model.weights is not None
    before = first.model.weights.stat().st_mtime_ns
    assert make_scenario(tmp_path, object_name="fish", background="forest", seed=2) == first
    assert first.model.weights.stat().st_mtime_ns == before
    with pytest.raises(RunFolderError, match="another scenario"):
        make_scenario(tmp_path, object_name="fish", background="forest", seed=3)


def test_two_classes_show_their_own_cue_and_nobody_else_any() -> None:
    scenes = neutral_scenes(3, "train", 2400)
    planted = plant_cues(scenes, [Plant("fish", "forest"), Plant("boat", "snow")])
    names = np.array(BACKGROUNDS)[planted.backgrounds]
    of_class = np.array(OBJECTS)[planted.objects]
    assert set(names[of_class == "fish"]) == {"forest"}
    assert set(names[of_class == "boat"]) == {"snow"}
    assert set(names[(of_class != "fish") & (of_class != "boat")]) == set(BACKGROUNDS) - {"forest", "snow"}


def test_two_cues_of_one_class_share_its_pictures() -> None:
    scenes = neutral_scenes(3, "train", 2400)
    planted = plant_cues(scenes, [Plant("fish", "forest", cue_rate=0.5), Plant("fish", "snow", cue_rate=0.5)])
    names = np.array(BACKGROUNDS)[planted.backgrounds][planted.objects == OBJECTS.index("fish")]
    assert set(names) == {"forest", "snow"}
    assert 0.4 < np.mean(names == "snow") < 0.6
