"""A classifier in two parts: backbone with penultimate features, and the decision layer.

The parts are found by running the model once, so any architecture that ends in one linear layer works, whatever its
layers are called. Nothing of the model is ever changed; hooks live only as long as one call.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from neuroinspect.activation_source import ActivationSource, find_activation_source
from neuroinspect.decision_layer import find_decision_layer
from neuroinspect.errors import DataError, ModelError, UnsupportedModelError
from neuroinspect.hooks import inputs_of
from neuroinspect.model_spec import build_model, pick_device
from neuroinspect.preprocessing import normalize
from neuroinspect.settings import PreprocessingSettings

MapsKind = Literal["channel", "tokens", "grad_cam"]


class Classifier:
    """Preprocessed images (N, channels, H, W) to logits (N, C); 3 channels, or 1 for a model of grey pictures.

    Attributes:
        module: the whole model, in evaluation mode, its parameters frozen.
        last_layer: the model's own last layer.
        decision_layer: the Linear it amounts to, weight (C, F), bias (C,): mostly the last layer itself.
        preprocessing: how pictures become input.
        class_names: in the order of the logits.
        device: where the model lies.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        preprocessing: PreprocessingSettings,
        class_names: Sequence[str] | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Cut a module in two.

        Raises:
            UnsupportedModelError: no linear layer at the end, a single logit, features that are not one vector for each
                picture.
            WeightsError: the logits are NaN or infinite.
            DataError: the model does not run on images of the size `preprocessing` gives.
            ModelError: class names that do not match the number of logits.
            SettingsError: this machine does not have the device.
        """
        self.device = pick_device(device)
        self.module = module.to(self.device, torch.float32).eval().requires_grad_(False)
        self.preprocessing = preprocessing
        size = preprocessing.image_size
        probe = torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(0)).to(self.device)
        probe = self.normalize(probe)
        self.last_layer = find_decision_layer(self.module, probe)
        self.decision_layer: nn.Linear = self.last_layer.linear
        if self.decision_layer.out_features == 1:
            raise UnsupportedModelError(
                "the model has a single logit; two classes need two logits here. Replace the last layer by one with "
                "2 outputs, weight [-w/2, w/2] and bias [-b/2, b/2]: its decisions are the same"
            )
        self._source: ActivationSource = find_activation_source(self.module, self.last_layer, probe)
        names = tuple(class_names) if class_names is not None else tuple(str(k) for k in range(self.num_classes))
        if len(names) != self.num_classes or len(set(names)) != len(names):
            raise ModelError(
                f"the model has {self.num_classes} logits, but {len(names)} class names came ({', '.join(names[:5])}"
                f"{', ...' if len(names) > 5 else ''}); give one different name for each logit, in their order"
            )
        self.class_names = names

    @property
    def num_classes(self) -> int:
        """C."""
        return self.decision_layer.out_features

    @property
    def num_features(self) -> int:
        """F."""
        return self.decision_layer.in_features

    @property
    def maps_kind(self) -> MapsKind:
        """What a map is: the neuron's channel before pooling, the tokens of a ViT, or Grad-CAM of the neuron."""
        return self._source.kind

    @property
    def fingerprint(self) -> str:
        """SHA-256 of architecture, weights, class names and preprocessing."""
        digest = hashlib.sha256(self.preprocessing.model_dump_json().encode())
        digest.update(re.sub(r" at 0x[0-9a-f]+", "", repr(self.module)).encode())  # addresses differ between processes
        digest.update("\0".join(self.class_names).encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def normalize(self, images: Tensor) -> Tensor:
        """RGB images (N, 3, H, W) in [0, 1] to what the network expects, (N, channels, H, W)."""
        return normalize(images, self.preprocessing)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, C) of preprocessed images (N, channels, H, W).

        Raises:
            DataError: images of another shape.
        """
        logits: Tensor = self.module(self._checked(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features (N, F) of preprocessed images (N, channels, H, W); gradients flow to the images.

        Raises:
            DataError: images of another shape.
        """
        return self.features_and_logits(images)[0]

    def features_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Penultimate features (N, F) and logits (N, C) from one pass.

        Raises:
            DataError: images of another shape.
        """
        with inputs_of(self.last_layer.own) as caught:
            logits = self(images)
        return self.last_layer.features(caught[-1]), logits

    def activation_maps(self, images: Tensor, neurons: Tensor | None = None) -> Tensor:
        """Where each neuron looks; see `maps_kind`.

        Args:
            images: (N, channels, H, W), preprocessed.
            neurons: one neuron for each image (N,); None: all of them.

        Returns:
            (N, F, h, w), or (N, h, w) where neurons are given.

        Raises:
            DataError: images of another shape.
        """
        images = self._checked(images)
        maps = self._source.maps(self.module, self.last_layer, images, neurons)
        return maps if neurons is None or maps.dim() == 3 else maps[torch.arange(len(maps)), neurons.to(maps.device)]

    def _checked(self, images: Tensor) -> Tensor:
        channels, size = self.preprocessing.channels, self.preprocessing.image_size
        if images.dim() != 4 or images.shape[1:] != (channels, size, size):
            raise DataError(
                f"expected images of shape (N, {channels}, {size}, {size}), got {tuple(images.shape)}; give `normalize` RGB "
                "images of that size, and set `preprocessing` to the size and channels the model was trained on"
            )
        return images.to(self.device)


def load_classifier(
    spec: str,
    *,
    weights: Path | str | None = None,
    num_classes: int | None = None,
    preprocessing: PreprocessingSettings | None = None,
    device: torch.device | str | None = None,
    class_names: Sequence[str] | None = None,
    python_path: Path | str | None = None,
) -> Classifier:
    """Load a classifier from a spec.

    Args:
        spec: `timm:NAME`, `torchvision:NAME` or `package.module:factory`.
        weights: safetensors file or state dict; None where the factory loads its own.
        num_classes: C, where the spec can be built for any number.
        preprocessing: None takes the model's own configuration.
        device: None takes a GPU where there is one.
        class_names: in the order of the logits; None takes the model's own, or the numbers.
        python_path: folder to import the factory from.

    Raises:
        ModelSpecError: the model cannot be found or built.
        WeightsError: the weights are missing, pickled, or do not fit.
        UnsupportedModelError: no linear layer at the end, or a single logit.
        ModelError: class names that do not match the logits.
        SettingsError: this machine does not have the device.
    """
    loaded = build_model(
        spec,
        weights=None if weights is None else Path(weights),
        num_classes=num_classes,
        python_path=None if python_path is None else Path(python_path),
    )
    classifier = Classifier(
        loaded.module,
        preprocessing=preprocessing or loaded.preprocessing or PreprocessingSettings(),
        class_names=class_names or loaded.class_names,
        device=device,
    )
    if num_classes is not None and classifier.num_classes != num_classes:
        raise ModelError(
            f"num_classes is {num_classes}, but the decision layer of {spec} has {classifier.num_classes} outputs"
        )
    return classifier
