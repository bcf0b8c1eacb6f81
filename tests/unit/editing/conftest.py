"""A small problem with a planted cue: feature 0 and 1 speak for the object of class 0, 2 and 3 carry the cue."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuroinspect.editing.problem import EditProblem, make_problem
from neuroinspect.settings import EditSettings, TrainSettings

CUE_NEURONS = (2, 3)


def draw_features(count: int, *, cue_follows_class: bool, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features (count, 8), labels in 0..2, and whether the cue shows."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    cue = (labels == 0) if cue_follows_class else torch.rand(count, generator=generator) < 0.4
    features = 0.5 * torch.randn(count, 8, generator=generator)
    features[:, 0] += 0.7 * (labels == 0)
    features[:, 1] += 0.7 * (labels == 0)
    features[:, 2] += 2.0 * cue
    features[:, 3] += 2.0 * cue
    features[:, 4] += 1.5 * (labels == 1)
    features[:, 5] += 1.5 * (labels == 2)
    return features.relu(), labels, cue


@pytest.fixture(scope="session")
def settings() -> EditSettings:
    return EditSettings(train=TrainSettings(epochs=8, learning_rate=0.02), placebo_draws=2)


@pytest.fixture(scope="session")
def decision_layer() -> nn.Linear:
    features, labels, _ = draw_features(900, cue_follows_class=True, seed=0)
    layer = nn.Linear(8, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(layer(features), labels).backward()
        optimizer.step()
    return layer.requires_grad_(False)


@pytest.fixture(scope="session")
def training() -> tuple[Tensor, Tensor]:
    features, labels, _ = draw_features(900, cue_follows_class=True, seed=1)
    return features, labels


@pytest.fixture(scope="session")
def validation() -> tuple[Tensor, Tensor]:
    features, labels, _ = draw_features(600, cue_follows_class=False, seed=2)
    return features, labels


@pytest.fixture
def make(
    training: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], decision_layer: nn.Linear
) -> Callable[..., EditProblem]:
    """A problem with the given neurons of class 0, or of several classes."""

    def build(neurons: dict[int, tuple[int, ...]] | None = None) -> EditProblem:
        return make_problem(training, validation, decision_layer, neurons=neurons or {0: CUE_NEURONS})

    return build
