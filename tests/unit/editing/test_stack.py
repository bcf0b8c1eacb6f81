"""Tries as one stack: what is folded, and what stays silenced."""

from collections.abc import Callable

import pytest
import torch

from neuroinspect.editing.edit import method_tries
from neuroinspect.editing.problem import EditProblem, Projection, Try
from neuroinspect.editing.stack import Stack
from neuroinspect.settings import EditSettings
from tests import reference

Make = Callable[..., EditProblem]


def test_a_folded_layer_sees_on_plain_features_what_the_unfolded_one_sees_on_projected_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias, features = (torch.randn(size, generator=generator) for size in ((3, 5), (3,), (7, 5)))
    kept = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0])
    left, right = (torch.randn(5, 2, generator=generator) for _ in range(2))
    projection = Projection(kept, left, right, torch.randn(5, generator=generator))
    tries = [Try({}, weight, bias), Try({}, weight, bias, projection=projection)]
    stack = Stack.of(tries)
    weights, biases = stack.fold(*stack.start(tries))
    seen = reference.projected(
        features.double(),
        **{name: getattr(projection, name).double() for name in ("kept", "left", "right", "offset")},
    )
    assert torch.equal(weights[0], weight)
    expected = seen @ weight.double().T + bias.double()
    assert torch.allclose((features @ weights[1].T + biases[1]).double(), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["ratio", "con", "cue_erasure", "ablate_refit"])
def test_the_gradients_of_a_stack_are_those_of_each_try_alone(make: Make, settings: EditSettings, method: str) -> None:
    problem = make({0: (2, 3), 1: (5,)})
    tries = method_tries(method)(problem, settings)
    batch = problem.features[:50], problem.labels[:50]

    def gradients(of: list[Try]) -> tuple[torch.Tensor, torch.Tensor]:
        stack = Stack.of(of)
        weights, biases = stack.start(of)
        return stack.gradients(batch, weights, biases, out=torch.empty_like(weights))

    together = gradients(tries)
    for row, one in enumerate(tries):
        for found, expected in zip(together, gradients([one]), strict=True):
            assert torch.allclose(found[row], expected[0], rtol=1e-4, atol=1e-6)
