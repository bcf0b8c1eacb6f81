import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.illusion.objectives import illusion_loss, pair_score
from tests import reference
from tests.reference import released_illusion_loss

FIGURES = st.floats(-20, 20, width=32)
COSINES = st.floats(-1, 1, width=32)


@given(st.lists(st.tuples(FIGURES, COSINES), min_size=1, max_size=6))
def test_the_loss_equals_its_slow_twin(rows):
    score, similarity = torch.tensor(rows, dtype=torch.float64).T
    found = illusion_loss(score, similarity, guide_offset=0.05)
    expected = [
        reference.illusion_loss(a, cos, epsilon=0.05)
        for a, cos in zip(score.tolist(), similarity.tolist(), strict=True)
    ]
    assert found.tolist() == pytest.approx(expected)


def test_the_released_loss_is_the_product_of_two_means():
    score, similarity = torch.tensor([1.0, 5.0, 2.0]), torch.tensor([0.2, 0.1, 0.4])
    assert float(released_illusion_loss(score, similarity, epsilon=0.05)) == pytest.approx(
        -float((similarity + 0.05).mean() * score.mean())
    )


@given(st.floats(0.125, 20, width=32), st.floats(0, 1, width=32))
def test_one_picture_with_positive_factors_has_the_released_loss(score, similarity):
    rows = torch.tensor([score], dtype=torch.float64), torch.tensor([similarity], dtype=torch.float64)
    assert illusion_loss(*rows, guide_offset=0.05).item() == pytest.approx(
        released_illusion_loss(*rows, epsilon=0.05).item()
    )


def test_the_released_loss_couples_pictures_and_ours_does_not():
    score = torch.tensor([1.0, 5.0], dtype=torch.float64, requires_grad=True)
    alone, other = torch.tensor([0.2, 0.1]), torch.tensor([0.2, 0.9])
    gradients = {}
    for name, loss in (
        ("released", lambda *a: released_illusion_loss(*a[:2], epsilon=a[2])),
        ("ours", lambda *a: illusion_loss(*a[:2], guide_offset=a[2]).sum()),
    ):
        gradients[name] = [
            torch.autograd.grad(loss(score, similarity, 0.05), score)[0][0].item() for similarity in (alone, other)
        ]
    assert gradients["released"][0] != pytest.approx(gradients["released"][1])
    assert gradients["ours"][0] == pytest.approx(gradients["ours"][1])


def test_two_negative_factors_are_no_gain():
    score = torch.tensor([-3.0], requires_grad=True)
    similarity = torch.tensor([-0.5], requires_grad=True)
    assert released_illusion_loss(score, similarity, epsilon=0.05).item() < 0  # the released loss calls that good
    loss = illusion_loss(score, similarity, guide_offset=0.05)
    assert loss.item() == 3
    assert torch.autograd.grad(loss.sum(), score)[0].item() == -1


def test_a_hostile_similarity_does_not_turn_the_score_round():
    score = torch.tensor([2.0], requires_grad=True)
    loss = illusion_loss(score, torch.tensor([-0.9]), guide_offset=0.05)
    assert torch.autograd.grad(loss.sum(), score)[0].item() == pytest.approx(-0.05)


def test_without_a_guide_the_score_alone_is_raised():
    assert illusion_loss(torch.tensor([2.0, -1.0]), None, guide_offset=0.05).tolist() == [-2.0, 1.0]


def test_the_score_weighs_the_class():
    activation, logit = torch.tensor([1.0, 2.0]), torch.tensor([4.0, -2.0])
    expected = [
        reference.illusion_score(a, z, gamma=0.5) for a, z in zip(activation.tolist(), logit.tolist(), strict=True)
    ]
    assert pair_score(activation, logit, class_weight=0.5).tolist() == expected == [3.0, 1.0]
    assert pair_score(activation, logit, class_weight=0.0).tolist() == [1.0, 2.0]
