import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroinspect import counterfactual
from neuroinspect.counterfactual import Counterfactuals, chunk_size, explain_mistakes
from neuroinspect.errors import FeaturesError
from neuroinspect.settings import CounterfactualSettings
from tests.reference import counterfactual_objective, counterfactual_one_at_a_time, linear, softmax_curvature

SGD, PROXIMAL = CounterfactualSettings(solver="sgd"), CounterfactualSettings()
SOLVERS = pytest.mark.parametrize("solver", ["sgd", "proximal"])


def problem(seed: int, *, samples: int = 12, neurons: int = 20, classes: int = 5, dtype: torch.dtype = torch.float64):
    """Random features and layer; every target is a class that is not the decision."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, neurons, generator=generator, dtype=dtype) / 3
    layer = linear(weight, 0.1 * torch.randn(classes, generator=generator, dtype=dtype))
    features = torch.randn(samples, neurons, generator=generator, dtype=dtype).relu()
    other = torch.randint(1, classes, (samples,), generator=generator)
    return features, (layer(features).argmax(dim=1) + other) % classes, layer


def identity(gap: float):
    """Two neurons, two classes, logits = features; class 1 leads by the gap, class 0 is true."""
    return torch.tensor([[0.0, gap]]), torch.tensor([0]), linear(torch.eye(2), torch.zeros(2))


def test_one_sgd_step_by_hand() -> None:
    features, targets, layer = identity(0.005)
    found = explain_mistakes(features, targets, layer, settings=SGD)
    # Gradient (-p, p) with p = sigmoid(0.005); both norms have gradient 0 at the start.
    p = 1 / (1 + np.exp(-0.005))
    np.testing.assert_allclose(found.shifts.numpy(), [[0.01 * p, -0.01 * p]], rtol=1e-5)
    assert found.steps.tolist() == [1]
    assert found.converged.tolist() == [True]


def test_two_sgd_steps_by_hand_with_momentum_and_both_penalties() -> None:
    features, targets, layer = identity(0.02)
    found = explain_mistakes(features, targets, layer, settings=SGD)
    first = 1 / (1 + np.exp(-0.02))
    shift = 0.01 * first
    second = 1 / (1 + np.exp(-(0.02 - 2 * shift)))
    penalty = 0.1 / 2 + 0.01 / 2 / np.sqrt(2)
    speed = 0.9 * first + second - penalty
    np.testing.assert_allclose(found.shifts[0, 0].item(), shift + 0.01 * speed, rtol=1e-4)
    assert found.steps.tolist() == [2]


def test_the_proximal_shift_goes_half_the_way_in_each_of_two_equal_neurons() -> None:
    features, targets, layer = identity(1.0)
    found = explain_mistakes(features, targets, layer, settings=PROXIMAL)
    np.testing.assert_allclose(found.shifts.numpy(), [[0.5, -0.5]], atol=1e-4)
    assert found.converged.all()


@SOLVERS
def test_a_sample_that_is_right_needs_no_step(solver: str) -> None:
    features, targets, layer = problem(0)
    right = layer(features).argmax(dim=1)
    mixed = torch.where(torch.arange(12) % 2 == 0, right, targets)
    found = explain_mistakes(features, mixed, layer, settings=CounterfactualSettings(solver=solver))
    assert not found.shifts[::2].any()
    assert found.steps[::2].tolist() == [0] * 6
    assert found.converged.all()
    assert found.shifts[1::2].any(dim=1).all()


@pytest.mark.parametrize("seed", range(3))
def test_sgd_in_one_batch_equals_one_sample_at_a_time(seed: int) -> None:
    features, targets, layer = problem(seed)
    shifts, steps = counterfactual_one_at_a_time(features, targets, layer)
    found = explain_mistakes(features, targets, layer, settings=SGD)
    torch.testing.assert_close(found.shifts, shifts, atol=1e-10, rtol=0)
    assert found.steps.tolist() == steps.tolist()


def test_proximal_reaches_the_minimum_where_no_flip_lies_on_the_way() -> None:
    # Penalties this strong keep the minimum on the wrong side; no nudge may then lower the objective.
    features, targets, layer = problem(3)
    strong = CounterfactualSettings(l1_weight=0.3, l2_weight=0.4, penalty="sum")
    found = explain_mistakes(features, targets, layer, settings=strong)
    stuck = torch.nonzero(~found.converged).squeeze(1).tolist()
    assert len(stuck) >= 3
    assert found.shifts[stuck].any(dim=1).all()
    generator = torch.Generator().manual_seed(0)
    for row in stuck:

        def objective(shift: torch.Tensor, row: int = row) -> float:
            loss = counterfactual_objective(features[row], int(targets[row]), layer, shift=shift, l1=0.3, l2=0.4)
            return loss.item()

        least = objective(found.shifts[row])
        for size in (1e-1, 1e-2, 1e-3):
            for _ in range(20):
                nudge = size * torch.randn(20, generator=generator, dtype=torch.float64)
                assert objective(found.shifts[row] + nudge) >= least - 1e-9


def test_a_penalty_above_every_gradient_leaves_the_shift_at_zero_and_says_so() -> None:
    features, targets, layer = problem(4)
    found = explain_mistakes(features, targets, layer, settings=CounterfactualSettings(l1_weight=50, penalty="sum"))
    assert not found.shifts.any()
    assert not found.converged.any()
    assert int(found.steps.max()) < 10


def test_the_sum_of_the_penalties_makes_exact_zeros() -> None:
    features, targets, layer = problem(5)
    found = explain_mistakes(features, targets, layer, settings=CounterfactualSettings(penalty="sum", l1_weight=0.02))
    assert found.converged.any()
    assert (found.shifts[found.converged] == 0).any()


@SOLVERS
def test_a_spent_budget_is_reported(solver: str) -> None:
    features, targets, layer = problem(6)
    settings_ = CounterfactualSettings(solver=solver, max_steps=1, learning_rate=1e-6, l1_weight=5)
    found = explain_mistakes(features, targets, layer, settings=settings_)
    assert int(found.steps.max()) == 1
    flips = layer(features + found.shifts).argmax(dim=1) == targets
    assert torch.equal(found.converged, flips)
    assert not found.converged.all()


@SOLVERS
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 8), neurons=st.integers(2, 40))
def test_a_converged_shift_flips_the_decision_in_float32(solver: str, seed: int, classes: int, neurons: int) -> None:
    features, targets, layer = problem(seed, classes=classes, neurons=neurons, dtype=torch.float32)
    limited = CounterfactualSettings(solver=solver, max_steps=300)
    found = explain_mistakes(features, targets, layer, settings=limited)
    assert torch.equal(found.converged, layer(features + found.shifts).argmax(dim=1) == targets)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_shorter_part_of_a_proximal_shift_flips(seed: int) -> None:
    features, targets, layer = problem(seed)
    found = explain_mistakes(features, targets, layer, settings=PROXIMAL)
    assert found.converged.all()
    logits = layer(features + (1 - 1e-3) * found.shifts)
    own = logits.gather(1, targets[:, None])
    rest = logits.scatter(1, targets[:, None], -torch.inf).amax(dim=1, keepdim=True)
    # a flip keeps a lead of about 1e-6 of the logits, so that rounding cannot undo it
    assert (own - rest < 2e-6 * layer(features).abs().amax().clamp_min(1)).all()


@SOLVERS
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_permuting_the_neurons_permutes_the_shifts(solver: str, seed: int) -> None:
    features, targets, layer = problem(seed)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    permuted = linear(layer.weight.data[:, order], layer.bias.data)
    chosen = CounterfactualSettings(solver=solver)
    found = explain_mistakes(features, targets, layer, settings=chosen)
    again = explain_mistakes(features[:, order], targets, permuted, settings=chosen)
    torch.testing.assert_close(again.shifts, found.shifts[:, order], atol=1e-8, rtol=1e-8)


@SOLVERS
def test_the_size_of_the_chunks_changes_nothing(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets, layer = problem(7)
    whole = explain_mistakes(features, targets, layer, settings=CounterfactualSettings(solver=solver))
    monkeypatch.setattr(counterfactual, "chunk_size", lambda *_, **__: 5)
    small = explain_mistakes(features, targets, layer, settings=CounterfactualSettings(solver=solver))
    torch.testing.assert_close(small.shifts, whole.shifts)
    assert small.steps.tolist() == whole.steps.tolist()


def test_neurons_moved_and_size_by_hand() -> None:
    shifts = torch.tensor([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0], [0.0, -2.0, 0.0]])
    found = Counterfactuals(shifts, torch.tensor([2, 0, 1]), torch.tensor([True, True, True]))
    assert found.neurons_moved.tolist() == [2, 0, 1]
    assert found.sizes.tolist() == [5, 0, 2]


@SOLVERS
def test_a_sample_that_has_flipped_is_not_moved_further_by_those_that_go_on(solver: str) -> None:
    features, targets, layer = problem(11, samples=40)
    chosen = CounterfactualSettings(solver=solver)
    together = explain_mistakes(features, targets, layer, settings=chosen)
    assert len(together.steps.unique()) > 2
    for row in range(0, 40, 7):
        alone = explain_mistakes(features[row : row + 1], targets[row : row + 1], layer, settings=chosen)
        torch.testing.assert_close(together.shifts[row], alone.shifts[0], atol=1e-10, rtol=1e-10)
        assert together.steps[row] == alone.steps[0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 8), neurons=st.integers(1, 12), scale=st.floats(0.01, 100))
def test_no_curvature_lies_above_the_bound(seed: int, classes: int, neurons: int, scale: float) -> None:
    features, _, layer = problem(seed, classes=classes, neurons=neurons)
    layer.weight.data.mul_(scale)
    bound = counterfactual._curvature(layer.weight.detach())
    worst = torch.zeros(classes, dtype=torch.float64)
    worst[:2] = 50.0  # two classes share all probability: the steepest the softmax can be
    for logits in (*layer(features).detach(), worst):
        assert softmax_curvature(logits, layer) <= bound * (1 + 1e-9)


def test_the_bound_of_the_curvature_is_reached_by_two_classes() -> None:
    layer = linear(torch.tensor([[1.0, 2.0], [-3.0, 0.0]]), torch.zeros(2))
    assert counterfactual._curvature(layer.weight.detach()).item() == pytest.approx(5)  # |(4, 2)|^2 / 4
    assert softmax_curvature(torch.zeros(2), layer) == pytest.approx(5, rel=1e-5)


def test_chunks_shrink_with_neurons_and_classes_and_hold_one_mistake_at_least() -> None:
    sizes = [
        chunk_size(torch.empty(c, f, device="meta"), cap_mb=512) for c, f in ((10, 512), (1000, 2048), (20000, 4096))
    ]
    assert sizes[0] > sizes[1] > sizes[2] > 100
    assert chunk_size(torch.empty(20000, 4096, device="meta"), cap_mb=1) == 1


@SOLVERS
def test_inputs_and_layer_are_left_as_they_were(solver: str) -> None:
    features, targets, layer = problem(8)
    before = features.clone(), targets.clone(), layer.weight.data.clone()
    explain_mistakes(features, targets, layer, settings=CounterfactualSettings(solver=solver))
    assert all(torch.equal(a, b) for a, b in zip(before, (features, targets, layer.weight.data), strict=True))
    assert layer.weight.grad is None


def test_no_mistakes_give_no_shifts() -> None:
    _, _, layer = problem(9)
    found = explain_mistakes(torch.zeros(0, 20), torch.zeros(0, dtype=torch.int64), layer)
    assert found.shifts.shape == (0, 20)
    assert found.steps.shape == found.converged.shape == (0,)


def test_a_layer_of_zeros_never_flips() -> None:
    layer = linear(torch.zeros(3, 4), torch.tensor([1.0, 0.0, 0.0]))
    found = explain_mistakes(torch.ones(2, 4), torch.tensor([1, 2]), layer)
    assert not found.converged.any()
    assert found.shifts.isfinite().all()


@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [
        (torch.full((2, 20), float("nan")), torch.tensor([0, 1]), "finite"),
        (torch.ones(2, 19), torch.tensor([0, 1]), r"\(M, 20\)"),
        (torch.ones(20), torch.tensor([0]), r"\(M, 20\)"),
        (torch.ones(2, 20), torch.tensor([0, 5]), r"0\.\.4, got 0\.\.5"),
        (torch.ones(2, 20), torch.tensor([-1, 0]), r"0\.\.4, got -1\.\.0"),
        (torch.ones(2, 20), torch.tensor([0]), "whole numbers"),
        (torch.ones(2, 20), torch.tensor([0.0, 1.0]), "whole numbers"),
    ],
)
def test_what_does_not_fit_is_refused(features: torch.Tensor, targets: torch.Tensor, message: str) -> None:
    with pytest.raises(FeaturesError, match=message):
        explain_mistakes(features, targets, problem(0)[2])
