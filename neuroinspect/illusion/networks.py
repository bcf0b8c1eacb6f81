"""What looks at the pictures while they are made: a lean copy of the classifier's backbone, and the guide.

Everything that stays the same from step to step is made once and lies on the device: a step waits for nothing.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuroinspect.classifier import Classifier
from neuroinspect.illusion.canvas import fit
from neuroinspect.lean_network import lean_copy
from neuroinspect.settings import IllusionSettings
from neuroinspect.text_guide import TextGuide, similarity_to

Precision = Literal["float32", "bfloat16"]
_DTYPES: Mapping[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_TOLERANCE: Mapping[Precision, float] = {"float32": 1e-3, "bfloat16": 0.1}
# Below it bfloat16 has not been measured to help.
_LARGE = 128
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """A classifier and a guide, ready to be asked at every step.

    Attributes:
        classifier: the model itself.
        guide: None leaves the pictures to the classifier.
        backbone: lean copy, from normalised pictures to what the last layer takes; None: the model itself is asked.
        compiled: the backbone as torch.compile made it, or the backbone.
        dtype: of the backbone.
    """

    classifier: Classifier
    guide: TextGuide | None
    backbone: nn.Module | None
    compiled: nn.Module | None
    dtype: torch.dtype

    def features_and_logits(self, images: Tensor, *, plain: bool = False) -> tuple[Tensor, Tensor]:
        """Penultimate features (N, F) and logits (N, C) of images (N, 3, S, S) in [0, 1]; differentiable.

        Args:
            images: of the classifier's size, or larger.
            plain: never through torch.compile, which does not see a change of gradients.
        """
        classifier, backbone = self.classifier, self.backbone if plain else self.compiled
        normalized = classifier.normalize(fit(images, classifier.preprocessing.image_size))
        if backbone is None:
            return classifier.features_and_logits(normalized)
        features = classifier.last_layer.features(backbone(normalized.to(self.dtype)).float())
        layer = classifier.decision_layer
        return features, functional.linear(features, layer.weight, layer.bias)

    def similarity(self, images: Tensor, directions: Tensor | None) -> Tensor | None:
        """Cosine (N,) of each image (N, 3, S, S) in [0, 1] and its direction (N, D); None without a guide."""
        if self.guide is None or directions is None:
            return None
        # On a GPU the guide may keep to half the bits too; on a CPU that slows transformers down.
        half = self.dtype is torch.bfloat16 and images.device.type == "cuda"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            return similarity_to(self.guide, images, directions)


def prepare_networks(classifier: Classifier, guide: TextGuide | None, settings: IllusionSettings) -> Networks:
    """Make the lean copy; where none can be had that gives the same features, the model itself is asked."""
    precision, size = resolve_precision(classifier, settings.precision), classifier.preprocessing.image_size
    images = torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(0)).to(classifier.device)
    backbone = lean_copy(
        classifier.module, classifier.normalize(images), until=classifier.last_layer.own, dtype=_DTYPES[precision]
    )
    # nn.Module.compile changes the module in place, this makes another; torch gives it the type of any callable.
    compiled = cast(nn.Module, torch.compile(backbone)) if settings.compile and backbone is not None else backbone
    networks = Networks(classifier, guide, backbone, compiled, _DTYPES[precision])
    if backbone is None or _agrees(networks, images, _TOLERANCE[precision]):
        return networks
    log.info("the lean copy in %s gives other features; the model itself is asked", precision)
    return Networks(classifier, guide, None, None, torch.float32)


def resolve_precision(classifier: Classifier, wanted: Literal["auto", "float32", "bfloat16"]) -> Precision:
    """The precision a backbone is asked in; decided by kind and machine, never by a clock, so that it stays the same.

    `auto` takes bfloat16 where it was measured to help: convolutional networks of 128 pixels and more on CPUs with
    matrix units (AMX). Without those units, in transformers and in small networks it is slower than float32.
    """
    if wanted != "auto":
        return wanted
    units = classifier.device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    large = classifier.preprocessing.image_size >= _LARGE
    return "bfloat16" if units and large and _is_convolutional(classifier) else "float32"


def _is_convolutional(classifier: Classifier) -> bool:
    sizes = {nn.Conv2d: 0, nn.Linear: 0}
    for part in classifier.module.modules():
        for kind in sizes:
            if isinstance(part, kind) and part is not classifier.last_layer.own:
                sizes[kind] += sum(parameter.numel() for parameter in part.parameters(recurse=False))
    return sizes[nn.Conv2d] > sizes[nn.Linear]


def _agrees(networks: Networks, images: Tensor, tolerance: float) -> bool:
    with torch.no_grad():
        expected = networks.classifier.features_and_logits(networks.classifier.normalize(images))
        found = networks.features_and_logits(images, plain=True)
    return all(
        one.shape == other.shape and bool((one - other).abs().max() <= tolerance * other.abs().max())
        for one, other in zip(found, expected, strict=True)
    )
