import dataclasses
import sys

import pytest
import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from neuroinspect.errors import DataError, FeaturesError, ModelError, SettingsError
from neuroinspect.illusion import Illusion, Objective, pixel_masks, synthesize
from neuroinspect.illusion.canvas import fit
from neuroinspect.illusion.memory import is_out_of_memory, smaller_batch
from neuroinspect.settings import GuideSettings, IllusionSettings
from neuroinspect.text_guide import GuidedTexts
from tests.unit.illusion.networks import QUICK, SIZE, ColourGuide, small_classifier

PAIRS = [(0, 0), (3, 1), (5, 2), (3, 2), (0, 0)]


def make(pairs=PAIRS, *, classifier=None, guide=None, settings=QUICK, seed=0, **options) -> list[Illusion]:
    generator = torch.Generator().manual_seed(seed)
    classifier = classifier or small_classifier()
    return synthesize(classifier, pairs, guide=guide, settings=settings, generator=generator, **options)


def test_an_illusion_is_complete():
    classifier = small_classifier()
    for illusion, (neuron, class_index) in zip(make(classifier=classifier), PAIRS, strict=True):
        assert (illusion.neuron, illusion.class_index) == (neuron, class_index)
        assert illusion.image.shape == (3, SIZE, SIZE)
        assert 0 <= illusion.image.min() <= illusion.image.max() <= 1
        assert illusion.history.shape == (QUICK.steps,)
        assert illusion.guide_similarity is None
        prepared = classifier.normalize(illusion.image[None])
        features, logits = classifier.features_and_logits(prepared)
        assert illusion.activation == pytest.approx(features[0, neuron].item(), rel=1e-5)
        assert illusion.class_logit == pytest.approx(logits[0, class_index].item(), rel=1e-4)
        maps = classifier.activation_maps(prepared)[:, neuron]
        assert torch.equal(illusion.pixel_mask, pixel_masks(maps, image_size=SIZE)[0])


@pytest.mark.parametrize("guided", [False, True])
def test_a_picture_does_not_depend_on_its_batch(guided):
    settings = QUICK.model_copy(update={"steps": 60})
    together = make(PAIRS[:3], guide=ColourGuide() if guided else None, settings=settings)
    for place, pair in enumerate(PAIRS[:3]):
        (alone,) = make([pair], guide=ColourGuide() if guided else None, settings=settings)
        torch.testing.assert_close(alone.image, together[place].image, atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.history, together[place].history, atol=1e-4, rtol=1e-4)


def test_a_picture_does_not_depend_on_its_chunk(monkeypatch):
    expected = make()
    for chunk in (1, 2, 4):
        module = sys.modules["neuroinspect.illusion.synthesize"]
        monkeypatch.setattr(module, "images_under_cap", lambda *_, size=chunk, **__: size)
        for illusion, one in zip(make(), expected, strict=True):
            torch.testing.assert_close(illusion.image, one.image, atol=1e-4, rtol=0)


def test_the_cap_bounds_the_batch():
    module = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 3)
    )
    seen = []
    module[0].register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
    preprocessing = small_classifier().preprocessing.model_copy(update={"image_size": 256})
    classifier = type(small_classifier())(module, preprocessing=preprocessing, device="cpu")
    seen.clear()
    settings = IllusionSettings(steps=1, memory_cap_mb=64, restarts=0)
    make([(n, 0) for n in range(6)], classifier=classifier, settings=settings)
    assert max(seen) * 16 <= 64  # 64 maps of 256 x 256 in float32 are 16 MB
    assert sum(seen) >= 6


def test_seeds_make_pictures_and_the_state_of_the_generator_does_not():
    generator = torch.Generator().manual_seed(0)
    torch.rand(5, generator=generator)
    used = synthesize(small_classifier(), PAIRS[:1], guide=None, settings=QUICK, generator=generator)[0]
    assert torch.equal(used.image, make(PAIRS[:1])[0].image)
    assert not torch.equal(used.image, make(PAIRS[:1], seed=1)[0].image)


