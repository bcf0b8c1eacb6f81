"""The real pictures that activate a neuron most, with a heatmap of where it looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from neuroinspect.artifacts import write_bytes
from neuroinspect.classifier import Classifier
from neuroinspect.dataset import load_batches

_BATCH = 16
_SIDE = 160
_STRENGTH = 0.55


@dataclass(frozen=True, slots=True)
class TopPicture:
    """One real picture of a neuron: its row in samples.select, its rank (1 is the strongest) and the activation."""

    neuron: int
    rank: int
    row: int
    activation: float


def top_pictures(features: NDArray[np.float32], neurons: Sequence[int], *, count: int) -> list[TopPicture]:
    """The pictures with the highest activation of each neuron.

    Args:
        features: (N, F), of the select split.
        neurons: which.
        count: pictures of each.

    Returns:
        By neuron, then by rank; equal activations in the order of the rows.
    """
    found = []
    for neuron in neurons:
        column = np.asarray(features[:, neuron])
        for rank, row in enumerate(np.argsort(-column, kind="stable")[:count].tolist(), start=1):
            found.append(TopPicture(neuron, rank, row, float(column[row])))
    return found


def draw_heatmaps(
    classifier: Classifier, pictures: Sequence[Path], neurons: Sequence[int], *, sha256: Sequence[str] | None = None
) -> list[Image.Image]:
    """Each picture as the network sees it (its centre square), with a heatmap of its neuron over it.

    Args:
        classifier: the model.
        pictures: N files.
        neurons: N neurons.
        sha256: what the files must hash to; None: not looked at.

    Raises:
        DataError: a file cannot be read, or has changed since it was validated.
    """
    drawn: list[Image.Image] = []
    for images in load_batches(pictures, classifier.preprocessing, batch_size=_BATCH, sha256=sha256):
        chosen = torch.tensor(neurons[len(drawn) : len(drawn) + len(images)])
        with torch.no_grad():
            maps = classifier.activation_maps(classifier.normalize(images.to(classifier.device)), chosen).cpu()
        drawn += [to_picture(image).resize((_SIDE, _SIDE)) for image in overlay(images, maps)]
    return drawn


def overlay(images: Tensor, maps: Tensor) -> Tensor:
    """Lay heatmaps over pictures.

    Args:
        images: (N, 3, H, W) in [0, 1].
        maps: (N, h, w); each is stretched from its lowest to its highest value, and a flat one leaves the picture alone.

    Returns:
        (N, 3, H, W) in [0, 1].
    """
    size = (images.shape[2], images.shape[3])
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    heat = torch.where(high > low, (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny), 0.0)
    heat = functional.interpolate(heat[:, None], size=size, mode="bilinear", align_corners=True)
    table = torch.from_numpy(matplotlib.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3]).to(images.dtype)
    colours = table[(heat[:, 0] * 255).round().long()].permute(0, 3, 1, 2)
    return images * (1 - _STRENGTH * heat) + colours * _STRENGTH * heat


def to_picture(image: Tensor) -> Image.Image:
    """Image (3, H, W) in [0, 1] as an RGB picture."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    return Image.fromarray(pixels.cpu().numpy())


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG, whole.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())
