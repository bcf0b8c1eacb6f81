"""Random transforms of the picture at each step: what survives them is no pixel noise.

Each picture has draws of its own (the released code uses one draw for the whole batch), made before the loop from the
picture's own generator, so that a picture does not depend on its neighbours.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neuroinspect.settings import IllusionSettings


@dataclass(frozen=True, slots=True, eq=False)
class TransformDraws:
    """All transforms of N pictures over T steps: `affines` (T, N, 2, 3) as affine_grid takes them, `colours` (T, N, 3)."""

    affines: Tensor
    colours: Tensor

    def to(self, device: torch.device) -> "TransformDraws":
        """The same draws on another device."""
        return TransformDraws(self.affines.to(device), self.colours.to(device))


def draw_transforms(settings: IllusionSettings, *, generator: torch.Generator) -> TransformDraws:
    """Draw the transforms of one picture, N = 1.

    Args:
        settings: ranges of rotation, shift and scale, which fade to none over the last part `transform_fading` of the steps;
            `colour_jitter` fades over all of them.
        generator: source of the randomness.
    """
    draws = torch.rand((settings.steps, 5), generator=generator)
    remaining = 1 - torch.arange(settings.steps) / settings.steps
    strength = (remaining / max(settings.transform_fading, 1e-9)).clamp_max(1)
    angle = (draws[:, 0] * 2 - 1) * math.radians(settings.rotation) * strength
    # The picture spans [-1, 1], so a shift by part of the side is twice that part.
    shift = (draws[:, 1:3] * 2 - 1) * settings.shift * 2 * strength[:, None]
    low, high = settings.scale
    scale = 1 + (low + draws[:, 3:5] * (high - low) - 1) * strength[:, None]
    noise = torch.randn((settings.steps, 3), generator=generator)
    return TransformDraws(
        affines=affine_matrices(angle, shift, scale)[:, None],
        colours=(noise * settings.colour_jitter * remaining[:, None])[:, None],
    )


def join_draws(draws: list[TransformDraws]) -> TransformDraws:
    """Draws of several pictures side by side."""
    return TransformDraws(torch.cat([d.affines for d in draws], 1), torch.cat([d.colours for d in draws], 1))


def affine_matrices(angle: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Matrices from output to input coordinates, as `affine_grid` takes them.

    Args:
        angle: (T,) in radians; the content turns by it.
        shift: (T, 2), x and y, in half sides; the content moves by it.
        scale: (T, 2), x and y; above 1 the content grows.

    Returns:
        (T, 2, 3).
    """
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2) / scale[:, :, None]
    return torch.cat([linear, -(linear @ shift[:, :, None])], -1)


def apply_transforms(images: Tensor, affines: Tensor, colours: Tensor) -> Tensor:
    """Move and tint pictures; what comes in from outside is black. Differentiable.

    Args:
        images: (N, 3, H, W) in [0, 1].
        affines: (N, 2, 3).
        colours: (N, 3), added to the colours before the move.

    Returns:
        (N, 3, H, W), about [0, 1]: the tint may leave it.
    """
    grid = functional.affine_grid(affines, list(images.shape), align_corners=False)
    tinted = images + colours[:, :, None, None]
    return functional.grid_sample(tinted, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
