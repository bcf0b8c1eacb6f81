import pytest
import torch
from torch import nn
from torch.nn import functional

from neuroinspect.illusion.silence import redirected_gradients

RELUS = {
    "layer": lambda x: nn.ReLU()(x),
    "layer in place": lambda x: nn.ReLU(inplace=True)(x * 1),
    "layer with a ceiling": lambda x: nn.ReLU6()(x),
    "layer with a ceiling in place": lambda x: nn.ReLU6(inplace=True)(x * 1),
    "function": functional.relu,
    "function in place": lambda x: functional.relu(x * 1, inplace=True),
    "function with a ceiling": functional.relu6,
    "torch": torch.relu,
    "torch in place": lambda x: torch.relu_(x * 1),
    "method": lambda x: x.relu(),
    "method in place": lambda x: (x * 1).relu_(),
}
VALUES = torch.tensor([[[[-1.0, -2.0]], [[3.0, -1.0]], [[7.0, 0.5]]]])  # channels: silent, awake, one above 6


def slope(relu, weights, values=VALUES):
    """Gradient of the weighted sum of relu(values)."""
    values = values.clone().requires_grad_()
    (found,) = torch.autograd.grad((relu(values) * weights).sum(), values)
    return found


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS.keys())
def test_a_silent_channel_passes_what_asks_it_to_rise(relu):
    assert slope(relu, -torch.ones(1, 3, 1, 2))[0, 0].sum() == 0
    with redirected_gradients():
        found = slope(relu, -torch.ones(1, 3, 1, 2))
    assert found[0, 0].tolist() == [[-1.0, -1.0]]


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS.keys())
def test_a_silent_channel_passes_nothing_that_asks_it_to_fall(relu):
    with redirected_gradients():
        found = slope(relu, torch.ones(1, 3, 1, 2))
    assert found[0, 0].abs().sum() == 0


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS.keys())
def test_values_and_awake_channels_are_as_before(relu):
    weights = -torch.ones(1, 3, 1, 2)
    before, slope_before = relu(VALUES.clone()), slope(relu, weights)
    with redirected_gradients():
        assert torch.equal(relu(VALUES.clone()), before)
        assert torch.equal(slope(relu, weights)[:, 1:], slope_before[:, 1:])


def test_an_in_place_relu_changes_its_input_as_ever():
    values = VALUES.clone()
    with redirected_gradients():
        values.relu_()
    assert values.min() == 0


def test_features_after_a_relu_are_woken_one_by_one():
    with redirected_gradients():
        found = slope(torch.relu, -torch.ones(1, 2), torch.tensor([[-1.0, 2.0]]))
    assert found.tolist() == [[-1.0, -1.0]]


def test_tokens_are_looked_at_channel_by_channel():
    values = torch.tensor([[[-1.0, 1.0], [-2.0, -1.0]]])
    with redirected_gradients():
        found = slope(torch.relu, -torch.ones(1, 2, 2), values)
    assert found.tolist() == [[[-1.0, -1.0], [-1.0, 0.0]]]


def test_other_clamps_are_left_alone():
    with redirected_gradients():
        found = slope(lambda x: functional.hardtanh(x, -1.0, 1.0), -torch.ones(1, 3, 1, 2))
    assert torch.equal(found, slope(lambda x: functional.hardtanh(x, -1.0, 1.0), -torch.ones(1, 3, 1, 2)))


def test_nothing_is_left_behind_after_an_exception():
    weights = -torch.ones(1, 3, 1, 2)
    with pytest.raises(RuntimeError, match="in the middle"), redirected_gradients():
        raise RuntimeError("in the middle")
    assert slope(nn.ReLU(), weights)[0, 0].abs().sum() == 0
