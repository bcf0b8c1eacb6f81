"""What an edit starts from."""

import torch
from torch import Tensor, nn

from neuroinspect.editing.problem import make_problem


def test_float32_features_are_not_copied(
    training: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], decision_layer: nn.Linear
) -> None:
    problem = make_problem(training, validation, decision_layer, neurons={0: (2,)})
    assert problem.features.data_ptr() == training[0].data_ptr()
    assert problem.validation_features.data_ptr() == validation[0].data_ptr()
    assert (
        make_problem((training[0].double(), training[1]), validation, decision_layer, neurons={0: (2,)}).features.dtype
        is torch.float32
    )
