"""What an edit would give: the real edit in short, its controls, and what cannot be asked."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuroinspect.editing.edit import edit_all, plan_edit, register_method
from neuroinspect.editing.half_edits import HalfEdits
from neuroinspect.editing.half_figures import judge_on_halves
from neuroinspect.editing.halves import halve
from neuroinspect.editing.problem import EditProblem, Try, make_problem
from neuroinspect.editing.short_edit import BATCH, STEPS, short_settings, shorten, steps_of
from neuroinspect.editing.what_if import PLACEBO_DRAWS, PREPARED_SIZES, Rehearsal, check_method, offered_methods
from neuroinspect.errors import EvidenceError, ReviewError, SettingsError
from neuroinspect.masking import neuron_family
from neuroinspect.settings import EditSettings, TrainSettings

Make = Callable[..., EditProblem]
Data = tuple[Tensor, Tensor]
CANDIDATES = (2, 3, 1)
SETTINGS = EditSettings(train=TrainSettings(learning_rate=0.02), placebo_draws=2)


def rehearse_on(problem: EditProblem, *, settings: EditSettings = SETTINGS, **values: object) -> Rehearsal:
    return Rehearsal(problem, CANDIDATES, class_index=0, settings=settings, seed=0, **values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rehearsal(training: Data, validation: Data, decision_layer: nn.Linear) -> Rehearsal:
    return rehearse_on(make_problem(training, validation, decision_layer, neurons={}))


def test_cue_neurons_gain_what_neither_control_gains(rehearsal: Rehearsal) -> None:
    found = rehearsal.rehearse((2, 3), method="cue_erasure")
    assert found.edit is not None
    assert found.refused is None
    others = [found.original, found.retrain, *found.placebo]
    assert len(found.placebo) == SETTINGS.placebo_draws
    assert all(found.edit.class_auroc > one.class_auroc + 0.02 for one in others)


def test_the_figures_are_those_of_the_real_edit_with_the_short_settings(rehearsal: Rehearsal, make: Make) -> None:
    """Retold from outside: the seed's halves, the edit that `edit_all` makes on each, judged on the other."""
    problem = make({0: (2, 3)})
    halves = halve(problem, 1, generator=torch.Generator().manual_seed(0))
    settings = short_settings(SETTINGS, problem)
    layers = []
    for half in halves:
        plan = plan_edit(half.problem.with_neurons({0: (2, 3)}), "ratio", settings=settings)
        made = edit_all({"one": plan}, settings=settings, strength=0.5)["one"].decision_layer
        layers.append((made.weight, made.bias))
    found = rehearsal.rehearse((2, 3), method="ratio", strength=0.5)
    assert found.edit == judge_on_halves(layers, halves, class_index=0)


def test_the_same_question_has_the_same_answer_in_any_order_and_whatever_was_asked_before(
    make: Make, rehearsal: Rehearsal
) -> None:
    answer = rehearsal.rehearse((2, 3), method="ablate_refit", strength=0.7)
    assert rehearsal.rehearse((3, 2), method="ablate_refit", strength=0.7) == answer
    prepared, other = rehearse_on(make()), rehearse_on(make())
    for part in prepared.preparations():
        part()
    other.rehearse((1,), method="ablate_refit")
    assert prepared.rehearse([3, 2], method="ablate_refit", strength=0.7) == answer
    assert other.rehearse([2, 3], method="ablate_refit", strength=0.7) == answer


def test_almost_no_strength_is_almost_the_original(rehearsal: Rehearsal) -> None:
    whole, none = (rehearsal.rehearse((2, 3), method="cue_erasure", strength=one) for one in (1.0, 1e-6))
    for row in (none.edit, none.retrain, *none.placebo):
        assert row is not None
        assert row.class_auroc == pytest.approx(none.original.class_auroc, abs=1e-4)
        assert row.average == none.original.average
    assert whole.edit is not None
    assert whole.edit.average != none.original.average


def test_what_was_trained_is_not_trained_again_for_another_strength(make: Make) -> None:
    trained = []

    def counted(problem: EditProblem, _: EditSettings) -> list[Try]:
        trained.append(problem.neurons[0])
        return [Try({}, problem.weight, problem.bias, trained=False)]

    register_method("counted", counted)
    found = rehearse_on(make(), settings=SETTINGS.model_copy(update={"methods": ("counted",)}))
    found.rehearse((2,), method="counted")
    before = len(trained)
    found.rehearse((2,), method="counted", strength=0.5)
    assert len(trained) == before == 2 * (1 + SETTINGS.placebo_draws)


