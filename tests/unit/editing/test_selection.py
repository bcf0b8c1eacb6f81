"""The one selection rule."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.editing.selection import Score, is_eligible, score_layer, select

scores = st.builds(Score, average=st.floats(0, 1), worst_class=st.floats(0, 1))


def test_the_best_worst_class_wins_among_those_that_keep_the_average() -> None:
    original = Score(0.80, 0.40)
    tries = [Score(0.70, 0.90), Score(0.795, 0.60), Score(0.82, 0.55)]
    assert select(tries, original, average_tolerance=0.01) == 1


def test_ties_go_to_the_higher_average_then_to_the_earlier_try() -> None:
    original = Score(0.80, 0.40)
    assert select([Score(0.80, 0.5), Score(0.82, 0.5)], original, average_tolerance=0.01) == 1
    assert select([Score(0.80, 0.5), Score(0.80, 0.5)], original, average_tolerance=0.01) == 0


@given(st.lists(scores, min_size=1, max_size=6), scores)
def test_an_ineligible_try_is_chosen_only_where_none_is_eligible(tries: list[Score], original: Score) -> None:
    chosen = tries[select(tries, original, average_tolerance=0.01)]
    eligible = [one for one in tries if is_eligible(one, original, average_tolerance=0.01)]
    assert chosen in eligible if eligible else chosen.average == max(one.average for one in tries)


def test_a_layer_is_scored_by_average_and_worst_class_by_hand() -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    score = score_layer(torch.eye(2), torch.zeros(2), features=features, labels=torch.tensor([0, 0, 0, 1, 1]))
    assert score == Score(average=0.8, worst_class=0.5)
