"""Where a neuron looks in its illusion, and how much those pixels speak for the class.

Reference: Ju, Park, Lee 2023, "NeuroInspect": pixel masks of CLIP-Illusion, and the core relevance hint.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from neuroinspect.classifier import Classifier
from neuroinspect.errors import FeaturesError
from neuroinspect.illusion.canvas import fit

_TOP_CLASSES = 20
_BATCH = 16
_SMALLEST_COSINE = 1e-6


class Pictured(Protocol):
    """The part of an illusion that core relevance needs."""

    @property
    def neuron(self) -> int:
        """Coordinate of the penultimate features."""
        ...

    @property
    def class_index(self) -> int:
        """The class the picture was made for."""
        ...

    @property
    def image(self) -> Tensor:
        """(3, H, W) in [0, 1], of the classifier's size or larger."""
        ...


def pixel_masks(activation_maps: Tensor, *, image_size: int, threshold: float = 0.5, dim: float = 0.5) -> Tensor:
    """Pixels on which neurons are clearly above their mean.

    Args:
        activation_maps: (N, h, w).
        image_size: side of the masks in pixels.
        threshold: in standard deviations of the upsampled map.
        dim: value of the other pixels, in [0, 1]; 1 = kept, 0 = black.

    Returns:
        (N, H, W), each value 1 or `dim`; a map with no pixel over the threshold, such as a flat one, gives
        1 everywhere.

    Raises:
        FeaturesError: the maps have another shape.
    """
    if activation_maps.dim() != 3:
        raise FeaturesError(
            f"expected activation maps (N, h, w), got {tuple(activation_maps.shape)}; choose one neuron an image"
        )
    side = (image_size, image_size)
    maps = functional.interpolate(activation_maps[:, None], size=side, mode="bilinear", align_corners=True)[:, 0]
    deviation = maps.std((1, 2), keepdim=True)
    # Asked of the map itself: interpolation leaves a little noise on a flat one.
    flat = activation_maps.amax((1, 2)) == activation_maps.amin((1, 2))
    kept = (maps - maps.mean((1, 2), keepdim=True)) / deviation >= threshold
    # A ReLU6 can hold most of a map at its ceiling: then no pixel is clearly above the mean, though the neuron is awake.
    kept |= (flat | ~kept.flatten(1).any(1))[:, None, None]
    return torch.where(kept, 1.0, dim).to(maps.dtype)


def core_relevance(illusions: Sequence[Pictured], classifier: Classifier, class_features: Tensor) -> Tensor:
    """How much of an illusion's likeness to its class lies in the neuron's own pixels, against other classes.

    s_k = cos(f(x m), r_k) / cos(f(x), r_k); the score is s_c over the mean of s on the most similar classes. Low = the
    neuron's pixels speak less for the class. It fails where a cue and a class occur together on real pictures too.

    Args:
        illusions: N of them.
        classifier: the model they were made for.
        class_features: (C, F), mean features of each class.

    Returns:
        (N,) on the CPU; NaN where the illusion is not similar to its class at all.

    Raises:
        FeaturesError: `class_features` has another shape.
    """
    expected = (classifier.num_classes, classifier.num_features)
    if tuple(class_features.shape) != expected:
        raise FeaturesError(f"expected class features of shape {expected}, got {tuple(class_features.shape)}")
    scores = [
        _batch_relevance(illusions[start : start + _BATCH], classifier, class_features.to(classifier.device))
        for start in range(0, len(illusions), _BATCH)
    ]
    return torch.cat(scores) if scores else torch.empty(0)


def _batch_relevance(illusions: Sequence[Pictured], classifier: Classifier, class_features: Tensor) -> Tensor:
    images = torch.stack([illusion.image for illusion in illusions]).to(classifier.device)
    neurons = torch.tensor([illusion.neuron for illusion in illusions], device=images.device)
    classes = torch.tensor([illusion.class_index for illusion in illusions], device=images.device)
    with torch.no_grad():
        side = classifier.preprocessing.image_size
        whole = classifier.normalize(fit(images, side))
        maps = classifier.activation_maps(whole, neurons)
        masks = pixel_masks(maps, image_size=images.shape[-1], threshold=0.25, dim=0.0)
        likeness = _cosines(classifier.features(whole), class_features)
        likeness_of_pixels = _cosines(
            classifier.features(classifier.normalize(fit(images * masks[:, None], side))), class_features
        )
    return relevance_from(likeness, likeness_of_pixels, classes).cpu()


def relevance_from(likeness: Tensor, likeness_of_pixels: Tensor, classes: Tensor) -> Tensor:
    """Core relevance from cosines.

    Args:
        likeness: (N, C), cosine of whole picture and class.
        likeness_of_pixels: (N, C), the same with only the neuron's pixels kept.
        classes: (N,), the class of each picture.

    Returns:
        (N,); NaN where a cosine that divides is not positive.
    """
    shares = likeness_of_pixels / likeness
    shares[likeness < _SMALLEST_COSINE] = torch.nan
    top = likeness.topk(min(_TOP_CLASSES, likeness.shape[1]), dim=1).indices
    average = shares.gather(1, top).nanmean(1)
    return shares.gather(1, classes[:, None])[:, 0] / torch.where(average > 0, average, torch.nan)


def _cosines(features: Tensor, class_features: Tensor) -> Tensor:
    return functional.normalize(features, dim=1) @ functional.normalize(class_features, dim=1).T
