import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from neuroinspect.preprocessing import normalize, to_grey
from neuroinspect.settings import PreprocessingSettings

GREY = PreprocessingSettings(image_size=8, mean=(0.5,), std=(0.25,))


def test_three_channels_are_normalised_one_by_one() -> None:
    settings = PreprocessingSettings(mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.2))
    half = normalize(torch.full((1, 3, 2, 2), 0.5), settings)
    assert half[0, :, 0, 0].tolist() == pytest.approx([0.8, 0.75, 1.0])


def test_one_channel_is_the_normalised_luma() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    found = normalize(red, GREY)
    assert found.shape == (2, 1, 4, 4)
    assert found.unique().tolist() == pytest.approx([(0.299 - 0.5) / 0.25])


@given(seed=st.integers(0, 10**6))
def test_the_luma_is_pillow_s_within_its_rounding(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float64)
    found = to_grey(torch.from_numpy(pixels).double().permute(2, 0, 1)[None])[0, 0]
    assert np.abs(found.numpy() - expected).max() <= 0.51


def test_a_grey_picture_stays_what_it_was_and_gradients_reach_all_colours() -> None:
    images = torch.rand(1, 1, 4, 4).repeat(1, 3, 1, 1).requires_grad_()
    grey = to_grey(images)
    assert torch.allclose(grey[:, 0], images[:, 0], atol=1e-6)
    grey.sum().backward()
    assert images.grad[0, :, 0, 0].tolist() == pytest.approx([0.299, 0.587, 0.114])


@pytest.mark.parametrize(("mean", "std"), [((0.5, 0.5), (0.5, 0.5)), ((0.5,), (0.5, 0.5, 0.5)), ((), ())])
def test_neither_three_channels_nor_one_is_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match=r"3 values \(RGB\) or both 1 \(grey\)"):
        PreprocessingSettings(mean=mean, std=std)
