import pytest
import torch
from torch import Tensor, nn

from neuroinspect.activation_source import find_activation_source
from neuroinspect.classifier import Classifier
from neuroinspect.decision_layer import find_decision_layer
from neuroinspect.errors import UnsupportedModelError
from neuroinspect.settings import PreprocessingSettings
from tests.networks import hooks, probe, stem


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


def test_finding_the_parts_leaves_no_hook() -> None:
    model = nn.Sequential(*stem(), nn.Linear(6, 3))
    find_activation_source(model, find_decision_layer(model, probe()), probe())
    assert hooks(model) == 0


def test_maps_of_a_channels_last_model_have_the_places_at_the_end() -> None:
    model = ChannelsLast()
    last = find_decision_layer(model, probe())
    source = find_activation_source(model, last, probe())
    maps = source.maps(model, last, probe(), None)
    assert (source.kind, source.channels_last, tuple(maps.shape)) == ("channel", True, (2, 6, 4, 4))
    assert torch.allclose(model.fc(maps.mean((2, 3))), model(probe()), atol=1e-5)


def test_a_spatial_layer_the_features_do_not_depend_on_is_passed_over() -> None:
    model = WithPositions().requires_grad_(False)  # as a classifier's module is
    last = find_decision_layer(model, probe())
    source = find_activation_source(model, last, probe())
    assert source.kind == "grad_cam"
    assert source.layer is not model.positions
    assert source.maps(model, last, probe(), torch.tensor([0, 1])).shape == (2, 16, 16)


def test_a_model_without_a_place_for_maps_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5), nn.Linear(5, 3))
    with pytest.raises(UnsupportedModelError, match="no layer with a spatial map"):
        find_activation_source(model, find_decision_layer(model, probe()), probe())


def test_a_normalisation_behind_the_pooling_does_not_hide_the_channels() -> None:
    body = [nn.Conv2d(3, 96, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(96)]  # as in ConvNeXt
    model = nn.Sequential(*body, nn.Linear(96, 3))
    source = find_activation_source(model, find_decision_layer(model, probe()), probe())
    assert (source.kind, source.layer) == ("channel", model[1])


def test_the_embedding_of_tokens_is_no_place_for_maps_where_the_tokens_are() -> None:
    class Tokens(nn.Module):
        """Residual blocks that change little: the neurons still show the embedding's channels."""

        def __init__(self) -> None:
            super().__init__()
            self.embed, self.blocks = nn.Conv2d(3, 8, 4, stride=4), nn.ModuleList(nn.Tanh() for _ in range(3))
            self.fc = nn.Linear(8, 3)

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.embed(images).flatten(2).transpose(1, 2)
            for block in self.blocks:
                tokens = block(tokens)
            logits: Tensor = self.fc(tokens.mean(1))
            return logits

    model = Tokens()
    source = find_activation_source(model, find_decision_layer(model, probe()), probe())
    assert (source.kind, source.layer, source.prefix_tokens) == ("tokens", model.blocks[1], 0)


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
