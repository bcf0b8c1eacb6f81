from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neuroinspect.errors import FeaturesError
from neuroinspect.illusion import core_relevance, pixel_masks
from neuroinspect.illusion.relevance import relevance_from
from tests.unit.illusion.networks import NEURONS, SIZE, small_classifier

GOLDEN = Path(__file__).parents[2] / "golden" / "mask.npz"


@dataclass(frozen=True)
class Picture:
    neuron: int
    class_index: int
    image: Tensor


@pytest.mark.parametrize(("key", "threshold", "dim"), [("0p5_dim_0p5", 0.5, 0.5), ("0p25_dim_0", 0.25, 0.0)])
def test_pixel_masks_equal_the_released_ones(key, threshold, dim):
    with np.load(GOLDEN) as arrays:
        maps, neurons, size = (arrays[name] for name in ("feature_maps", "neurons", "image_size"))
        expected = arrays[f"mask_threshold_{key}"]
    chosen = torch.from_numpy(maps)[torch.arange(3), torch.from_numpy(neurons)]
    found = pixel_masks(chosen, image_size=int(size), threshold=threshold, dim=dim)
    assert (found.numpy() == expected).mean() >= 0.999


def test_a_flat_map_keeps_every_pixel():
    maps = torch.stack([torch.zeros(4, 4), torch.full((4, 4), 0.1)])
    assert torch.equal(pixel_masks(maps, image_size=11), torch.ones(2, 11, 11))


def test_a_map_held_at_its_ceiling_keeps_every_pixel():
    saturated = torch.full((1, 5, 5), 6.0)
    saturated[0, 0, 0] = 0.0
    assert torch.equal(pixel_masks(saturated, image_size=5), torch.ones(1, 5, 5))


def test_a_mask_keeps_the_bright_corner():
    maps = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    mask = pixel_masks(maps, image_size=5, dim=0.25)[0]
    assert mask[0, 0] == 1
    assert mask[4, 4] == 0.25
    assert set(mask.unique().tolist()) == {0.25, 1.0}


@given(st.integers(0, 1000), st.floats(0.5, 10), st.floats(-5, 5))
def test_masks_do_not_depend_on_scale_and_offset_of_the_map(seed, scale, offset):
    maps = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    same = pixel_masks(maps * scale + offset, image_size=16) == pixel_masks(maps, image_size=16)
    assert same.double().mean() > 0.99


def test_maps_of_all_neurons_are_refused():
    with pytest.raises(FeaturesError, match=r"\(N, h, w\), got \(1, 2, 3, 3\)"):
        pixel_masks(torch.zeros(1, 2, 3, 3), image_size=6)


def test_relevance_by_hand():
    whole = torch.tensor([[0.8, 0.5]])
    pixels = torch.tensor([[0.4, 0.5]])
    # shares 0.5 and 1, mean 0.75
    assert relevance_from(whole, pixels, torch.tensor([0])).item() == pytest.approx(0.5 / 0.75)
    assert relevance_from(whole, pixels, torch.tensor([1])).item() == pytest.approx(1 / 0.75)


def test_pixels_as_good_as_the_picture_have_relevance_one():
    whole = torch.rand(4, 7, generator=torch.Generator().manual_seed(0)) + 0.1
    torch.testing.assert_close(relevance_from(whole, whole, torch.tensor([0, 1, 2, 6])), torch.ones(4))


def test_only_the_twenty_most_similar_classes_count():
    whole = torch.linspace(1, 0.1, 25)[None]
    pixels = whole / 2
    pixels[0, 20:] = 100.0
    assert relevance_from(whole, pixels, torch.tensor([3])).item() == pytest.approx(1.0)


def test_a_picture_unlike_its_class_has_no_relevance():
    found = relevance_from(torch.tensor([[-0.2, 0.5]]), torch.tensor([[0.1, 0.5]]), torch.tensor([0]))
    assert found.isnan().all()


def test_core_relevance_equals_its_slow_twin():
    classifier = small_classifier()
    generator = torch.Generator().manual_seed(1)
    representatives = torch.rand(3, NEURONS, generator=generator)
    pictures = [Picture(n % NEURONS, n % 3, torch.rand(3, SIZE, SIZE, generator=generator)) for n in range(19)]
    expected = []
    for picture in pictures:
        whole = classifier.normalize(picture.image[None])
        mask = pixel_masks(
            classifier.activation_maps(whole)[:, picture.neuron], image_size=SIZE, threshold=0.25, dim=0.0
        )
        masked = classifier.normalize(picture.image[None] * mask[:, None])
        shares = []
        for representative in representatives:
            cosines = [
                torch.cosine_similarity(classifier.features(x)[0], representative, dim=0).item()
                for x in (masked, whole)
            ]
            shares.append(cosines[0] / cosines[1])
        expected.append(shares[picture.class_index] / np.mean(shares))
    assert core_relevance(pictures, classifier, representatives).tolist() == pytest.approx(expected, rel=1e-4)


def test_no_illusion_has_no_relevance():
    assert core_relevance([], small_classifier(), torch.rand(3, NEURONS)).shape == (0,)


def test_representatives_of_another_model_are_refused():
    with pytest.raises(FeaturesError, match=r"expected class features of shape \(3, 6\)"):
        core_relevance([], small_classifier(), torch.rand(3, 5))
