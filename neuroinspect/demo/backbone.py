"""The small convolutional network of the embedded scenario: it plays the part an ImageNet backbone plays elsewhere.

pretrain.py made the weights beside this file: trained to be robust on neutral scenes, so that its neurons are readable. The
decision layer of the default scenario ships too, so that its run needs no training and starts from one model everywhere.
"""

from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from neuroinspect.demo.drawing import IMAGE_SIZE, OBJECTS

BACKBONE_WEIGHTS = Path(__file__).parent / "weights" / "backbone.safetensors"
FISH_FOREST_WEIGHTS = Path(__file__).parent / "weights" / "fish_forest.safetensors"
NUM_FEATURES = 128
_WIDTHS = (3, 32, 64, 96, 128, NUM_FEATURES)
_STRIDES = (2, 2, 2, 1, 1)


class SceneNet(nn.Module):
    """Five convolutions, global average pooling and one decision layer; images (N, 3, 64, 64) scaled to [-1, 1]."""

    preprocessing: ClassVar[dict[str, object]] = {
        "image_size": IMAGE_SIZE,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }
    class_names = OBJECTS

    def __init__(self, num_classes: int = len(OBJECTS)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip(_WIDTHS, _WIDTHS[1:], _STRIDES, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.backbone = nn.Sequential(*layers)
        self.classifier = nn.Linear(NUM_FEATURES, num_classes)

    def pooled(self, images: Tensor) -> Tensor:
        """Penultimate features (N, F)."""
        maps: Tensor = self.backbone(images)
        return maps.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C)."""
        logits: Tensor = self.classifier(self.pooled(images))
        return logits


def scene_net(num_classes: int = len(OBJECTS)) -> SceneNet:
    """The pretrained backbone with a decision layer of zeros; weights for that layer come from a run's own file."""
    model = SceneNet(num_classes)
    model.backbone.load_state_dict(load_file(BACKBONE_WEIGHTS))
    nn.init.zeros_(model.classifier.weight)
    nn.init.zeros_(model.classifier.bias)
    return model.eval()


def fish_forest_net() -> SceneNet:
    """The classifier of the default scenario, whose decision layer learned that fish live in forests."""
    model = scene_net()
    model.classifier.load_state_dict(load_file(FISH_FOREST_WEIGHTS))
    return model


def scale(pictures: Tensor) -> Tensor:
    """Pictures (N, 64, 64, 3) uint8 to network input (N, 3, 64, 64) in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
