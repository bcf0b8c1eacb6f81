"""Hashes of a model's content: names, dtypes, shapes and bytes of its tensors, whatever file they came in.

The hash of a model is that of the list of its tensors' own hashes, so that of a part of it costs no second look at the bytes.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from neuroinspect.errors import PatchError

Fingerprints = Mapping[str, tuple[str, tuple[int, ...], str]]
"""By the tensor's name: dtype such as `float32`, shape, and SHA-256 (hex) of its bytes."""


def fingerprints(state: Mapping[str, Tensor]) -> Fingerprints:
    """Fingerprint of every tensor of a state dict.

    Raises:
        PatchError: a tensor has no plain bytes, such as a sparse or a quantised one.
    """
    return {name: (_dtype(tensor), tuple(tensor.shape), _bytes_hash(name, tensor)) for name, tensor in state.items()}


def state_hash(known: Fingerprints, *, without: Collection[str] = ()) -> str:
    """SHA-256 (hex) of a state dict; the order of its tensors does not matter.

    Args:
        known: what `fingerprints` gave.
        without: names to leave out.
    """
    listed = [[name, *known[name]] for name in sorted(known) if name not in without]
    return hashlib.sha256(b"neuroinspect state 1\0" + canonical(listed)).hexdigest()


def canonical(value: Any) -> bytes:
    """JSON of which there is one spelling: sorted keys, no spaces, ASCII, and neither NaN nor infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _bytes_hash(name: str, tensor: Tensor) -> str:
    try:
        plain = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
        return hashlib.sha256(plain.numpy().data).hexdigest()
    except (RuntimeError, NotImplementedError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise PatchError(
            f"{name} of the model is no plain tensor ({reason}); a patch is made for and applied to models of dense, "
            "unquantised tensors"
        ) from error
