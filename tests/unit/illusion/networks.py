"""Small networks and guides for the tests of illusions."""

import torch
from torch import Tensor, nn

from neuroinspect.classifier import Classifier
from neuroinspect.settings import IllusionSettings, PreprocessingSettings

SIZE = 16
NEURONS = 6
CLASSES = ("cat", "sea_lion", "tree")
QUICK = IllusionSettings(steps=6, restarts=0, small_canvas=1)


def small_classifier(*, dead: int | None = None) -> Classifier:
    """Two convolutions and a decision layer; neuron `dead` has a bias so low that it is silent on grey."""
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, NEURONS, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(NEURONS, len(CLASSES)),
    )
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 3
    # Every neuron looks for light, so that only the dead one is silent at the start.
    module[0].weight.data.abs_()
    module[2].weight.data.abs_()
    module[2].bias.data.zero_()
    if dead is not None:
        grey = torch.full((1, 3, SIZE, SIZE), 1.0)  # 0.5 after normalising
        module[2].bias.data[dead] = -1.2 * module[:3](grey)[0, dead].max().detach()
    preprocessing = PreprocessingSettings(image_size=SIZE, mean=(0.0, 0.0, 0.0), std=(0.5, 0.5, 0.5))
    return Classifier(module, preprocessing=preprocessing, class_names=CLASSES, device="cpu")


class ColourGuide:
    """A guide in the space of mean colours: a text points to a colour by its length. Counts the texts it encodes."""

    fingerprint = "colours"

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_images(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))

    def encode_texts(self, texts: list[str]) -> Tensor:
        self.encoded += texts
        return torch.stack([torch.eye(3)[len(text) % 3] + 0.1 for text in texts])
