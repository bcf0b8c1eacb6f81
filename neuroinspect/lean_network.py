"""A copy of a network made for thousands of gradient steps on its input: the same values but for rounding, less work.

In the copy batch normalisations are folded into the convolutions before them, attention projects all tokens in one matrix
product, and convolutions that cut a picture into patches are one matrix product too. The network itself is never changed: the
copy shares every parameter that stays the same, and holds new tensors where one does not.
"""

import copy
import logging
from collections import Counter
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from neuroinspect.hooks import inputs_of

# Of the largest output: far above what another order of sums gives, far below what a wrong fold gives.
_TOLERANCE = 1e-3
# The network is the user's: to copy it, or to run its parts elsewhere, may raise any of these.
_FAILURES = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
log = logging.getLogger(__name__)


def lean_copy(
    module: nn.Module, probe: Tensor, *, until: nn.Module | None = None, dtype: torch.dtype = torch.float32
) -> nn.Module | None:
    """Copy a network, frozen and in evaluation mode, with less work in it.

    Args:
        module: the network.
        probe: input to compare the copy with the network on.
        until: the copy returns what this layer, whose output is the network's, takes in, averaged over places where the
            network averages after it; None: what the network returns.
        dtype: of the copy's weights; its input has to have it too. The comparison is made in float32.

    Returns:
        The copy, or None where it cannot be made or does not give what the network gives.
    """
    try:
        expected = _averaged(_outputs(module, probe, until))
        lean = _shared_copy(module, until)
        if not set(lean.modules()).isdisjoint(module.modules()):
            log.info("parts of %s refuse to be copied; the network itself is used", type(module).__name__)
            return None
        with torch.no_grad():
            _fold_batch_norms(lean, probe)
            _repack(lean)
            found = _averaged(lean(probe))
            if found.shape != expected.shape or not (found - expected).abs().max() <= _TOLERANCE * expected.abs().max():
                log.info("a lean copy of %s gives other values; the network itself is used", type(module).__name__)
                return None
            _convert(lean, dtype, channels_last=probe.device.type == "cpu" or dtype is torch.bfloat16)
            if not lean(probe.to(dtype)).isfinite().all():
                return None
    except _FAILURES as error:
        log.info("no lean copy of %s can be made (%s); the network itself is used", type(module).__name__, error)
        return None
    return lean


def _outputs(module: nn.Module, probe: Tensor, until: nn.Module | None) -> Tensor:
    with torch.no_grad():
        if until is None:
            outputs: Tensor = module(probe)
            return outputs
        with inputs_of(until) as caught:
            module(probe)
        return caught[-1]


def _averaged(values: Tensor) -> Tensor:
    return values.mean((2, 3)) if values.dim() == 4 else values


def _shared_copy(module: nn.Module, until: nn.Module | None) -> nn.Module:
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    if until is not None:
        memo[id(until)] = nn.Identity()
    return copy.deepcopy(module, memo)


