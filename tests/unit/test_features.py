from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from neuroinspect.classifier import Classifier
from neuroinspect.dataset import load_images
from neuroinspect.errors import DataError, FeaturesError
from neuroinspect.features import extract_features, shard_bounds
from neuroinspect.settings import PreprocessingSettings

SIZE = 16


class Colours(nn.Module):
    """Features are the mean colours; a picture without any red gets NaN where `broken`."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        self.fc = nn.Linear(3, 4)
        self.broken = broken

    def forward(self, images: Tensor) -> Tensor:
        means = self.stem(images).mean((2, 3))
        if self.broken:
            means = torch.where(images[:, :1].amax((2, 3)) < -1.9, means * torch.nan, means)
        return self.fc(means)


def classifier(*, broken: bool = False) -> Classifier:
    torch.manual_seed(0)
    return Classifier(Colours(broken=broken), preprocessing=PreprocessingSettings(image_size=SIZE), device="cpu")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    pixels = np.random.default_rng(0).integers(1, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)
    files = [tmp_path / f"{k}.png" for k in range(7)]
    for file, picture in zip(files, pixels, strict=True):
        Image.fromarray(picture).save(file)
    return files


def test_features_and_predictions_are_those_of_one_plain_pass(paths: list[Path]) -> None:
    model = classifier()
    found = extract_features(model, paths, batch_size=3)
    images = model.normalize(load_images(paths, model.preprocessing))
    with torch.no_grad():
        expected, logits = model.features_and_logits(images)
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, expected.numpy(), atol=1e-6)
    assert found.predictions.tolist() == logits.argmax(1).tolist()


def test_no_pictures_give_empty_arrays() -> None:
    found = extract_features(classifier(), [], batch_size=3)
    assert found.features.shape == (0, 3)
    assert found.predictions.shape == (0,)


def test_features_that_are_not_finite_name_the_first_picture(paths: list[Path]) -> None:
    for bad in (4, 6):
        Image.new("RGB", (SIZE, SIZE), (0, 40, 200)).save(paths[bad])
    with pytest.raises(FeaturesError, match=r"NaN or infinite for cat/4\.png"):
        extract_features(classifier(broken=True), paths, batch_size=3, names=[f"cat/{path.name}" for path in paths])


def test_a_picture_that_vanished_is_named(paths: list[Path]) -> None:
    paths[2].unlink()
    with pytest.raises(DataError, match=r"2\.png cannot be read any more"):
        extract_features(classifier(), paths, batch_size=3)


def test_progress_ends_at_the_number_of_pictures(paths: list[Path]) -> None:
    calls: list[tuple[int, int]] = []
    extract_features(classifier(), paths, batch_size=3, progress=lambda _, done, total: calls.append((done, total)))
    assert calls == [(3, 7), (6, 7), (7, 7)]


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, [(0, 2)]), (5, [(0, 2), (2, 4), (4, 5)])])
def test_shards_cover_every_picture_once(count: int, expected: list[tuple[int, int]]) -> None:
    assert shard_bounds(count, 2) == expected