def test_the_same_pair_twice_is_the_same_picture():
    illusions = make()
    assert torch.equal(illusions[0].image, illusions[4].image)
    assert not torch.equal(illusions[1].image, illusions[3].image)


def test_activation_rises():
    settings = QUICK.model_copy(update={"steps": 80})
    for illusion in make(PAIRS[:3], settings=settings, objective=Objective.FEATURE_VISUALIZATION):
        assert illusion.activation > 1.2 * illusion.history[0]


def test_weights_get_no_gradient_and_stay_as_they_are():
    classifier, guide = small_classifier(), LearningGuide()
    before = {name: tensor.clone() for name, tensor in classifier.module.state_dict().items()}
    make(classifier=classifier, guide=guide)
    assert all(torch.equal(before[name], tensor) for name, tensor in classifier.module.state_dict().items())
    assert all(parameter.grad is None for parameter in [*classifier.module.parameters(), *guide.layer.parameters()])


class LearningGuide(ColourGuide):
    """A guide whose weights nobody froze."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def encode_images(self, images):
        return self.layer(images.mean((2, 3)))


def test_each_class_text_is_encoded_once():
    guide = ColourGuide()
    make(guide=guide)
    templates = GuideSettings().templates
    expected = [template.replace("{}", text) for text in ("cat", "sea lion", "tree") for template in templates]
    assert guide.encoded == expected


def test_texts_and_templates_of_a_bound_guide_are_used():
    guide = ColourGuide()
    make([(0, 1)], guide=GuidedTexts(guide, ("a", "b", "c"), templates=("the {} here",)))
    assert guide.encoded == ["the b here"]


def test_the_guide_pulls_the_picture():
    settings = QUICK.model_copy(update={"steps": 60})
    by_colour = []
    for text in ("", "x", "xx"):  # ColourGuide points to red, green or blue by the length of the text
        bound = GuidedTexts(ColourGuide(), (text,) * 3, templates=("{}",))
        (illusion,) = make([(0, 0)], guide=bound, settings=settings)
        assert illusion.guide_similarity == pytest.approx(
            torch.cosine_similarity(illusion.image.mean((1, 2)), torch.eye(3)[len(text)] + 0.1, dim=0).item(), rel=1e-4
        )
        by_colour.append(illusion.image.mean((1, 2)))
    for colour, means in enumerate(by_colour):
        assert means[colour] == max(other[colour] for other in by_colour)


def test_plain_feature_visualization_ignores_class_and_guide():
    guide = ColourGuide()
    weighted = QUICK.model_copy(update={"class_weight": 1.0})
    first = make(guide=guide, objective=Objective.FEATURE_VISUALIZATION)
    second = make(settings=weighted, objective=Objective.FEATURE_VISUALIZATION)
    assert not guide.encoded
    assert all(illusion.guide_similarity is None for illusion in first)
    assert all(torch.equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_a_silent_neuron_is_woken_by_the_warm_up():
    classifier = small_classifier(dead=2)
    settings = IllusionSettings(steps=80, restarts=0, class_weight=0.0, colour_jitter=0.0, small_canvas=1)
    (cold,) = make([(2, 0)], classifier=classifier, settings=settings.model_copy(update={"warm_up": 0.0}))
    (warm,) = make([(2, 0)], classifier=classifier, settings=settings.model_copy(update={"warm_up": 0.8}))
    assert cold.activation == 0
    assert warm.activation > 0


def test_a_neuron_nothing_can_wake_keeps_its_best_try():
    classifier = small_classifier(dead=2)
    classifier.module[2].bias.data[2] = -1e6
    settings = QUICK.model_copy(update={"restarts": 2})
    silent, awake = make([(2, 0), (1, 0)], classifier=classifier, settings=settings)
    assert silent.activation == 0
    assert awake.restarts == 0
    assert awake.activation > 0


def test_a_picture_under_its_floor_is_tried_again_with_less_of_the_class():
    classifier = small_classifier()
    classifier.module[6].weight.data = torch.full((3, 6), -8.0)  # the class wants darkness, the neuron light
    settings = IllusionSettings(steps=40, restarts=2, small_canvas=1)
    (first,) = make([(1, 0)], classifier=classifier, settings=settings.model_copy(update={"restarts": 0}))
    (tried,) = make([(1, 0)], classifier=classifier, settings=settings, floors=[1e9])
    (satisfied,) = make([(1, 0)], classifier=classifier, settings=settings, floors=[0.0])
    assert tried.restarts > 0
    assert tried.activation > first.activation
    assert satisfied.restarts == 0


def test_nothing_is_left_on_the_model_after_an_exception():
    classifier = small_classifier()

    class Broken(ColourGuide):
        def encode_images(self, images):
            raise RuntimeError("broken guide")

    with pytest.raises(ModelError, match="broken guide"):
        make(classifier=classifier, guide=Broken())
    for layer in classifier.module.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks
        assert not layer._backward_hooks
    x = torch.tensor([-1.0], requires_grad=True)
    torch.relu(x).sum().backward()
    assert x.grad.item() == 0


@pytest.mark.parametrize("start", [None, torch.empty(0, 3, SIZE, SIZE)])
def test_no_pair_is_no_work(start):
    assert make([], start=start) == []


def test_a_machine_that_cannot_compile_says_so(monkeypatch):
    def fails(*_: object) -> None:
        raise TorchDynamoException("no working C++ compiler\nSet TORCHDYNAMO_VERBOSE=1")

    monkeypatch.setattr(torch, "compile", lambda _: fails)
    settings = QUICK.model_copy(update={"compile": True})
    with pytest.raises(SettingsError, match=r"\(no working C\+\+ compiler\); install .*compile: false"):
        make(settings=settings)


@pytest.mark.parametrize("pair", [(6, 0), (-1, 0), (0, 3), (0, -1)])
def test_a_pair_the_model_does_not_have_is_refused(pair):
    with pytest.raises(ModelError, match="a neuron from 0 to 5 and a class from 0 to 2"):
        make([pair])


def test_floors_of_another_length_are_refused():
    with pytest.raises(FeaturesError, match="one floor for each of 5 pairs, got 1"):
        make(floors=[1.0])


def test_records_cannot_be_changed():
    illusion = make(PAIRS[:1])[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        illusion.neuron = 3


def test_without_guide_is_the_picture_made_with_no_guide():
    guide = ColourGuide()
    left_out = make(guide=guide, objective=Objective.WITHOUT_GUIDE)
    assert not guide.encoded
    for illusion, expected in zip(left_out, make(), strict=True):
        assert torch.equal(illusion.image, expected.image)
        assert illusion.guide_similarity is None


def start_pictures(count: int) -> torch.Tensor:
    return torch.rand((count, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(3)) * 0.9 + 0.05


def test_a_picture_starts_from_the_given_one_and_leaves_it():
    begun = start_pictures(2)
    slow = QUICK.model_copy(update={"steps": 1, "learning_rate": 1e-9})
    for illusion, image in zip(make(PAIRS[:2], start=begun, settings=slow), begun, strict=True):
        torch.testing.assert_close(illusion.image, image, atol=1e-3, rtol=0)
    settings = QUICK.model_copy(update={"steps": 40})
    for illusion, image in zip(make(PAIRS[:2], start=begun, settings=settings), begun, strict=True):
        assert (illusion.image - image).abs().max() > 0.05
        assert illusion.activation > illusion.history[0]


@pytest.mark.parametrize("reach", [0.05, 0.3])
def test_no_colour_goes_further_from_the_start_than_the_reach(reach):
    begun = start_pictures(3)
    settings = QUICK.model_copy(update={"steps": 40, "learning_rate": 0.1, "start_reach": reach})
    illusions = make(PAIRS[:3], start=begun, settings=settings)
    distance = (torch.stack([illusion.image for illusion in illusions]) - begun).abs().amax((1, 2, 3))
    assert (distance <= reach + 1e-6).all()
    assert (distance > reach / 4).all()


def test_pictures_to_start_from_stay_with_their_pairs():
    begun = start_pictures(3)
    together = make(PAIRS[:3], start=begun)
    for place, pair in enumerate(PAIRS[:3]):
        (alone,) = make([pair], start=begun[place : place + 1])
        torch.testing.assert_close(alone.image, together[place].image, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (torch.zeros(1, 3, SIZE, SIZE), "of shape"),
        (torch.zeros(2, 3, SIZE, SIZE + 1), "of shape"),
        (torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8), "as floats"),
        (torch.full((2, 3, SIZE, SIZE), 1.5), r"in \[0, 1\]"),
        (torch.full((2, 3, SIZE, SIZE), torch.nan), r"in \[0, 1\]"),
    ],
)
def test_pictures_to_start_from_that_do_not_fit_are_refused(start, message):
    with pytest.raises(DataError, match=message):
        make(PAIRS[:2], start=start)


class SmallMemory(ColourGuide):
    """A guide that has room for a few pictures only; notes the batches it was given."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room, self.error, self.batches = room, error, []

    def encode_images(self, images):
        self.batches.append(len(images))
        # The two passes that measure how much a picture needs get through.
        if len(images) > max(self.room, 2):
            raise self.error
        return super().encode_images(images)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY[:2])
