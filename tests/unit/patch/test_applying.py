"""Putting a patch into a model, and taking it out."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from neuroinspect.errors import PatchError, WeightsError
from neuroinspect.patch import apply_patch, read_model, revert_patch
from tests.unit.patch.patches import layer, model, patch_for, same

KINDS = [
    (dtype, bias, conv)
    for dtype in (torch.float32, torch.float16, torch.bfloat16)
    for bias in (True, False)
    for conv in (True, False)
]


@pytest.mark.parametrize(("dtype", "bias", "convolution"), KINDS)
def test_there_and_back_every_byte_is_the_same(dtype, bias, convolution):
    parent = model(dtype, bias=bias, convolution=convolution)
    patch = patch_for(parent, convolution=convolution)
    edited = apply_patch(patch, parent)
    assert same(edited, parent | {name: tensor.to(dtype) for name, tensor in layer(convolution=convolution).items()})
    assert same(revert_patch(patch, edited), parent)
    assert same(parent, model(dtype, bias=bias, convolution=convolution))


def test_applying_twice_says_that_it_is_applied():
    patch = patch_for(model())
    with pytest.raises(PatchError, match="has the patch already"):
        apply_patch(patch, apply_patch(patch, model()))


def test_reverting_the_parent_says_that_it_has_no_patch():
    with pytest.raises(PatchError, match="it is the parent itself"):
        revert_patch(patch_for(model()), model())


@pytest.mark.parametrize("change", [apply_patch, revert_patch])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"head.weight": torch.zeros(3, 4)}, "the rest of the network is the same, but its decision layer is another"),
        ({"stem.steps": torch.tensor(8)}, "the rest of the network differs too"),
        ({"head.weight": torch.zeros(3, 4).half()}, r"head.weight is float16 \(3, 4\), expected float32 \(3, 4\)"),
        ({"head.bias": torch.zeros(5)}, r"head.bias is float32 \(5,\), expected float32 \(3,\)"),
    ],
)
def test_another_model_is_refused_with_both_hashes_and_the_difference(change, changed, said):
    patch = patch_for(model())
    if "stem.steps" not in changed:
        changed = changed if "decision layer" in said else {**changed, "stem.steps": torch.tensor(8)}
    with pytest.raises(PatchError, match=said) as refused:
        change(patch, model() | changed)
    expected = patch.record.parent if change is apply_patch else patch.record.result
    assert expected in str(refused.value)


def test_another_architecture_is_refused():
    with pytest.raises(PatchError, match=r"it has no head.weight, head.bias, so it is another architecture"):
        apply_patch(patch_for(model()), {"fc.weight": torch.zeros(3, 4)})


@pytest.mark.parametrize("word", ["result", "parent"])
def test_a_patch_that_does_not_make_what_it_says_is_refused_though_its_checksum_holds(word):
    good = patch_for(model())
    lying = replace(good, record=good.record.model_copy(update={"result": "0" * 64}))
    if word == "result":
        with pytest.raises(PatchError, match="the patch says its result has the hash 000"):
            apply_patch(lying, model())
    else:
        lying = replace(good, parent={name: tensor + 1 for name, tensor in good.parent.items()})
        with pytest.raises(PatchError, match="the patch says its parent has the hash"):
            revert_patch(lying, apply_patch(good, model()))


def test_the_wrappers_of_trainers_are_taken_off(tmp_path):
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in model().items()}}
    torch.save(wrapped, tmp_path / "model.pt")
    patch = patch_for(model())
    assert same(apply_patch(patch, read_model(tmp_path / "model.pt", patch)), apply_patch(patch, model()))


def test_a_missing_a_pickled_and_a_foreign_file_are_refused(tmp_path):
    patch = patch_for(model())
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pickled.pt")
    (tmp_path / "text.safetensors").write_text("no tensors")
    for name, said in [
        ("missing.safetensors", "not a readable"),
        ("pickled.pt", "pickled"),
        ("text.safetensors", "not a readable"),
    ]:
        with pytest.raises(WeightsError, match=said):
            read_model(tmp_path / name, patch)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(PatchError, match="another architecture"):
        apply_patch(patch, read_model(tmp_path / "other.safetensors", patch))
