import torch

from neuroinspect.illusion.plateau import Plateau

CPU = torch.device("cpu")


def run(plateau: Plateau, *rows: list[float]) -> list[bool]:
    return [plateau.all_stopped(step, torch.tensor(row)) for step, row in enumerate(rows)]


def test_a_picture_stops_when_a_window_adds_less_than_a_hundredth():
    plateau = Plateau(2, 2, device=CPU)
    found = run(plateau, [1.0, 1.0], [1.0, 3.0], [1.0, 4.0], [1.01, 4.0], [1.0, 4.0], [1.0, 4.0])
    assert found == [False, False, False, False, False, True]
    assert plateau.stopped.tolist() == [True, True]


def test_pictures_stop_one_by_one():
    plateau = Plateau(1, 2, device=CPU)
    assert run(plateau, [1.0, 1.0], [1.0, 2.0]) == [False, False]
    assert plateau.stopped.tolist() == [True, False]


def test_what_has_stopped_does_not_begin_again():
    plateau = Plateau(1, 1, device=CPU)
    assert run(plateau, [1.0], [1.0], [9.0]) == [False, True, True]


def test_scores_below_zero_have_to_rise_too():
    plateau = Plateau(1, 2, device=CPU)
    run(plateau, [-4.0, -4.0], [-4.0, -2.0])
    assert plateau.stopped.tolist() == [True, False]


def test_a_window_of_nothing_never_stops():
    plateau = Plateau(0, 1, device=CPU)
    assert not plateau.watches
    assert not any(run(plateau, *[[1.0]] * 5))
