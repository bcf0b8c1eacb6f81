"""Silencing the weights of a class."""

from collections.abc import Callable
from itertools import pairwise

import torch

from neuroinspect.editing.problem import EditProblem
from neuroinspect.editing.silencing import silencing_tries
from neuroinspect.settings import EditSettings

Make = Callable[..., EditProblem]


def test_only_the_weights_of_the_class_for_its_neurons_are_zero(make: Make, settings: EditSettings) -> None:
    problem = make({0: (2, 3), 1: (5,)})
    first = silencing_tries(problem, settings)[0]
    expected = problem.weight.clone()
    expected[0, [2, 3]] = 0.0
    expected[1, 5] = 0.0
    assert not first.trained
    assert torch.equal(first.weight, expected)
    assert torch.equal(first.bias, problem.bias)


def test_a_larger_family_silences_what_a_smaller_one_does_and_more(make: Make, settings: EditSettings) -> None:
    zeros = [set((one.weight[0] == 0).nonzero().flatten().tolist()) for one in silencing_tries(make(), settings)]
    assert zeros[0] == {2, 3}
    assert all(small <= large for small, large in pairwise(zeros))
