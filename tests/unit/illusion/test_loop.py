import math

import pytest
import torch

from neuroinspect.illusion.loop import Job, learning_rate_factor, optimize, pair_generator
from neuroinspect.illusion.networks import prepare_networks
from neuroinspect.illusion.parametrization import frequency_scale, images_from, spectrum_shape
from neuroinspect.illusion.transforms import apply_transforms, draw_transforms
from neuroinspect.settings import IllusionSettings
from tests.unit.illusion.networks import SIZE, ColourGuide, small_classifier

SETTINGS = IllusionSettings(steps=8, warm_up=0.0)


def slow_picture(job: Job, pair: tuple[int, int], restart: int) -> torch.Tensor:
    """One picture, with AdamW written out: Loshchilov and Hutter 2019, algorithm 2."""
    settings, (neuron, class_index) = job.settings, pair
    generator = pair_generator(job.seed, pair, restart)
    spectrum = torch.randn(spectrum_shape(SIZE), generator=generator) * settings.start_deviation
    draws = draw_transforms(settings, generator=generator)
    scale = frequency_scale(SIZE, decay_power=settings.decay_power)
    first, second = torch.zeros_like(spectrum), torch.zeros_like(spectrum)
    for step in range(settings.steps):
        spectrum.requires_grad_()
        image = apply_transforms(images_from(spectrum[None], scale), draws.affines[step], draws.colours[step])
        classifier, guide = job.networks.classifier, job.networks.guide
        features, logits = classifier.features_and_logits(classifier.normalize(image))
        value = features[0, neuron] + job.class_weight / 10**restart * logits[0, class_index]
        if guide is not None and value > 0:
            cosine = torch.cosine_similarity(guide.encode_images(image)[0], job.directions[class_index], dim=0)
            value = torch.clamp(cosine + settings.guide_offset, min=settings.guide_offset) * value
        (slope,) = torch.autograd.grad(-value, spectrum)
        spectrum = spectrum.detach()
        part = settings.final_learning_rate
        rate = settings.learning_rate * (part + (1 - part) * (1 + math.cos(math.pi * step / (settings.steps - 1))) / 2)
        first, second = 0.5 * first + 0.5 * slope, 0.99 * second + 0.01 * slope**2
        corrected = first / (1 - 0.5 ** (step + 1))
        size = (second / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8
        spectrum = spectrum * (1 - rate * settings.weight_decay) - rate * corrected / size
    return images_from(spectrum[None], scale)[0]


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("restart", [0, 2])
def test_a_batch_equals_the_slow_twin_picture_by_picture(guided, restart):
    guide = ColourGuide() if guided else None
    directions = {1: torch.eye(3)[0], 2: torch.eye(3)[2]} if guided else {}
    job = Job(prepare_networks(small_classifier(), guide, SETTINGS), directions, SETTINGS, class_weight=0.5, seed=4)
    pairs = [(0, 1), (3, 2), (5, 1), (0, 2)]
    finished = optimize(job, pairs, restart)
    for image, pair in zip(finished.images, pairs, strict=True):
        torch.testing.assert_close(image, slow_picture(job, pair, restart), atol=2e-4, rtol=1e-3)


def test_the_learning_rate_falls_along_a_cosine():
    settings = IllusionSettings(steps=101, final_learning_rate=0.12)
    assert learning_rate_factor(0, settings) == 1
    assert learning_rate_factor(50, settings) == pytest.approx(0.56)
    assert learning_rate_factor(100, settings) == pytest.approx(0.12)


def test_a_single_step_has_the_full_learning_rate():
    assert learning_rate_factor(0, IllusionSettings(steps=1)) == 1


def test_each_picture_has_noise_of_its_own():
    keys = [(0, (1, 2), 0), (1, (1, 2), 0), (0, (2, 1), 0), (0, (1, 2), 1), (0, (12, 0), 0), (0, (1, 20), 0)]
    draws = {torch.rand(1, generator=pair_generator(*key)).item() for key in keys}
    assert len(draws) == len(keys)
    assert torch.equal(*(torch.rand(4, generator=pair_generator(*keys[0])) for _ in range(2)))
