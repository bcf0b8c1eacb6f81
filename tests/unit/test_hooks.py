from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from neuroinspect.hooks import inputs_of, outputs_of
from tests.networks import hooks


class Twofold(nn.Module):
    def forward(self, values: Tensor) -> tuple[Tensor, tuple[int, int], Tensor]:
        return values + 1, (7, 7), values + 2


@pytest.mark.parametrize("context", [inputs_of, lambda layer: outputs_of([layer])])
def test_hooks_are_removed_after_an_exception(context) -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="stop"), context(layer):
        raise RuntimeError("stop")
    assert hooks(layer) == 0


def test_what_another_thread_passes_through_the_same_layer_is_not_caught() -> None:
    layer = nn.Linear(2, 2)
    mine, theirs = torch.zeros(1, 2), torch.ones(1, 2)
    with inputs_of(layer) as caught, outputs_of([layer]) as given, ThreadPoolExecutor(1) as other:
        other.submit(layer, theirs).result()
        layer(input=mine)
    assert [id(tensor) for tensor in caught] == [id(mine)]
    assert torch.equal(torch.stack([out for _, out in given]), layer(mine)[None])


def test_of_a_tuple_every_tensor_is_caught() -> None:
    layer = Twofold()
    with outputs_of([layer]) as caught:
        layer(torch.zeros(1))
    assert [(owner is layer, out.item()) for owner, out in caught] == [(True, 1.0), (True, 2.0)]
