"""The loss weights of the classes."""

from collections.abc import Callable

import torch

from neuroinspect.editing.class_weighting import class_weighting_tries
from neuroinspect.editing.problem import EditProblem
from neuroinspect.settings import EditSettings

Make = Callable[..., EditProblem]


def test_every_class_with_chosen_neurons_counts_fully_and_the_others_less(make: Make, settings: EditSettings) -> None:
    tries = class_weighting_tries(make({0: (2,), 2: (5,)}), settings)
    assert [one.class_weights.tolist() for one in tries if one.class_weights is not None][1] == [
        1.0,
        torch.tensor(0.9).item(),
        1.0,
    ]
