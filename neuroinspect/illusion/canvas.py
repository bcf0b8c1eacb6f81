"""Where pictures are drawn: a canvas of frequencies, at least as large as what the classifier sees."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neuroinspect.illusion.parametrization import frequency_scale, images_from, spectra_of, spectrum_shape
from neuroinspect.settings import IllusionSettings

_LARGE_ENOUGH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """From spectra to pictures.

    Attributes:
        side: of the pictures in pixels.
        scale: amplitude of each frequency, (side, side // 2 + 1).
        start: pictures (N, 3, side, side) started from, or None.
        reach: how far a colour may go from them, 0..1.
    """

    side: int
    scale: Tensor
    start: Tensor | None
    reach: float

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the spectrum of one picture."""
        return spectrum_shape(self.side)

    def spectra(self) -> Tensor | None:
        """Those of the pictures started from."""
        return None if self.start is None else spectra_of(self.start, self.scale)

    def images(self, spectra: Tensor) -> Tensor:
        """Pictures (N, 3, side, side) in [0, 1], no colour further than the reach from where it started; differentiable."""
        images = images_from(spectra, self.scale)
        return images if self.start is None or self.reach == 1 else torch.lerp(self.start, images, self.reach)


def canvas_for(
    image_size: int, settings: IllusionSettings, *, device: torch.device, start: Tensor | None = None
) -> Canvas:
    """The canvas of a classifier.

    Args:
        image_size: side of what the classifier sees, in pixels.
        settings: `small_canvas` is the least side of the canvas of a small classifier.
        device: where the pictures are made.
        start: pictures (N, 3, image_size, image_size) in [0, 1] to start from; brought to the size of the canvas.
    """
    side = canvas_side(image_size, settings)
    if start is not None:
        start = fit(start.to(device), side).clamp(0, 1)
    scale = frequency_scale(side, decay_power=settings.decay_power).to(device)
    return Canvas(side, scale, start, settings.start_reach)


def canvas_side(image_size: int, settings: IllusionSettings) -> int:
    """Side of the canvas in pixels; for a small classifier a whole multiple of what it sees.

    On its own few pixels the spectrum has no room for shapes, and turning and scaling blur what there is.
    """
    if image_size >= _LARGE_ENOUGH:
        return image_size
    return image_size * max(1, -(-settings.small_canvas // image_size))


def fit(images: Tensor, side: int) -> Tensor:
    """Images (N, 3, H, W) brought to another side, smoothed before they shrink; differentiable."""
    if images.shape[-1] == side:
        return images
    return functional.interpolate(images, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
