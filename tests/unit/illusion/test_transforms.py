import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.illusion.transforms import affine_matrices, apply_transforms, draw_transforms, join_draws
from neuroinspect.settings import IllusionSettings
from tests.reference import moved_picture

STILL = IllusionSettings(steps=3, rotation=0, shift=0, scale=(1, 1), colour_jitter=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(
    image: torch.Tensor, *, angle: float = 0, shift: tuple[float, float] = (0, 0), scale: float = 1
) -> torch.Tensor:
    affines = affine_matrices(
        torch.tensor([angle]), torch.tensor([shift], dtype=torch.float32), torch.full((1, 2), float(scale))
    )
    return apply_transforms(image[None], affines, torch.zeros(1, 3))[0]


def test_no_transform_leaves_the_picture():
    image = torch.rand(1, 3, 16, 16, generator=generator())
    draws = draw_transforms(STILL, generator=generator())
    torch.testing.assert_close(apply_transforms(image, draws.affines[0], draws.colours[0]), image)


def test_a_shift_moves_the_content_and_fills_with_black():
    image = torch.rand(3, 16, 16, generator=generator())
    # 4 of 16 pixels: a quarter of the side, half of a half side
    found = moved(image, shift=(0.5, 0))
    torch.testing.assert_close(found[:, :, 4:], image[:, :, :-4])
    assert found[:, :, :4].abs().max() < 1e-5
    down = moved(image, shift=(0, 0.5))
    torch.testing.assert_close(down[:, 4:], image[:, :-4])


def test_a_quarter_turn_is_a_quarter_turn():
    image = torch.rand(3, 16, 16, generator=generator())
    torch.testing.assert_close(moved(image, angle=math.pi / 2), image.rot90(-1, (1, 2)), atol=1e-4, rtol=1e-4)


def test_a_scale_above_one_grows_the_content():
    square = torch.zeros(3, 32, 32)
    square[:, 12:20, 12:20] = 1
    assert moved(square, scale=2).sum() == pytest.approx(float(square.sum()) * 4, rel=0.02)
    assert moved(square, scale=0.5).sum() == pytest.approx(float(square.sum()) / 4, rel=0.02)


@given(
    angle=st.floats(-0.5, 0.5),
    shift=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4)),
    scale=st.tuples(st.floats(0.6, 1.3), st.floats(0.6, 1.3)),
)
def test_a_moved_picture_equals_its_slow_twin(angle, shift, scale):
    image = torch.rand(1, 3, 8, 8, generator=generator(), dtype=torch.float64)
    tint = torch.tensor([[0.1, -0.2, 0.0]], dtype=torch.float64)
    angles, shifts, scales = (torch.tensor([values], dtype=torch.float64) for values in (angle, shift, scale))
    found = apply_transforms(image, affine_matrices(angles, shifts, scales), tint)[0]
    expected = moved_picture(image[0].numpy(), angle=angle, shift=shift, scale=scale, tint=tint[0].tolist())
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_a_picture_shrunk_is_surrounded_by_black():
    found = moved(torch.ones(3, 32, 32), scale=0.5)
    assert found[:, 0].abs().max() == 0
    assert found[:, 16, 16].min() == 1


def test_the_colour_offset_tints_the_picture_but_not_the_black_around_it():
    affines = affine_matrices(torch.zeros(1), torch.zeros(1, 2), torch.full((1, 2), 0.5))
    found = apply_transforms(torch.zeros(1, 3, 32, 32), affines, torch.tensor([[0.3, 0.0, -0.1]]))
    torch.testing.assert_close(found[0, :, 16, 16], torch.tensor([0.3, 0.0, -0.1]))
    assert found[0, :, 0].abs().max() == 0


@given(seed=st.integers(0, 10_000), rotation=st.floats(0, 90), shift=st.floats(0, 0.5), low=st.floats(0.5, 1))
def test_draws_stay_in_their_ranges(seed, rotation, shift, low):
    settings = IllusionSettings(steps=20, rotation=rotation, shift=shift, scale=(low, 1.3))
    affines = draw_transforms(settings, generator=generator(seed)).affines[:, 0].double()
    forward = torch.linalg.inv(affines[:, :, :2])
    scales = forward.norm(dim=1)
    assert scales.min() >= low - 1e-4
    assert scales.max() <= 1.3 + 1e-4
    angles = torch.atan2(affines[:, 0, 1] * scales[:, 0], affines[:, 0, 0] * scales[:, 0]).rad2deg()
    assert angles.abs().max() <= rotation + 1e-2
    shifts = -(forward @ affines[:, :, 2:])
    assert shifts.abs().max() <= 2 * shift + 1e-4


def test_the_colour_offset_fades_to_nothing():
    settings = IllusionSettings(steps=2000, colour_jitter=0.2)
    colours = draw_transforms(settings, generator=generator()).colours
    assert colours[:200].std() == pytest.approx(0.2 * 0.95, rel=0.1)
    assert colours[-200:].std() == pytest.approx(0.2 * 0.058, rel=0.1)


def test_the_moves_fade_to_none_over_the_last_part_of_the_steps():
    fading = {part: IllusionSettings(steps=1000, transform_fading=part) for part in (0.0, 0.5, 1.0)}
    still = affine_matrices(torch.zeros(1), torch.zeros(1, 2), torch.ones(1, 2))
    moved = {
        part: (draw_transforms(settings, generator=generator()).affines[:, 0] - still).abs().amax((1, 2))
        for part, settings in fading.items()
    }
    torch.testing.assert_close(moved[0.5][:500], moved[0.0][:500])
    assert moved[0.0][-50:].mean() > 0.1
    for part in (0.5, 1.0):
        assert moved[part][-1] < 0.01
        assert moved[part][-50:].mean() < 0.1 * moved[0.0][-50:].mean()


def test_pictures_side_by_side_keep_their_own_draws():
    settings = IllusionSettings(steps=4)
    first, second = (draw_transforms(settings, generator=generator(seed)) for seed in (1, 2))
    both = join_draws([first, second])
    assert torch.equal(both.affines[:, :1], first.affines)
    assert torch.equal(both.colours[:, 1:], second.colours)
    assert not torch.equal(both.affines[:, 0], both.affines[:, 1])
