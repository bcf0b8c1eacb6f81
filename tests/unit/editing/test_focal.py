"""The focal loss."""

from collections.abc import Callable

import torch

from neuroinspect.editing.edit import method_tries
from neuroinspect.editing.problem import EditProblem
from neuroinspect.editing.refit import train_tries
from neuroinspect.settings import EditSettings

Make = Callable[..., EditProblem]


def test_a_gamma_of_zero_is_retrain_only(make: Make, settings: EditSettings) -> None:
    problem = make()
    focal = method_tries("focal")(problem, settings.model_copy(update={"focal_gammas": (0.0, 2.0)}))
    plain = method_tries("retrain")(problem, settings)[0]
    without, with_gamma, expected = (
        train_tries(problem, [one], settings=settings.train)[0][0] for one in (*focal, plain)
    )
    assert torch.equal(without, expected)
    assert not torch.allclose(with_gamma, expected, atol=1e-3)