def wide_problem(width: int = 96) -> EditProblem:
    """Neurons 0 to 3 fire for one cue of class 0, and 4 to 9 do so too but are no candidates."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 3
    features = torch.randn(600, width, generator=generator)
    features[:, :10] += 3.0 * (torch.rand(600, generator=generator) < 0.4)[:, None]
    layer = nn.Linear(width, 3, device="meta").to_empty(device="cpu").requires_grad_(False)
    layer.weight.copy_(0.1 * torch.randn(3, width, generator=generator))
    layer.bias.zero_()
    return make_problem((features, labels), (features, labels), layer, neurons={})


def placebos_of(chosen: tuple[int, ...], *, candidates: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Neurons that the method was asked for beside the chosen ones."""
    asked: list[tuple[int, ...]] = []

    def told(problem: EditProblem, _: EditSettings) -> list[Try]:
        asked.append(problem.neurons[0])
        return [Try({}, problem.weight, problem.bias, trained=False)]

    name = f"told_{'_'.join(map(str, chosen))}_of_{len(candidates)}"
    register_method(name, told)
    settings = EditSettings(methods=(name,))
    Rehearsal(wide_problem(), candidates, class_index=0, settings=settings, seed=0).rehearse(chosen, method=name)
    return sorted({one for one in asked if one != chosen})


def test_no_candidate_nor_its_family_is_a_placebo_and_choices_of_one_size_share_theirs() -> None:
    candidates = (0, 1, 2, 3)
    problem = wide_problem()
    family = set(neuron_family(problem.validation_features, candidates, labels=problem.validation_labels, size=25))
    assert {4, 5, 6, 7, 8, 9} <= family
    drawn = placebos_of((0, 1), candidates=candidates)
    assert len(drawn) == PLACEBO_DRAWS
    assert not {neuron for one in drawn for neuron in one} & (set(candidates) | family)
    assert placebos_of((2, 3), candidates=candidates) == drawn
    assert {len(one) for one in placebos_of((0, 1, 2), candidates=candidates)} == {3}


def test_a_chosen_neuron_that_is_no_candidate_is_no_placebo_either() -> None:
    drawn = placebos_of((4, 5), candidates=(90,))
    assert not {neuron for one in drawn for neuron in one} & set(range(10))


def test_placebos_are_trained_ahead_for_every_method_and_size(make: Make) -> None:
    wide = Rehearsal(wide_problem(), tuple(range(12)), class_index=0, settings=SETTINGS, seed=0)
    assert len(wide.preparations()) == 1 + len(offered_methods(SETTINGS)) * PREPARED_SIZES
    # In the narrow layer of eight neurons a placebo depends on the choice; only all three candidates leave one way.
    assert len(rehearse_on(make()).preparations()) <= 1 + len(offered_methods(SETTINGS)) * len(CANDIDATES)


def test_a_refusal_is_told_with_its_reason_and_the_controls_stand(make: Make) -> None:
    def refuse_two(problem: EditProblem, _: EditSettings) -> list[Try]:
        if 2 in problem.neurons[0]:
            raise EvidenceError("too alike")
        return [Try({}, problem.weight, problem.bias, trained=False)]

    register_method("refuse_two", refuse_two)
    asked = rehearse_on(make(), settings=SETTINGS.model_copy(update={"methods": ("refuse_two",)}))
    found = asked.rehearse((2,), method="refuse_two")
    assert (found.edit, found.placebo, found.refused) == (None, (), "too alike")
    assert found.retrain is not None
    # Where a placebo is refused, the draws that are left stand.
    assert len(asked.rehearse((1,), method="refuse_two").placebo) <= SETTINGS.placebo_draws


