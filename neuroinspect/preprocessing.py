"""From pictures in [0, 1] to what the network takes: three channels or one grey channel, normalised.

Outside the network pictures are RGB everywhere. A network for one channel gets the luma of ITU-R 601, which Pillow takes when it
converts a picture to grey.
"""

from functools import lru_cache

import torch
from torch import Tensor

from neuroinspect.settings import PreprocessingSettings

_LUMA = (0.299, 0.587, 0.114)


def normalize(images: Tensor, preprocessing: PreprocessingSettings) -> Tensor:
    """Network input (N, channels, H, W) of RGB images (N, 3, H, W) in [0, 1]; gradients flow to the images."""
    mean, std = (_constant(values, images.dtype, images.device) for values in (preprocessing.mean, preprocessing.std))
    return ((to_grey(images) if preprocessing.channels == 1 else images) - mean) / std


def to_grey(images: Tensor) -> Tensor:
    """Luma (N, 1, H, W) of RGB images (N, 3, H, W)."""
    return (images * _constant(_LUMA, images.dtype, images.device)).sum(dim=1, keepdim=True)


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Values (1, channels, 1, 1), made once: to make them is to wait for the device."""
    with torch.inference_mode(False):  # made in that mode it could never be part of a gradient
        return torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)
