"""Small networks that several tests cut in two."""

import torch
from torch import Tensor, nn


def probe(size: int = 16, *, channels: int = 3) -> Tensor:
    """Two images (2, channels, size, size) in [0, 1]."""
    return torch.rand((2, channels, size, size), generator=torch.Generator().manual_seed(0))


def stem(channels: int = 3) -> list[nn.Module]:
    """Layers from images to six features."""
    torch.manual_seed(0)
    return [nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def hooks(module: nn.Module) -> int:
    """Hooks that hang on a model."""
    return sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in module.modules())
