"""Making a patch of a parent and a layer."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from neuroinspect.classifier import Classifier
from neuroinspect.errors import ModelError, PatchError
from neuroinspect.patch import apply_patch, patch_between, patch_of, revert_patch
from neuroinspect.patch.making import parent_state
from neuroinspect.settings import ModelSettings, PreprocessingSettings
from tests.unit.patch.patches import PROVENANCE, layer, model, patch_for, same


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_the_edit_takes_the_names_shapes_and_dtype_of_the_parent(dtype):
    patch = patch_for(model(dtype, convolution=True), convolution=True)
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in patch.edited.items()} == {
        "head.weight": (dtype, (3, 4, 1, 1)),
        "head.bias": (dtype, (3,)),
    }
    assert same(patch.parent, {name: model(dtype, convolution=True)[name] for name in patch.edited})


def test_a_layer_without_a_bias_gets_one_of_its_own_dtype():
    patch = patch_for(model(torch.float16, bias=False))
    assert list(patch.parent) == ["head.weight"]
    assert patch.edited["head.bias"].dtype == torch.float16


def test_the_parent_is_not_changed_later_through_the_patch():
    state = model()
    patch = patch_for(state)
    patch.parent["head.weight"].zero_()
    assert same(state, model())


def test_an_edit_that_the_parents_dtype_swallows_is_refused():
    state = model(torch.bfloat16)
    barely = {name: state[name].float() * (1 + 1e-5) for name in ("head.weight", "head.bias")}
    with pytest.raises(PatchError, match=r"in torch.bfloat16 the edited layer is the parent's"):
        patch_between(state, barely, PROVENANCE)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"head.weight": torch.full((3, 4), 1e6)}, "float16 cannot hold"),
        ({"head.weight": torch.zeros(4, 4)}, r"\(4, 4\), of the model \(3, 4\)"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(changed, said):
    with pytest.raises(PatchError, match=said):
        patch_between(model(torch.float16), layer() | changed, PROVENANCE)


def test_a_layer_of_another_model_and_a_layer_of_whole_numbers_are_refused():
    with pytest.raises(PatchError, match=r"no fc\.weight"):
        patch_between(model(), {"fc.weight": torch.zeros(3, 4)}, PROVENANCE)
    with pytest.raises(PatchError, match=r"torch.int8; expected float64"):
        patch_between(model() | {"head.weight": torch.zeros(3, 4, dtype=torch.int8)}, layer(), PROVENANCE)


def network(dtype: torch.dtype) -> nn.Module:
    """A 1x1 convolution without a bias at the end."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).to(dtype)


def cut(module: nn.Module) -> Classifier:
    return Classifier(module, preprocessing=PreprocessingSettings(image_size=16), device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_patch_of_a_network_is_for_its_file_and_there_and_back_it_is_the_same(tmp_path, dtype):
    state = {name: tensor.clone() for name, tensor in network(dtype).state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    edited = SimpleNamespace(classifier=cut(network(dtype)), weight=torch.ones(2, 4), bias=torch.tensor([1.0, 2.0]))
    patch = patch_of(edited, ModelSettings(spec="a.b:c", weights=tmp_path / "model.safetensors"), PROVENANCE)
    after = apply_patch(patch, state)
    assert same(after, state | {"2.weight": torch.ones(2, 4, 1, 1).to(dtype), "2.bias": torch.tensor([1, 2]).to(dtype)})
    assert same(revert_patch(patch, after), state)


def test_weights_that_were_written_again_meanwhile_are_refused(tmp_path):
    save_file(
        {**network(torch.float32).state_dict(), "2.weight": torch.zeros(2, 4, 1, 1)}, tmp_path / "model.safetensors"
    )
    with pytest.raises(ModelError, match="was changed since"):
        parent_state(cut(network(torch.float32)), ModelSettings(spec="a.b:c", weights=tmp_path / "model.safetensors"))


def test_a_model_whose_factory_makes_the_weights_is_its_own_parent():
    module = network(torch.float32)
    assert same(parent_state(cut(module), ModelSettings(spec="a.b:c")), network(torch.float32).state_dict())
