from concurrent.futures import ThreadPoolExecutor

import pytest
import timm
import torch
from torch import Tensor, nn

from neuroinspect.activation_source import find_activation_source, find_decision_layer, inputs_of
from neuroinspect.classifier import Classifier
from neuroinspect.errors import DataError, UnsupportedModelError, WeightsError
from neuroinspect.settings import PreprocessingSettings


def probe(size: int = 16) -> Tensor:
    return torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(0))


def stem() -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def hooks(module: nn.Module) -> int:
    return sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in module.modules())


def always_positive() -> nn.Linear:
    layer = nn.Linear(6, 3)
    nn.init.constant_(layer.bias, 50.0)
    return layer


class CosineLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(nn.functional.normalize(input, dim=1) * 4)


class LargeImagesOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2] < 64:
            raise AssertionError("Input height (16) doesn't match model (64)")
        return self.fc(images.mean((2, 3)))


class WithSideLayer(nn.Module):
    """The decision layer is not the Linear that runs last, and gets its input by name."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*stem())
        self.decision, self.side = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        logits: Tensor = self.decision(input=features)
        self.side(features)
        return logits


class ChannelsLast(nn.Module):
    """Places before channels, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 6, 4, stride=4)
        self.norm = nn.LayerNorm(6)
        self.fc = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.patches(images).permute(0, 2, 3, 1))
        logits: Tensor = self.fc(maps.mean((1, 2)))
        return logits