def _fold_batch_norms(module: nn.Module, probe: Tensor) -> None:
    """Fold each batch normalisation whose input is the output of a convolution that nobody else uses."""
    names = Counter(id(part) for _, part in module.named_modules(remove_duplicate=False))
    made_by: dict[int, nn.Conv2d] = {}
    taken, calls = Counter[int](), Counter[int]()
    pairs: list[tuple[nn.Conv2d, nn.Module, int]] = []
    alive: list[object] = []  # so that no address is used twice

    def record(part: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        alive.extend((inputs, output))
        calls[id(part)] += 1
        for given in inputs:
            taken[id(given)] += 1
        if type(part) is nn.Conv2d:
            made_by[id(output)] = part
        elif _can_be_folded(part) and id(inputs[0]) in made_by:
            pairs.append((made_by[id(inputs[0])], part, id(inputs[0])))

    leaves = [part for part in module.modules() if type(part) is nn.Conv2d or isinstance(part, nn.BatchNorm2d)]
    others = [part for part in module.modules() if not any(True for _ in part.children()) and part not in leaves]
    handles = [part.register_forward_hook(record) for part in (*leaves, *others)]
    try:
        module(probe)
    finally:
        for handle in handles:
            handle.remove()
    paths = {id(part): path for path, part in module.named_modules()}
    for convolution, norm, between in pairs:
        if (
            taken[between]
            == calls[id(convolution)]
            == calls[id(norm)]
            == names[id(convolution)]
            == names[id(norm)]
            == 1
        ):
            _replace(
                module,
                paths[id(convolution)],
                fuse_conv_bn_eval(convolution, cast(nn.BatchNorm2d, norm)).requires_grad_(False),
            )
            # timm's variant holds an activation too
            rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
            _replace(module, paths[id(norm)], nn.Sequential(*rest) if rest else nn.Identity())


def _can_be_folded(part: nn.Module) -> bool:
    plain = type(part) is nn.BatchNorm2d or type(part).__name__ == "BatchNormAct2d"
    return plain and not part.training and getattr(part, "running_mean", None) is not None


def _replace(module: nn.Module, path: str, part: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, part)


def _repack(module: nn.Module) -> None:
    for part in module.modules():
        if type(part) is nn.MultiheadAttention and part.batch_first and part.in_proj_weight is not None:
            if part.bias_k is None and not part.add_zero_attn:
                part.__class__ = _PackedAttention
        elif type(part) is nn.Conv2d and _cuts_patches(part):
            part.__class__ = _PatchConvolution


def _cuts_patches(part: nn.Conv2d) -> bool:
    plain = part.groups == 1 and part.dilation == (1, 1) and part.padding in ((0, 0), "valid")
    return plain and part.kernel_size == part.stride and part.kernel_size[0] > 1


class _PackedAttention(nn.MultiheadAttention):
    """Plain self-attention over (N, T, D): that of torch turns the tokens round, which makes each product a slow one."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **named: Any) -> Any:
        simple = query is key is value and not args and not named.get("need_weights", True)
        if not simple or any(named.get(name) is not None for name in ("attn_mask", "key_padding_mask")):
            return super().forward(query, key, value, *args, **named)
        count, tokens, width = query.shape
        packed = functional.linear(query.reshape(count * tokens, width), self.in_proj_weight, self.in_proj_bias)
        queries, keys, values = (
            packed.view(count, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        )
        mixed = (
            functional.scaled_dot_product_attention(queries, keys, values)
            .transpose(1, 2)
            .reshape(count * tokens, width)
        )
        projected = functional.linear(mixed, self.out_proj.weight, self.out_proj.bias)
        return projected.view(count, tokens, width), None


class _PatchConvolution(nn.Conv2d):
    """A convolution whose windows do not overlap."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name torch gives it
        count, channels, height, width = input.shape
        down, across = self.kernel_size
        rows, columns = height // down, width // across
        cut = input[:, :, : rows * down, : columns * across].reshape(count, channels, rows, down, columns, across)
        patches = cut.permute(0, 2, 4, 1, 3, 5).reshape(count * rows * columns, channels * down * across)
        products = functional.linear(patches, self.weight.reshape(self.out_channels, -1), self.bias)
        return products.view(count, rows, columns, self.out_channels).permute(0, 3, 1, 2)


def _convert(module: nn.Module, dtype: torch.dtype, *, channels_last: bool) -> None:
    """Give weights their type and layout in new tensors: those of the network itself are shared, and must not change."""
    for part in module.modules():
        laid_out = channels_last and type(part) is nn.Conv2d
        for name, parameter in part._parameters.items():
            if parameter is not None and parameter.is_floating_point():
                layout = torch.channels_last if laid_out and parameter.dim() == 4 else torch.preserve_format
                changed = parameter.detach().to(dtype, memory_format=layout)
                part._parameters[name] = nn.Parameter(changed, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                part._buffers[name] = buffer.to(dtype)
