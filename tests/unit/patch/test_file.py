"""The patch as a file."""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, load_file, save
from torchvision.models import resnet50

from neuroinspect.errors import PatchError, RunFolderError
from neuroinspect.patch import patch_between, read_patch, write_patch
from neuroinspect.patch.file import KEY, decoded
from tests.unit.patch.patches import PROVENANCE, layer, model, patch_for, same


def read(data: bytes):
    return decoded(data, source="the file")


def header_of(data: bytes) -> dict:
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def with_header(data: bytes, header: dict) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + int.from_bytes(data[:8], "little") :]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_what_is_written_is_read_again(tmp_path, dtype, bias):
    patch = patch_for(model(dtype, bias=bias))
    size = write_patch(tmp_path / "edit.safetensors", patch)
    again = read_patch(tmp_path / "edit.safetensors")
    assert size == (tmp_path / "edit.safetensors").stat().st_size
    assert again.record == patch.record
    assert same(again.edited, patch.edited)
    assert same(again.parent, patch.parent)
    assert again.digest == patch.digest


def test_the_same_edit_is_the_same_file():
    assert patch_for(model()).encoded() == patch_for(model()).encoded()


def test_the_safetensors_library_reads_it(tmp_path):
    write_patch(tmp_path / "edit.safetensors", patch_for(model()))
    assert same(
        load_file(tmp_path / "edit.safetensors"),
        {f"edited/{name}": tensor for name, tensor in layer().items()}
        | {f"parent/{name}": model()[name] for name in layer()},
    )
    with safe_open(tmp_path / "edit.safetensors", framework="pt") as file:
        assert list(file.metadata()) == [KEY]


def test_a_patch_says_nothing_of_the_machine(tmp_path):
    text = patch_for(model()).encoded().decode("latin-1")
    assert str(Path.home()) not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


def test_an_unknown_format_is_named_though_the_rest_of_it_cannot_be_read():
    header = header_of(patch_for(model()).encoded())
    header["__metadata__"][KEY] = json.dumps({"record": {"format": 2, "new": True}})
    with pytest.raises(PatchError, match="has format 2, this version of NeuroInspect reads 1"):
        read(with_header(patch_for(model()).encoded(), header))


def test_a_model_is_no_patch():
    with pytest.raises(PatchError, match="Whole models go to --weights"):
        read(save(model()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\xff" * 8,
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 200_000) + b"[" * 200_000,
        struct.pack("<Q", 8) + b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8",
    ],
)
def test_what_is_no_safetensors_file_is_no_patch(data):
    with pytest.raises(PatchError, match="no patch"):
        read(data)


@pytest.mark.parametrize(
    "entry",
    [
        {"data_offsets": [0, 2**62]},
        {"data_offsets": [-1, 11]},
        {"data_offsets": [4, 16]},  # lies over the next one
        {"data_offsets": [12, 0]},
        {"shape": [2**40, 2**40]},
        {"shape": [-3]},
        {"dtype": "I32"},
        {"dtype": "F99"},
        {"shape": [1, 3]},
    ],
)
def test_a_header_that_lies_about_a_tensor_is_refused(entry):
    data = patch_for(model()).encoded()
    header = header_of(data)
    header["edited/head.bias"] |= entry
    with pytest.raises(PatchError, match="damaged or was tampered with"):
        read(with_header(data, header))


def test_a_tensor_more_or_less_and_a_space_more_are_refused():
    data = patch_for(model()).encoded()
    header = header_of(data)
    header["edited/other"] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    with pytest.raises(PatchError, match="tampered"):
        read(with_header(data, header))
    length = int.from_bytes(data[:8], "little")
    spaced = struct.pack("<Q", length + 8) + data[8 : 8 + length] + b" " * 8 + data[8 + length :]
    assert set(load(spaced)) == set(load(data))
    with pytest.raises(PatchError, match="its bytes are not those"):
        read(spaced)
    with pytest.raises(PatchError, match="tampered"):
        read(data + b"\0")


def test_a_layer_that_is_not_one_layer_is_refused_though_its_checksum_holds():
    patch = patch_for(model())
    for changed in ({}, {"head.weight": torch.zeros(2, 4)}, {"head.scale": torch.zeros(1)}):
        with pytest.raises(PatchError, match="not of one name, shape and dtype"):
            read(replace(patch, parent=changed).encoded())


def test_a_missing_file_a_folder_and_an_endless_one_are_refused(tmp_path):
    for path in (tmp_path / "missing", tmp_path, Path("/dev/zero")):
        with pytest.raises(PatchError, match="there is no patch at"):
            read_patch(path)


def test_a_file_too_large_for_a_layer_is_not_read(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**32 + 1)  # sparse
    with pytest.raises(PatchError, match="more than 4 GiB"):
        read_patch(tmp_path / "huge")


def test_odd_targets_are_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "real.safetensors").write_text("mine")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "real.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name, said in [
        ("link.safetensors", "is a link"),
        ("folder.safetensors", "is no file"),
        ("edit.pt", "must end in"),
    ]:
        with pytest.raises(RunFolderError, match=said):
            write_patch(tmp_path / name, patch_for(model()))
    assert (tmp_path / "real.safetensors").read_text() == "mine"
    assert not (tmp_path / "edit.pt").exists()


def test_docs_tell_the_size_for_resnet50_with_a_thousand_classes():
    with torch.device("meta"):
        network = resnet50(weights=None, num_classes=1000).state_dict()
    whole = sum(tensor.numel() * tensor.element_size() for tensor in network.values())
    parent = {name: torch.zeros(network[name].shape) for name in ("fc.weight", "fc.bias")}
    size = len(patch_between(parent, {name: tensor + 1 for name, tensor in parent.items()}, PROVENANCE).encoded())
    assert size - 2 * 4 * (1000 * 2048 + 1000) < 4096
    assert (
        f"{size / 1e6:.1f} MB beside {whole / 1e6:.1f} MB" in (Path(__file__).parents[3] / "docs/patch.md").read_text()
    )


def test_a_changed_number_is_told_as_a_checksum_that_does_not_hold():
    data = bytearray(patch_for(model()).encoded())
    data[-1] ^= 1
    with pytest.raises(PatchError, match=f"its checksum is {patch_for(model()).digest}, its content has"):
        read(bytes(data))


def test_whole_numbers_are_no_decision_layer_though_their_checksum_holds():
    good = patch_for(model())
    whole = {name: tensor.to(torch.int32) for name, tensor in good.edited.items()}
    forged = replace(good, edited=whole)
    envelope = {"record": good.record.plain(), "checksum": forged.digest, "signature": None}
    tensors = {f"edited/{name}": tensor for name, tensor in whole.items()} | {
        f"parent/{name}": tensor for name, tensor in good.parent.items()
    }
    with pytest.raises(PatchError, match=r"of torch.int32, which is no part of a decision layer"):
        read(save(tensors, metadata={KEY: json.dumps(envelope)}))
