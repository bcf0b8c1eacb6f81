"""Models and patches of a few numbers."""

from collections.abc import Mapping

import torch
from torch import Tensor

from neuroinspect.patch import Patch, Provenance, patch_between

PROVENANCE = Provenance(
    run="run",
    class_name="fish",
    method="cue_erasure",
    neurons=(3, 17),
    strength=0.5,
    request="4f2a91",
    review="approved",
    reviewer="Ada",
    unverified=False,
    verdict="improved",
    data_version="dvc:0123",
    model_spec="timm:resnet50",
    model_origin=None,
    parent_fingerprint="ab" * 32,
    versions={"torch": "2.4.0"},
)


def model(dtype: torch.dtype = torch.float32, *, bias: bool = True, convolution: bool = False) -> dict[str, Tensor]:
    """State dict of a backbone with a counter in it, and a decision layer (3, 4)."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, generator=generator)
    state = {
        "stem.weight": torch.randn(4, 3, 2, 2, generator=generator).to(dtype),
        "stem.steps": torch.tensor(7),
        "head.weight": (weight.view(3, 4, 1, 1) if convolution else weight).to(dtype),
    }
    return state | ({"head.bias": torch.tensor([0.5, -0.0, 2.0]).to(dtype)} if bias else {})


def layer(*, convolution: bool = False) -> dict[str, Tensor]:
    """Another decision layer for it, in float32, with a bias."""
    weight = torch.arange(12.0).view(3, 4) / 7
    return {
        "head.weight": weight.view(3, 4, 1, 1) if convolution else weight,
        "head.bias": torch.tensor([1.0, 2.0, 3.0]),
    }


def patch_for(state: Mapping[str, Tensor], *, convolution: bool = False) -> Patch:
    return patch_between(state, layer(convolution=convolution), PROVENANCE)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two state dicts have the same names, dtypes, shapes and bytes."""

    def plain(state: Mapping[str, Tensor]) -> dict[str, tuple[object, ...]]:
        return {
            name: (tensor.dtype, tuple(tensor.shape), tensor.contiguous().view(-1).view(torch.uint8).tolist())
            for name, tensor in state.items()
        }

    return plain(one) == plain(other)
