import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from neuroinspect.lean_network import lean_copy

PROBE = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))


def lively(module: nn.Module) -> nn.Module:
    """Batch normalisations that change something."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.running_var, part.weight.data, part.bias.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.eval().requires_grad_(False)


def kinds(module: nn.Module) -> set[str]:
    return {type(part).__name__ for part in module.modules()}


class Residual(nn.Module):
    """The first convolution's output goes on beside its batch normalisation too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        between = self.first(images)
        return self.second(between) + self.norm(between)


class Hidden(Residual):
    def forward(self, images: Tensor) -> Tensor:
        between = self.first(images)
        return between + self.norm(between)


class Attending(nn.Module):
    def __init__(self, **options: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.options = options

    def forward(self, tokens: Tensor) -> Tensor:
        return self.attention(tokens, tokens, tokens, **self.options)[0]


def plain() -> nn.Module:
    return lively(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)))


def test_a_batch_normalisation_is_folded_into_the_convolution_before_it():
    module = plain()
    lean = lean_copy(module, PROBE)
    assert "BatchNorm2d" not in kinds(lean)
    torch.testing.assert_close(lean(PROBE), module(PROBE), atol=1e-5, rtol=1e-5)


def test_the_network_itself_does_not_change():
    module = plain()
    before, state = kinds(module), copy.deepcopy(module.state_dict())
    addresses = {name: tensor.data_ptr() for name, tensor in module.state_dict().items()}
    for dtype in (torch.float32, torch.bfloat16):
        assert lean_copy(module, PROBE, dtype=dtype) is not None
    assert kinds(module) == before
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name])
        assert tensor.dtype == state[name].dtype
        assert tensor.data_ptr() == addresses[name]
        assert tensor.is_contiguous()


def test_an_activation_inside_the_normalisation_stays():
    module = lively(nn.Sequential(nn.Conv2d(3, 4, 3), BatchNormAct2d(4)))
    lean = lean_copy(module, PROBE)
    assert "BatchNormAct2d" not in kinds(lean)
    assert lean(PROBE).min() == 0
    torch.testing.assert_close(lean(PROBE), module(PROBE), atol=1e-5, rtol=1e-5)


def test_a_convolution_whose_output_goes_elsewhere_too_is_left_alone():
    module = lively(Residual())
    lean = lean_copy(module, PROBE)
    assert "BatchNorm2d" in kinds(lean)
    torch.testing.assert_close(lean(PROBE), module(PROBE), atol=1e-5, rtol=1e-5)


def test_a_fold_that_changes_the_values_is_no_copy():
    assert lean_copy(lively(Hidden()), PROBE) is None


@pytest.mark.parametrize("options", [{"need_weights": False}, {"need_weights": True}])
def test_attention_gives_the_same_values_and_gradients(options):
    module = Attending(**options).eval().requires_grad_(False)
    tokens = torch.randn((2, 5, 8), generator=torch.Generator().manual_seed(0), requires_grad=True)
    lean = lean_copy(module, tokens.detach())
    assert "_PackedAttention" in kinds(lean)
    torch.testing.assert_close(lean(tokens), module(tokens), atol=1e-6, rtol=1e-5)
    slopes = [torch.autograd.grad(one(tokens).square().sum(), tokens)[0] for one in (lean, module)]
    torch.testing.assert_close(*slopes, atol=1e-5, rtol=1e-4)


def test_a_mask_is_not_forgotten():
    module = Attending(need_weights=False).eval()
    module.options["attn_mask"] = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    tokens = torch.randn((2, 5, 8), generator=torch.Generator().manual_seed(0))
    lean = lean_copy(module, tokens)
    torch.testing.assert_close(lean(tokens), module(tokens), atol=1e-6, rtol=1e-5)
    module.options["attn_mask"] = None
    assert not torch.allclose(lean(tokens), module(tokens), atol=1e-3)


@pytest.mark.parametrize("side", [8, 11])
def test_patches_are_cut_as_the_convolution_cuts_them(side):
    module = nn.Sequential(nn.Conv2d(3, 6, 4, 4)).eval().requires_grad_(False)
    images = torch.randn(2, 3, side, side, requires_grad=True)
    lean = lean_copy(module, images.detach())
    assert "_PatchConvolution" in kinds(lean)
    torch.testing.assert_close(lean(images), module(images), atol=1e-5, rtol=1e-5)
    slopes = [torch.autograd.grad(one(images).square().sum(), images)[0] for one in (lean, module)]
    torch.testing.assert_close(*slopes, atol=1e-5, rtol=1e-4)


def test_the_copy_can_end_before_the_last_layer():
    module = nn.Sequential(*plain(), nn.Flatten(), nn.Linear(32, 3)).eval()
    lean = lean_copy(module, PROBE, until=module[-1])
    torch.testing.assert_close(lean(PROBE), module[:-1](PROBE), atol=1e-5, rtol=1e-5)


def test_weights_that_stay_the_same_are_shared():
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()
    lean = lean_copy(module, PROBE)
    assert lean[1].weight.data_ptr() == module[1].weight.data_ptr()
    assert not lean[1].weight.requires_grad


def test_a_part_that_refuses_to_be_copied_is_not_changed():
    class Holder(nn.Sequential):
        def __deepcopy__(self, _: object) -> nn.Module:
            return Holder(*self)

    network = Holder(nn.Conv2d(3, 4, 2, stride=2)).eval().requires_grad_(False)
    assert lean_copy(network, PROBE) is None
    assert type(network[0]) is nn.Conv2d


def test_a_network_that_cannot_be_copied_has_no_lean_copy():
    module = plain()
    module.lock = __import__("threading").Lock()
    assert lean_copy(module, PROBE) is None