class WithPositions(nn.Module):
    """A spatial layer that does not depend on the image runs last."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.positions = nn.Sequential(*stem()), nn.Conv2d(1, 2, 1)
        self.hidden, self.fc = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.hidden(self.body(images))
        bias = self.positions(torch.ones(1, 1, 4, 4)).mean()
        logits: Tensor = self.fc(features + bias)
        return logits


def test_the_decision_layer_is_found_by_what_it_returns_not_by_its_place() -> None:
    model = WithSideLayer()
    assert find_decision_layer(model, probe()) is model.decision
    with inputs_of(model.decision) as inputs:
        logits = model(probe())
    assert torch.allclose(inputs[-1] @ model.decision.weight.T + model.decision.bias, logits, atol=1e-6)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ([nn.Linear(6, 3), nn.Softmax(dim=1)], "its last layer is a Softmax"),
        ([nn.Linear(6, 3), nn.ReLU(inplace=True)], "its last layer is a ReLU"),
        ([nn.Linear(6, 3), nn.BatchNorm1d(3, eps=0.5)], "its last layer is a BatchNorm1d"),
        ([CosineLinear(6, 3)], "not the output of one nn.Linear"),
        ([nn.Linear(6, 3, bias=False)], "no bias"),
        ([nn.Linear(6, 1), nn.Flatten(0)], "a single logit"),
        ([nn.Unflatten(1, (2, 3)), nn.Linear(3, 3)], r"expected logits of shape \(N, C\)"),
        ([], "no nn.Linear"),
    ],
)
def test_a_model_that_does_not_end_in_one_plain_linear_is_refused(tail: list[nn.Module], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        find_decision_layer(nn.Sequential(*stem(), *tail).eval(), probe())


def test_a_model_that_returns_no_tensor_is_refused() -> None:
    class Tupled(nn.Sequential):
        def forward(self, input: Tensor) -> tuple[Tensor]:  # noqa: A002
            return (super().forward(input),)

    with pytest.raises(UnsupportedModelError, match="returns tuple"):
        find_decision_layer(Tupled(*stem(), nn.Linear(6, 3)), probe())


def test_weights_that_give_nan_are_called_damaged() -> None:
    model = nn.Sequential(*stem(), nn.Linear(6, 3))
    nn.init.constant_(model[-1].weight, torch.nan)
    with pytest.raises(WeightsError, match="NaN or infinite"):
        find_decision_layer(model, probe())


def test_a_wrong_image_size_is_a_data_error_and_leaves_no_hook() -> None:
    model = LargeImagesOnly()
    with pytest.raises(DataError, match=r"does not run on images of 16 x 16 pixels; correct `preprocessing`"):
        find_decision_layer(model, probe())
    assert hooks(model) == 0


def test_hooks_are_removed_after_an_exception() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="stop"), inputs_of(layer):
        raise RuntimeError("stop")
    assert hooks(layer) == 0


def test_what_another_thread_passes_through_the_same_layer_is_not_caught() -> None:
    layer = nn.Linear(2, 2)
    mine, theirs = torch.zeros(1, 2), torch.ones(1, 2)
    with inputs_of(layer) as caught, ThreadPoolExecutor(1) as other:
        other.submit(layer, theirs).result()
        layer(input=mine)
    assert [id(tensor) for tensor in caught] == [id(mine)]


def test_finding_the_parts_leaves_no_hook() -> None:
    model = nn.Sequential(*stem(), nn.Linear(6, 3))
    find_activation_source(model, find_decision_layer(model, probe()), probe())
    assert hooks(model) == 0


def test_maps_of_a_channels_last_model_have_the_places_at_the_end() -> None:
    model = ChannelsLast()
    source = find_activation_source(model, model.fc, probe())
    maps = source.maps(model, model.fc, probe(), None)
    with inputs_of(model.fc) as inputs:
        model(probe())
    assert (source.kind, source.channels_last, tuple(maps.shape)) == ("channel", True, (2, 6, 4, 4))
    assert torch.allclose(maps.mean((2, 3)), inputs[-1], atol=1e-5)


def test_a_spatial_layer_the_features_do_not_depend_on_is_passed_over() -> None:
    model = WithPositions().requires_grad_(False)  # as a classifier's module is
    source = find_activation_source(model, model.fc, probe())
    assert source.kind == "grad_cam"
    assert source.layer is not model.positions
    assert source.maps(model, model.fc, probe(), torch.tensor([0, 1])).shape == (2, 16, 16)


def test_a_model_without_a_place_for_maps_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5), nn.Linear(5, 3))
    with pytest.raises(UnsupportedModelError, match="no layer with a spatial map"):
        find_activation_source(model, model[-1], probe())


@pytest.mark.parametrize(
    ("name", "options", "kind", "side"),
    [
        ("resnet18", {}, "channel", 2),
        ("vit_tiny_patch16_224", {"img_size": 64, "depth": 2}, "tokens", 4),
        ("vgg11", {"mlp_ratio": 0.02}, "grad_cam", 2),
    ],
)
def test_kinds_of_maps_of_known_architectures(name: str, options: dict[str, float], kind: str, side: int) -> None:
    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False, num_classes=4, **options)
    classifier = Classifier(module, preprocessing=PreprocessingSettings(image_size=64), device="cpu")
    images = probe(64)
    assert classifier.maps_kind == kind
    assert classifier.activation_maps(images, torch.tensor([1, 3])).shape == (2, side, side)
    if kind == "channel":
        maps = classifier.activation_maps(images)
        assert torch.allclose(maps.mean((2, 3)), classifier.features(images), atol=1e-5)
    if kind == "tokens":
        assert classifier.activation_maps(images).shape == (2, classifier.num_features, side, side)
    assert hooks(module) == 0


def test_grad_cam_of_one_neuron_is_its_slice_of_all_maps() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 5), nn.ReLU())
    model = nn.Sequential(module, nn.Linear(5, 2))
    classifier = Classifier(model, preprocessing=PreprocessingSettings(image_size=16), device="cpu")
    every = classifier.activation_maps(probe())
    chosen = classifier.activation_maps(probe(), torch.tensor([4, 2]))
    assert classifier.maps_kind == "grad_cam"
    assert every.shape == (2, 5, 14, 14)
    assert torch.allclose(chosen, torch.stack([every[0, 4], every[1, 2]]), atol=1e-6)


def test_grad_cam_equals_its_formula() -> None:
    torch.manual_seed(1)
    conv, hidden = nn.Conv2d(3, 4, 3), nn.Linear(4 * 14 * 14, 5)
    model = nn.Sequential(conv, nn.Flatten(), hidden, nn.Linear(5, 2))
    classifier = Classifier(model, preprocessing=PreprocessingSettings(image_size=16), device="cpu")
    maps = conv(probe()).double()
    slopes = hidden.weight[3].reshape(4, 14, 14).double()  # of neuron 3 in every place
    expected = sum(slopes[c].mean() * maps[:, c] for c in range(4)).clamp(min=0)
    found = classifier.activation_maps(probe(), torch.tensor([3, 3]))
    assert torch.allclose(found.double(), expected, atol=1e-6)
