"""A patch as a file: safetensors whose metadata holds the record.

There is one spelling of every patch. What is read is spelled again and must come out the same, so a byte that differs anywhere,
also one that no reader would mind, is found.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError
from safetensors.torch import load
from torch import Tensor

from neuroinspect.artifacts import write_bytes
from neuroinspect.errors import PatchError
from neuroinspect.patch.hashes import canonical, fingerprints
from neuroinspect.patch.paths import refuse_odd_target
from neuroinspect.patch.record import FORMAT, Envelope, PatchRecord, Signature

KEY: Final = "neuroinspect.patch"
DTYPES: Final[Mapping[torch.dtype, str]] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}
"""Dtypes of a decision layer, and what safetensors calls them."""
_EDITED, _PARENT = "edited/", "parent/"
_LENGTH: Final = 8  # bytes of the header's length
_LONGEST_HEADER: Final = 2**20
_LARGEST: Final = 2**32


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """An edit that fits one model.

    Attributes:
        record: what it says of itself.
        edited: tensors of the decision layer as the edit has them, by the model's own names and in its shapes.
        parent: the same as the model has them; without a bias where the model has none.
        signature: None where it is only checksummed.
    """

    record: PatchRecord
    edited: Mapping[str, Tensor]
    parent: Mapping[str, Tensor]
    signature: Signature | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything in it but the signature: what is signed."""
        known = fingerprints(self._tensors())
        listed = [[name, *known[name]] for name in sorted(known)]
        content = canonical({"record": self.record.plain(), "tensors": listed})
        return hashlib.sha256(b"neuroinspect patch 1\0" + content).hexdigest()

    def encoded(self) -> bytes:
        """The file's bytes."""
        envelope = Envelope(record=self.record, checksum=self.digest, signature=self.signature)
        text = canonical(envelope.model_dump(mode="json")).decode("ascii")
        return _spelled(self._tensors(), text)

    def _tensors(self) -> dict[str, Tensor]:
        edited = {_EDITED + name: tensor for name, tensor in self.edited.items()}
        return edited | {_PARENT + name: tensor for name, tensor in self.parent.items()}


def write_patch(path: Path, patch: Patch) -> int:
    """Write a patch, whole or not at all; its size in bytes.

    Raises:
        RunFolderError: the name does not end in .safetensors, is a link or no file, or cannot be written.
    """
    refuse_odd_target(path)
    data = patch.encoded()
    write_bytes(path, data)
    return len(data)


def read_patch(path: Path) -> Patch:
    """Read a patch and see that nothing in it was damaged; whether its signature is to be trusted is another question.

    Raises:
        PatchError: there is no such file, it is no patch, was made by a newer version, or is damaged.
    """
    try:
        if not path.is_file():
            raise PatchError(f"there is no patch at {path}; name the file that `neuroinspect patch make` wrote")
        if path.stat().st_size > _LARGEST:
            raise PatchError(f"{path} has more than {_LARGEST >> 30} GiB, and is no patch: those hold one layer, twice")
        data = path.read_bytes()
    except OSError as error:
        raise PatchError(f"{path} cannot be read: {error.strerror or error}") from error
    return decoded(data, source=str(path))


def decoded(data: bytes, *, source: str) -> Patch:
    """The patch in the bytes of a file.

    Args:
        data: all of them.
        source: what to call the file in a message.

    Raises:
        PatchError: as for `read_patch`.
    """
    envelope = _envelope(data, source)
    try:
        tensors = load(data)
    except Exception as error:  # safetensors raises its own class, and torch others where the header lies
        raise _damaged(source, f"its tensors cannot be read: {str(error).partition(chr(10))[0]}") from error
    sides: dict[str, dict[str, Tensor]] = {_EDITED: {}, _PARENT: {}}
    for name, tensor in tensors.items():
        side = next((side for side in sides if name.startswith(side)), None)
        if side is None or tensor.dtype not in DTYPES:
            raise _damaged(source, f"it holds {name[:80]!r} of {tensor.dtype}, which is no part of a decision layer")
        sides[side][name.removeprefix(side)] = tensor
    patch = Patch(envelope.record, sides[_EDITED], sides[_PARENT], envelope.signature)
    if patch.digest != envelope.checksum:
        raise _damaged(source, f"its checksum is {envelope.checksum}, its content has {patch.digest}")
    if patch.encoded() != data:
        raise _damaged(source, "its bytes are not those that `neuroinspect patch make` writes for this content")
    _refuse_unlike_layers(patch, source)
    return patch


def _envelope(data: bytes, source: str) -> Envelope:
    length = int.from_bytes(data[:_LENGTH], "little")
    if len(data) < _LENGTH or length > min(_LONGEST_HEADER, len(data) - _LENGTH):
        raise PatchError(
            f"{source} is no patch, or was cut short: it has {len(data)} bytes and says its header has {length}; fetch "
            "it again, or make it with `neuroinspect patch make`"
        )
    try:
        text = json.loads(data[_LENGTH : _LENGTH + length])["__metadata__"][KEY]
        written: Any = json.loads(text)["record"]["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PatchError(
            f"{source} is no patch: expected safetensors with {KEY} in its metadata. Whole models go to --weights; a "
            "patch comes from `neuroinspect patch make`"
        ) from error
    if written != FORMAT or isinstance(written, bool):
        raise PatchError(
            f"{source} has format {str(written)[:20]}, this version of NeuroInspect reads {FORMAT}; install the version "
            "that made it, or make it again"
        )
    try:
        return Envelope.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:80]
        raise _damaged(source, f"{place} in its metadata: {first['msg']}") from error


def _refuse_unlike_layers(patch: Patch, source: str) -> None:
    """The two layers must be one in different states; a bias may be new."""
    extra = set(patch.edited) - set(patch.parent)
    fits = bool(patch.parent) and set(patch.parent) <= set(patch.edited) and all(map(_is_bias, extra))
    alike = fits and all(
        (patch.edited[name].shape, patch.edited[name].dtype) == (tensor.shape, tensor.dtype)
        for name, tensor in patch.parent.items()
    )
    if not alike:
        raise _damaged(source, "the edited layer and the parent's are not of one name, shape and dtype")


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] == "bias"


def _spelled(tensors: Mapping[str, Tensor], text: str) -> bytes:
    """As safetensors lays a file out: largest elements first, then by name, so that each tensor lies aligned."""
    header: dict[str, Any] = {"__metadata__": {KEY: text}}
    parts, place = [], 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        tensor = tensors[name].detach().cpu().contiguous()
        size = math.prod(tensor.shape) * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + size],
        }
        parts.append(tensor.view(-1).view(torch.uint8).numpy().tobytes())
        place += size
    spelled = canonical(header)
    spelled += b" " * (-len(spelled) % _LENGTH)
    return b"".join([len(spelled).to_bytes(_LENGTH, "little"), spelled, *parts])


def _damaged(source: str, what: str) -> PatchError:
    return PatchError(
        f"{source} is damaged or was tampered with: {what}. It was not applied; fetch it again from whoever made it"
    )
