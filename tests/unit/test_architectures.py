"""Architectures of timm and torchvision, with random weights, cut in two.

Sizes are the smallest at which a model keeps more than one place at its end. Random weights would often give logits that hardly
depend on the picture, so one pass sets the statistics of the batch normalisations, and scales that start near zero and
decision layers that start at zero are drawn.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from neuroinspect.classifier import Classifier
from neuroinspect.errors import UnsupportedModelError
from neuroinspect.export import edited_state
from neuroinspect.model_spec import load_weights, timm_preprocessing
from neuroinspect.settings import PreprocessingSettings
from tests.networks import hooks

CLASSES = 5
BATCH = 4


@dataclass(frozen=True)
class Architecture:
    """A model to cut: name, side of its images, kind and side of its maps, and what its factory takes."""

    name: str
    size: int
    kind: str
    side: int
    options: dict[str, Any] = field(default_factory=dict)


TIMM = (
    Architecture("resnet18", 64, "channel", 2),
    Architecture("resnext50_32x4d", 64, "channel", 2),
    Architecture("seresnet50", 64, "channel", 2),
    Architecture("resnetv2_50x1_bit", 64, "channel", 2),  # a convolution decides
    Architecture("dpn48b", 64, "channel", 2),  # as well
    Architecture("dla34", 64, "channel", 2),  # as well
    Architecture("vit_tiny_patch16_224", 64, "tokens", 4, {"img_size": 64, "depth": 3}),
    Architecture("vit_base_patch16_siglip_224", 32, "tokens", 2, {"img_size": 32, "depth": 2, "embed_dim": 96}),
    Architecture("deit_tiny_patch16_224", 64, "tokens", 4, {"img_size": 64, "depth": 3}),
    Architecture("beit_base_patch16_224", 32, "tokens", 2, {"img_size": 32, "depth": 2, "embed_dim": 96}),
    Architecture("cait_xxs24_224", 64, "tokens", 4, {"img_size": 64, "depth": 3}),
    Architecture("xcit_nano_12_p16_224", 64, "tokens", 4, {"img_size": 64, "depth": 3}),
    Architecture("tnt_s_patch16_224", 64, "tokens", 4, {"img_size": 64, "depth": 2}),
    Architecture("mvitv2_tiny", 64, "tokens", 2, {"img_size": 64}),
    Architecture("swin_tiny_patch4_window7_224", 56, "channel", 2, {"img_size": 56, "window_size": 2}),
    Architecture("swinv2_tiny_window8_256", 64, "channel", 2, {"img_size": 64}),
    Architecture("convnext_atto", 64, "channel", 2),
    Architecture("convnextv2_atto", 64, "channel", 2),
    Architecture("efficientnet_b0", 64, "channel", 2),
    Architecture("mobilenetv2_050", 64, "channel", 2),
    Architecture("mobilenetv3_small_050", 64, "grad_cam", 2),
    Architecture("mobilenetv3_large_075", 64, "grad_cam", 2),
    Architecture("ghostnet_050", 64, "grad_cam", 2),
    Architecture("vgg11", 64, "grad_cam", 2, {"mlp_ratio": 0.02}),
    Architecture("densenet121", 64, "channel", 2),
    Architecture("regnetx_002", 64, "channel", 2),
    Architecture("regnety_002", 64, "channel", 2),
    Architecture("inception_v3", 128, "channel", 2),
    Architecture("maxvit_rmlp_pico_rw_256", 64, "channel", 2, {"img_size": 64}),
    Architecture("coatnet_pico_rw_224", 64, "channel", 2, {"img_size": 64}),
    Architecture("mixer_s32_224", 96, "tokens", 3, {"img_size": 96}),
    Architecture("gmlp_ti16_224", 64, "tokens", 4, {"img_size": 64}),
    Architecture("resmlp_12_224", 64, "tokens", 4, {"img_size": 64}),
    Architecture("pvt_v2_b0", 64, "channel", 2),
    Architecture("poolformer_s12", 64, "channel", 2),
    Architecture("mobilevit_xxs", 64, "channel", 2),
)
TORCHVISION = (
    Architecture("alexnet", 64, "grad_cam", 6),
    Architecture("resnet18", 64, "channel", 2),
    Architecture("densenet121", 64, "channel", 2),
    Architecture("googlenet", 64, "channel", 2, {"aux_logits": True, "init_weights": False}),
    Architecture("inception_v3", 128, "channel", 2, {"aux_logits": True, "init_weights": False}),
    Architecture("mobilenet_v2", 64, "channel", 2),
    Architecture("mobilenet_v3_small", 64, "grad_cam", 2),
    Architecture("mnasnet0_5", 64, "channel", 2),
    Architecture("shufflenet_v2_x0_5", 64, "channel", 2),
    Architecture("efficientnet_b0", 64, "channel", 2),
    Architecture("regnet_y_400mf", 64, "channel", 2),
    Architecture("convnext_tiny", 64, "channel", 2),
    Architecture("swin_t", 64, "channel", 2),
)
OWN = (
    Architecture("torchvision.VisionTransformer", 32, "tokens", 2, {"factory": "vit"}),
    Architecture("torchvision.MaxVit", 64, "grad_cam", 8, {"factory": "maxvit"}),  # no bias
    Architecture("an MLP behind the pooling", 16, "grad_cam", 14, {"factory": "mlp"}),
)


def vision_transformer() -> nn.Module:
    sizes = {"image_size": 32, "patch_size": 16, "num_layers": 3, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 16}
    return torchvision.models.VisionTransformer(num_classes=CLASSES, **sizes)


def max_vit() -> nn.Module:
    sizes = {
        "stem_channels": 16,
        "block_channels": [16, 24],
        "block_layers": [1, 1],
        "head_dim": 8,
        "partition_size": 2,
    }
    return torchvision.models.MaxVit((64, 64), stochastic_depth_prob=0.0, num_classes=CLASSES, **sizes)


def mlp() -> nn.Module:
    head = [nn.Dropout(), nn.Linear(6, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, CLASSES)]
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)


FACTORIES: dict[str, Callable[[], nn.Module]] = {"vit": vision_transformer, "maxvit": max_vit, "mlp": mlp}


def built(library: str, one: Architecture) -> nn.Module:
    torch.manual_seed(0)
    if library == "timm":
        module = timm.create_model(one.name, num_classes=CLASSES, **one.options)
    elif library == "torchvision":
        module = torchvision.models.get_model(one.name, num_classes=CLASSES, **one.options)
    else:
        module = FACTORIES[one.options["factory"]]()
    return enlivened(module, one.size)


def enlivened(module: nn.Module, size: int) -> nn.Module:
    """Random weights under which the logits depend on the picture."""
    for name, parameter in module.named_parameters():
        if name.endswith(("gamma", "gamma_1", "gamma_2", "gamma1", "gamma2", "gamma3", "ls1", "ls2", "layer_scale")):
            nn.init.constant_(parameter, 0.5)
        elif parameter.shape[:1] == (CLASSES,):
            nn.init.normal_(parameter, std=0.1)
    module.eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.train().momentum = 1.0
    with torch.no_grad():
        module(pictures(size))
    return module.eval()


def pictures(size: int) -> Tensor:
    return torch.rand((BATCH, 3, size, size), generator=torch.Generator().manual_seed(0)) * 2 - 1


def raise_in_the_middle(*_: object) -> None:
    raise RuntimeError("stop")


ALL = [
    pytest.param(library, one, id=f"{library}:{one.name}")
    for library, several in (("timm", TIMM), ("torchvision", TORCHVISION), ("own", OWN))
    for one in several
]


@pytest.mark.parametrize(("library", "one"), ALL)
def test_an_architecture_is_cut_in_two(library: str, one: Architecture, tmp_path: Path) -> None:
    module = built(library, one)
    images = pictures(one.size)
    with torch.no_grad():
        own_logits = module(images)
    classifier = Classifier(module, preprocessing=PreprocessingSettings(image_size=one.size), device="cpu")
    layer = classifier.decision_layer

    with torch.no_grad():
        features, logits = classifier.features_and_logits(images)
        again = features @ layer.weight.T + layer.bias
    assert logits.isfinite().all()
    assert logits.std(dim=0).min() > 1e-3 * logits.abs().max()
    assert torch.allclose(logits, own_logits, rtol=0, atol=1e-4)
    assert torch.allclose(again, logits, rtol=0, atol=1e-4)

    if library == "timm":
        config = timm.data.resolve_model_data_config(module)
        preprocessing = timm_preprocessing(module)
        assert preprocessing.image_size == config["input_size"][-1]
        assert (preprocessing.mean, preprocessing.std) == (tuple(config["mean"]), tuple(config["std"]))

    neurons = torch.tensor([0, 1, 2, layer.in_features - 1])
    maps = classifier.activation_maps(images, neurons)
    assert classifier.maps_kind == one.kind
    assert maps.shape == (BATCH, one.side, one.side)
    assert maps.isfinite().all()
    assert maps.std(dim=(1, 2)).max() > 0

    assert hooks(module) == 0
    handle = classifier.last_layer.own.register_forward_pre_hook(raise_in_the_middle)
    for call in (classifier.features, lambda values: classifier.activation_maps(values, neurons)):
        with pytest.raises(RuntimeError, match="stop"):
            call(images)
    handle.remove()
    assert hooks(module) == 0

    weight, bias = torch.randn(layer.weight.shape), torch.randn(CLASSES)
    save_file(edited_state(classifier, weight=weight, bias=bias), tmp_path / "edited.safetensors")
    load_weights(module, tmp_path / "edited.safetensors")
    with torch.no_grad():
        assert torch.allclose(module(images), features @ weight.T + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "size", "layers"),
    [
        ("deit_tiny_distilled_patch16_224", {"img_size": 32, "depth": 1}, 32, "head, head_dist"),
        ("levit_128s", {}, 224, "head.linear, head_dist.linear"),
        ("crossvit_tiny_240", {}, 240, "head.0, head.1"),
    ],
)
def test_a_model_that_averages_several_layers_is_refused_by_their_names(
    name: str, options: dict[str, Any], size: int, layers: str
) -> None:
    module = timm.create_model(name, num_classes=CLASSES, **options)
    with pytest.raises(UnsupportedModelError, match=rf"several layers \({re.escape(layers)}\), as distilled models do"):
        Classifier(module, preprocessing=PreprocessingSettings(image_size=size), device="cpu")
    assert hooks(module) == 0


def test_squeezenet_is_refused_for_its_relu_and_taken_without_it() -> None:
    module = torchvision.models.squeezenet1_1(num_classes=CLASSES)
    settings = PreprocessingSettings(image_size=32)
    with pytest.raises(UnsupportedModelError, match=r"classifier\.1, is a 1x1 convolution, and more than .* a ReLU"):
        Classifier(module, preprocessing=settings, device="cpu")
    module.classifier[2] = nn.Identity()
    assert Classifier(module, preprocessing=settings, device="cpu").last_layer.own is module.classifier[1]