def test_methods_are_offered_that_use_neurons_and_do_not_silence() -> None:
    settings = EditSettings(methods=("ratio", "silencing", "bias", "cue_erasure+bias", "focal", "cue_erasure", "ratio"))
    assert offered_methods(settings) == ("cue_erasure", "ratio", "cue_erasure+bias")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("magic", "unknown edit method"),
        ("silencing", "wrong way round"),
        ("silencing+bias", "wrong way round"),
        ("bias", "whichever neurons"),
        ("retrain", "whichever neurons"),
        ("con", "does not make con; edit.methods has cue_erasure, ablate_refit, ratio"),
    ],
)
def test_a_method_that_cannot_be_asked_for_is_refused(method: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_method(method, SETTINGS)


@pytest.mark.parametrize("neurons", [(), (8,), (-1,), (2, 2), tuple(range(50))])
def test_neurons_that_cannot_be_asked_for_are_refused(rehearsal: Rehearsal, neurons: tuple[int, ...]) -> None:
    with pytest.raises(ReviewError, match=r"choose at least one|different neurons in 0\.\.7"):
        rehearsal.rehearse(neurons, method="cue_erasure")


def test_a_strength_out_of_range_and_a_choice_without_a_placebo_are_refused(rehearsal: Rehearsal) -> None:
    with pytest.raises(SettingsError, match="above 0"):
        rehearsal.rehearse((2,), method="cue_erasure", strength=0.0)
    with pytest.raises(ReviewError, match="too few are left for a placebo"):
        rehearsal.rehearse((0, 1, 2, 3, 4), method="cue_erasure")


def test_a_split_of_one_sample_for_each_class_has_no_halves(training: Data, decision_layer: nn.Linear) -> None:
    problem = make_problem(training, (training[0][:3], training[1][:3]), decision_layer, neurons={})
    with pytest.raises(ReviewError, match="two samples"):
        rehearse_on(problem)


def drawn_problem(training: int, select: int, *, width: int = 2, classes: int = 2) -> EditProblem:
    def part(count: int) -> Data:
        return torch.randn(count, width, generator=torch.Generator().manual_seed(count)), torch.arange(count) % classes

    return EditProblem(*part(training), *part(select), torch.zeros(classes, width), torch.zeros(classes), {})


@pytest.mark.parametrize(("training", "steps"), [(100, 300), (2400, 285), (38_400, 300), (20_000, 157), (60_000, 300)])
def test_no_try_takes_more_steps_than_the_budget(training: int, steps: int) -> None:
    problem, _ = shorten(drawn_problem(training, 10), generator=torch.Generator().manual_seed(0))
    settings = short_settings(SETTINGS, problem)
    assert steps_of(settings, problem) == steps <= STEPS
    assert len(problem.labels) == min(training, STEPS * BATCH)
    assert settings.train.batch_size == BATCH


def test_of_a_large_select_split_the_same_part_of_each_class_is_taken() -> None:
    problem = drawn_problem(10, 30_000, classes=3)
    labels = torch.where(torch.arange(30_000) < 30, 2, torch.arange(30_000) % 2)
    problem = EditProblem(
        problem.features, problem.labels, problem.validation_features, labels, problem.weight, problem.bias, {}
    )
    short, rows = shorten(problem, generator=torch.Generator().manual_seed(0))
    assert short.validation_labels.bincount().tolist() == [4995, 4995, 10]
    assert torch.equal(short.validation_features, problem.validation_features[rows])
    small, rows = shorten(drawn_problem(10, 20), generator=torch.Generator().manual_seed(0))
    assert rows.tolist() == list(range(20))
    assert len(small.validation_labels) == 20


def test_a_large_layer_is_tried_with_the_middle_of_every_grid_and_a_small_one_with_all_of_it() -> None:
    large, small = (short_settings(SETTINGS, drawn_problem(10, 10, width=width)) for width in (20_000, 10))
    assert (large.cue_directions, large.ratio_weights, large.weight_decays) == ((3,), (0.1,), (1e-3,))
    assert large.methods == small.methods == SETTINGS.methods
    assert small.cue_directions == SETTINGS.cue_directions


def test_the_memory_of_trained_layers_is_bounded_and_the_answers_stay(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make()
    halves = halve(problem, 1, generator=torch.Generator().manual_seed(0))
    edits = HalfEdits(halves, class_index=0, settings=short_settings(SETTINGS, problem))
    monkeypatch.setattr("neuroinspect.editing.half_edits._KEPT_WEIGHTS", 300)
    first = edits.deliver("ratio", ((2,),), 1.0)
    half = edits.deliver("ratio", ((2,),), 0.5)
    edits.deliver("ratio", ((3,),), 1.0)
    assert len(edits._trained) == 1
    edits._delivered.clear()
    assert (edits.deliver("ratio", ((2,),), 1.0), edits.deliver("ratio", ((2,),), 0.5)) == (first, half)
