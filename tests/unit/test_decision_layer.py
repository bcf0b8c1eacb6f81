import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from neuroinspect.decision_layer import find_decision_layer
from neuroinspect.errors import DataError, UnsupportedModelError, WeightsError
from neuroinspect.hooks import inputs_of
from tests.networks import hooks, probe, stem


def always_positive() -> nn.Linear:
    layer = nn.Linear(6, 3)
    nn.init.constant_(layer.bias, 50.0)
    return layer


class CosineLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(functional.normalize(input, dim=1) * 4)


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


class TwoHeads(nn.Module):
    """The logits are the mean of two layers, as in a distilled DeiT."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.head_dist = nn.Sequential(*stem()), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        return (self.head(features) + self.head_dist(features)) / 2


class TupleInTraining(nn.Sequential):
    """Auxiliary logits while it is trained, as in Inception."""

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # noqa: A002
        logits = super().forward(input)
        return (logits, logits) if self.training else logits


class NeverQuiet(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return functional.dropout(values, training=True)


def with_tail(*tail: nn.Module) -> nn.Sequential:
    return nn.Sequential(*stem(), *tail).eval()


def convolutional(*tail: nn.Module) -> nn.Sequential:
    """A stem that keeps its places."""
    return nn.Sequential(*stem()[:2], *tail).eval()


def test_the_decision_layer_is_found_by_what_it_returns_not_by_its_place() -> None:
    model = WithSideLayer()
    found = find_decision_layer(model, probe())
    assert (found.linear, found.own, found.name) == (model.decision, model.decision, "decision")
    with inputs_of(model.decision) as inputs:
        logits = model(probe())
    assert torch.allclose(inputs[-1] @ model.decision.weight.T + model.decision.bias, logits, atol=1e-6)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ([nn.Linear(6, 3), nn.Softmax(dim=1)], "its last layer is a Softmax"),
        ([always_positive(), nn.ReLU(inplace=True)], "its last layer is a ReLU"),
        ([nn.Linear(6, 3), nn.BatchNorm1d(3, eps=0.5)], "its last layer is a BatchNorm1d"),
        ([CosineLinear(6, 3)], "not the output of one nn.Linear"),
        ([nn.Linear(6, 1), nn.Flatten(0)], "a single logit"),
        ([nn.Unflatten(1, (2, 3)), nn.Linear(3, 3)], r"expected logits of shape \(N, C\)"),
        ([], "no nn.Linear"),
    ],
)
def test_a_model_that_does_not_end_in_one_plain_linear_is_refused(tail: list[nn.Module], message: str) -> None:
    model = with_tail(*tail)
    with pytest.raises(UnsupportedModelError, match=message):
        find_decision_layer(model, probe())
    assert hooks(model) == 0


def test_of_several_linears_with_dropout_between_them_the_last_decides() -> None:
    tail = [nn.Dropout(), nn.Linear(6, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3), nn.Dropout()]
    assert find_decision_layer(with_tail(*tail), probe()).name == "8"


def test_a_layer_without_a_bias_decides_as_one_with_a_bias_of_zeros() -> None:
    model = with_tail(nn.Linear(6, 3, bias=False))
    found = find_decision_layer(model, probe())
    assert found.own is model[-1]
    assert model[-1].bias is None
    assert not found.linear.bias.any()
    assert torch.allclose(found.linear(model[:-1](probe())), model(probe()), atol=1e-6)


@pytest.mark.parametrize(
    "tail",
    [
        [nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 3, 1), nn.Flatten()],
        [nn.Dropout(), nn.Conv2d(6, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        [nn.Conv2d(6, 3, 1, bias=False), nn.AvgPool2d(16), nn.Flatten(), nn.Dropout()],
    ],
)
def test_a_1x1_convolution_before_or_behind_the_pooling_is_the_linear_it_amounts_to(tail: list[nn.Module]) -> None:
    model = convolutional(*tail)
    found = find_decision_layer(model, probe())
    with inputs_of(found.own) as inputs:
        logits = model(probe())
    features = found.features(inputs[-1])
    assert isinstance(found.own, nn.Conv2d)
    assert found.linear.weight.shape == (3, 6)
    assert torch.allclose(features, model[:2](probe()).mean((2, 3)), atol=1e-6)
    assert torch.allclose(found.linear(features), logits, atol=1e-6)


@pytest.mark.parametrize(
    "tail",
    [
        [nn.Conv2d(6, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        [nn.Conv2d(6, 3, 1), nn.AdaptiveMaxPool2d(1), nn.Flatten()],
    ],
)
def test_a_convolution_with_more_than_pooling_behind_it_is_refused_with_the_way_out(tail: list[nn.Module]) -> None:
    with pytest.raises(UnsupportedModelError, match=r"2, is a 1x1 convolution, and more than global average pooling"):
        find_decision_layer(convolutional(*tail), probe())


def test_a_layer_written_back_gives_the_logits_of_the_linear() -> None:
    for model in (convolutional(nn.Conv2d(6, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), with_tail(nn.Linear(6, 3))):
        found = find_decision_layer(model, probe())
        weight, bias = torch.randn(3, 6), torch.randn(3)
        with inputs_of(found.own) as inputs:
            model(probe())
        expected = found.features(inputs[-1]) @ weight.T + bias
        model.load_state_dict(model.state_dict() | found.state(weight, bias))
        assert torch.allclose(model(probe()), expected, atol=1e-5)


def test_a_layer_with_two_names_is_written_back_under_both() -> None:
    model = with_tail(nn.Linear(6, 3))
    model.add_module("alias", nn.Identity())
    model.alias.decision = model[4]
    found = find_decision_layer(model, probe())
    assert found.names == ("4", "alias.decision")
    weight, bias = torch.randn(3, 6), torch.randn(3)
    model.load_state_dict(model.state_dict() | found.state(weight, bias))
    assert torch.equal(found.own.weight, weight)


def test_a_layer_without_a_bias_gets_one_only_where_it_is_not_zero() -> None:
    found = find_decision_layer(with_tail(nn.Linear(6, 3, bias=False)), probe())
    assert found.state(torch.ones(3, 6), torch.zeros(3)).keys() == {"4.weight"}
    assert found.state(torch.ones(3, 6), torch.ones(3)).keys() == {"4.weight", "4.bias"}


def test_a_model_with_two_heads_is_refused_by_their_names() -> None:
    with pytest.raises(UnsupportedModelError, match=r"from several layers \(head, head_dist\).*one of these layers"):
        find_decision_layer(TwoHeads(), probe())


def test_a_model_that_returns_a_tuple_while_it_is_trained_alone_is_taken() -> None:
    model = TupleInTraining(*stem(), nn.Linear(6, 3))
    assert find_decision_layer(model.eval(), probe()).own is model[-1]
    with pytest.raises(UnsupportedModelError, match=r"returns tuple.*returns the logits alone"):
        find_decision_layer(model.train(), probe())


def test_dropout_that_stays_on_is_named() -> None:
    with pytest.raises(UnsupportedModelError, match=r"other logits .* something random stays on"):
        find_decision_layer(with_tail(NeverQuiet(), nn.Linear(6, 3)), probe())


def test_weights_that_give_nan_are_called_damaged() -> None:
    model = with_tail(nn.Linear(6, 3))
    nn.init.constant_(model[-1].weight, torch.nan)
    with pytest.raises(WeightsError, match="NaN or infinite"):
        find_decision_layer(model, probe())


def test_a_wrong_image_size_is_a_data_error_and_leaves_no_hook() -> None:
    model = LargeImagesOnly()
    with pytest.raises(DataError, match=r"does not run on images of 16 x 16 pixels .* correct `preprocessing`"):
        find_decision_layer(model, probe())
    assert hooks(model) == 0


def test_a_wrong_number_of_channels_is_a_data_error_that_says_where_they_are_set() -> None:
    model = nn.Sequential(*stem(channels=1), nn.Linear(6, 3))
    with pytest.raises(DataError, match=r"with 3 channels; .*as many values in `mean` and `std`"):
        find_decision_layer(model, probe())
    assert find_decision_layer(model, probe(channels=1)).own is model[-1]
