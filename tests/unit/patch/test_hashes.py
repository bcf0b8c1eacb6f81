"""The hash of a model's content."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file, save_file

from neuroinspect.errors import PatchError
from neuroinspect.patch.hashes import canonical, fingerprints, state_hash
from tests.unit.patch.patches import model


def hashed(state) -> str:
    return state_hash(fingerprints(state))


def test_the_hash_is_that_of_the_listed_tensors_written_out_by_hand():
    state = {"b": torch.tensor([1.0, 2.0], dtype=torch.float32), "a": torch.tensor(3, dtype=torch.int64)}
    three = hashlib.sha256((3).to_bytes(8, "little")).hexdigest()
    ones = hashlib.sha256(bytes.fromhex("0000803f00000040")).hexdigest()
    listed = f'[["a","int64",[],"{three}"],["b","float32",[2],"{ones}"]]'
    assert hashed(state) == hashlib.sha256(b"neuroinspect state 1\0" + listed.encode()).hexdigest()


def test_safetensors_and_a_torch_file_of_the_same_model_agree(tmp_path):
    state = model(torch.bfloat16)
    save_file(state, tmp_path / "model.safetensors")
    torch.save(dict(reversed(state.items())), tmp_path / "model.pt")
    read = [load_file(tmp_path / "model.safetensors"), torch.load(tmp_path / "model.pt", weights_only=True)]
    assert [hashed(one) for one in read] == [hashed(state)] * 2


@pytest.mark.parametrize(
    "changed",
    [
        {"head.bias": torch.tensor([0.5, 0.0, 2.0])},  # the sign of a zero
        {"head.weight": model()["head.weight"].view(4, 3)},
        {"head.weight": model()["head.weight"].double()},
        {"stem.steps": torch.tensor(8)},
        {"more": torch.zeros(0)},
    ],
)
def test_one_bit_or_name_more_is_another_model(changed):
    assert hashed(model() | changed) != hashed(model())


def test_how_a_tensor_lies_in_memory_does_not_count():
    state = model()
    state["head.weight"] = state["head.weight"].t().contiguous().t()
    assert not state["head.weight"].is_contiguous()
    assert hashed(state) == hashed(model())


def test_the_rest_of_a_model_does_not_depend_on_its_decision_layer():
    other = {**model(), "head.weight": torch.zeros(3, 4)}
    left = ("head.weight", "head.bias")
    assert state_hash(fingerprints(other), without=left) == state_hash(fingerprints(model()), without=left)
    assert state_hash(fingerprints(other)) != hashed(model())


def test_a_tensor_without_plain_bytes_is_refused():
    with pytest.raises(PatchError, match=r"stem\.weight of the model is no plain tensor"):
        fingerprints({"stem.weight": torch.eye(3).to_sparse()})


def test_the_spelling_refuses_what_json_does_not_know():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))
