"""From pictures in [0, 1] to what the network takes: three channels or one grey channel, normalised.

Outside the network pictures are RGB everywhere. A network for one channel gets the luma of ITU-R 601, which Pillow takes when it
converts a picture to grey.
"""

import torch
from torch import Tensor

from neuroinspect.settings import PreprocessingSettings

_LUMA = (0.299, 0.587, 0.114)


def normalize(images: Tensor, preprocessing: PreprocessingSettings) -> Tensor:
    """Network input (N, channels, H, W) of RGB images (N, 3, H, W) in [0, 1]; gradients flow to the images."""
    mean, std = (
        torch.tensor(values, dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
        for values in (preprocessing.mean, preprocessing.std)
    )
    return ((to_grey(images) if preprocessing.channels == 1 else images) - mean) / std


def to_grey(images: Tensor) -> Tensor:
    """Luma (N, 1, H, W) of RGB images (N, 3, H, W)."""
    luma = torch.tensor(_LUMA, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return (images * luma).sum(dim=1, keepdim=True)