def test_a_batch_that_does_not_fit_is_halved_and_the_pictures_stay(error, caplog):
    pairs = [*PAIRS, (1, 1), (2, 0)]
    expected, guide = make(pairs, guide=ColourGuide()), SmallMemory(2, error)
    for illusion, one in zip(make(pairs, guide=guide), expected, strict=True):
        torch.testing.assert_close(illusion.image, one.image, atol=1e-4, rtol=0)
    assert "going on with 4" in caplog.text
    assert "going on with 2" in caplog.text
    assert guide.batches.count(8) == 1  # it does not try again what failed


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_what_an_allocator_says_is_understood(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_not_even_one_picture_fits():
    with pytest.raises(ModelError, match="not even one picture fits into the memory of cpu"):
        smaller_batch(1, torch.device("cpu"))
    assert [smaller_batch(size, torch.device("cpu")) for size in (2, 4, 6, 12)] == [1, 2, 2, 6]


def test_a_plateau_ends_a_picture_early_and_its_neighbours_do_not_matter():
    still = {"rotation": 0.0, "shift": 0.0, "scale": (1.0, 1.0), "colour_jitter": 0.0}
    settings = QUICK.model_copy(update={"steps": 120, "plateau": 3, **still})
    together = make(PAIRS[:3], settings=settings)
    stopped = [int(illusion.history.isfinite().sum()) for illusion in together]
    assert len(set(stopped)) > 1
    assert max(stopped) < settings.steps
    for pair, illusion, steps in zip(PAIRS, together, stopped, strict=False):
        (alone,) = make([pair], settings=settings)
        torch.testing.assert_close(alone.image, illusion.image, atol=1e-4, rtol=0)
        assert alone.history.isfinite().sum() == steps


def test_a_larger_canvas_gives_larger_pictures_that_the_classifier_sees_shrunk():
    settings = QUICK.model_copy(update={"small_canvas": 4 * SIZE})
    classifier = small_classifier()
    for illusion in make(PAIRS[:2], classifier=classifier, settings=settings):
        assert illusion.image.shape == (3, 4 * SIZE, 4 * SIZE)
        assert illusion.pixel_mask.shape == (4 * SIZE, 4 * SIZE)
        seen = classifier.normalize(fit(illusion.image[None], SIZE))
        assert illusion.activation == pytest.approx(classifier.features(seen)[0, illusion.neuron].item(), rel=1e-5)


def test_half_precision_makes_pictures_of_the_same_neurons():
    settings = QUICK.model_copy(update={"steps": 40, "precision": "bfloat16"})
    exact = make(PAIRS[:2], settings=settings.model_copy(update={"precision": "float32"}))
    for illusion, one in zip(make(PAIRS[:2], settings=settings), exact, strict=True):
        assert illusion.image.dtype is torch.float32
        assert illusion.activation == pytest.approx(one.activation, rel=0.1)


@pytest.mark.parametrize(("name", "steps"), [("preview", 300), ("normal", 450), ("final", 650), (7, 7)])
def test_steps_may_be_named(name, steps):
    assert IllusionSettings(steps=name).steps == steps
