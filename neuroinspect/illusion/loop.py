"""The optimisation of one batch of pictures: start, steps, and what stands in the finished pictures."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neuroinspect.classifier import Classifier
from neuroinspect.illusion.objectives import illusion_loss, pair_score
from neuroinspect.illusion.parametrization import frequency_scale, images_from, spectra_of, spectrum_shape
from neuroinspect.illusion.silence import redirected_gradients
from neuroinspect.illusion.transforms import TransformDraws, apply_transforms, draw_transforms, join_draws
from neuroinspect.settings import IllusionSettings
from neuroinspect.text_guide import TextGuide, similarity_to

Pair = tuple[int, int]
_BETAS = (0.5, 0.99)
# Where the other neurons of a class speak against a neuron, gamma times the logit can outweigh it: the picture then shows
# the class, and the neuron is silent in it. Each restart gives the class a tenth of its weight (measured: 23 of 24 such
# pictures reach the range of real ones, against 21 with a quarter).
_RETREAT = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What all pictures of one call share.

    Attributes:
        classifier: the model.
        guide: None leaves the pictures to the classifier.
        directions: class index to the direction (D,) of its text; empty without a guide.
        settings: of the loop.
        class_weight: gamma; 0 for plain feature visualization.
        seed: of all pictures.
    """

    classifier: Classifier
    guide: TextGuide | None
    directions: Mapping[int, Tensor]
    settings: IllusionSettings
    class_weight: float
    seed: int

    @property
    def image_size(self) -> int:
        """Side of the pictures."""
        return self.classifier.preprocessing.image_size


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the networks say of N pictures: activation (N,), class logit (N,), similarity (N,) or None without a guide."""

    activation: Tensor
    class_logit: Tensor
    similarity: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """Pictures (N, 3, H, W) on the device, their scores, activation at each step (N, T), and whether each rose (N,)."""

    images: Tensor
    scores: Scores
    history: Tensor
    risen: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """From spectra to pictures: the amplitude of each frequency, and the pictures (N, 3, H, W) started from or None."""

    scale: Tensor
    start: Tensor | None
    reach: float

    def images(self, spectra: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1], no colour further than the reach from where it started; differentiable."""
        images = images_from(spectra, self.scale)
        return images if self.start is None or self.reach == 1 else torch.lerp(self.start, images, self.reach)


def optimize(job: Job, pairs: Sequence[Pair], restart: int, *, start: Tensor | None = None) -> Finished:
    """Make the pictures of a batch, the class weighing a tenth at each restart.

    Args:
        job: what the pictures share.
        pairs: N of them.
        restart: picks the noise and the transforms.
        start: pictures (N, 3, H, W) in [0, 1] to start from instead of noise.
    """
    job = replace(job, class_weight=job.class_weight * _RETREAT**restart)
    settings, device = job.settings, job.classifier.device
    scale = frequency_scale(job.image_size, decay_power=settings.decay_power).to(device)
    start = None if start is None else start.to(device)
    canvas = Canvas(scale, start, settings.start_reach)
    spectra, draws = _start(job, pairs, restart)
    if start is not None:
        spectra = spectra_of(start, scale).requires_grad_()
    with torch.no_grad():
        before = score(job, pairs, canvas.images(spectra)).activation
    rate = settings.learning_rate
    optimizer = torch.optim.AdamW([spectra], lr=rate, betas=_BETAS, weight_decay=settings.weight_decay)
    history = []
    warm_steps = round(settings.warm_up * settings.steps)
    for step in range(settings.steps):
        optimizer.param_groups[0]["lr"] = rate * learning_rate_factor(step, settings)
        with redirected_gradients() if step < warm_steps else nullcontext():
            images = apply_transforms(canvas.images(spectra), draws.affines[step], draws.colours[step])
            scores = score(job, pairs, images)
            # Only the spectra: no gradient of any weight is computed, whatever the guide is made of.
            (spectra.grad,) = torch.autograd.grad(_loss(job, scores), [spectra])
        optimizer.step()
        history.append(scores.activation.detach())
    with torch.no_grad():
        images = canvas.images(spectra)
        scores = score(job, pairs, images)
    return Finished(images, scores, torch.stack(history, 1), scores.activation > before)


def forward(job: Job, pair: Pair, count: int) -> Tensor:
    """Loss of one pass over `count` grey pictures of a pair, with its graph: what a step keeps in memory."""
    device = job.classifier.device
    scale = frequency_scale(job.image_size, decay_power=job.settings.decay_power).to(device)
    spectra = torch.zeros((count, *spectrum_shape(job.image_size)), device=device, requires_grad=True)
    with redirected_gradients():
        return _loss(job, score(job, [pair] * count, images_from(spectra, scale)))


def score(job: Job, pairs: Sequence[Pair], images: Tensor) -> Scores:
    """What the networks say of images (N, 3, H, W) in [0, 1], one for each pair; differentiable."""
    neurons, classes = torch.tensor(pairs, device=images.device).T
    features, logits = job.classifier.features_and_logits(job.classifier.normalize(images))
    similarity = None
    if job.guide is not None:
        directions = torch.stack([job.directions[class_index] for _, class_index in pairs])
        similarity = similarity_to(job.guide, images, directions)
    return Scores(
        activation=features.gather(1, neurons[:, None])[:, 0],
        class_logit=logits.gather(1, classes[:, None])[:, 0],
        similarity=similarity,
    )


def learning_rate_factor(step: int, settings: IllusionSettings) -> float:
    """Cosine from 1 at the first step to `final_learning_rate` at the last."""
    low, part = settings.final_learning_rate, step / max(1, settings.steps - 1)
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * part))


def pair_generator(seed: int, pair: Pair, restart: int) -> torch.Generator:
    """Generator of one picture, the same whatever else is made beside it."""
    digest = hashlib.sha256(f"{seed}/{pair[0]}/{pair[1]}/{restart}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _start(job: Job, pairs: Sequence[Pair], restart: int) -> tuple[Tensor, TransformDraws]:
    spectra, draws = [], []
    for pair in pairs:
        generator = pair_generator(job.seed, pair, restart)
        noise = torch.randn(spectrum_shape(job.image_size), generator=generator)
        spectra.append(noise * job.settings.start_deviation)
        draws.append(draw_transforms(job.settings, generator=generator))
    device = job.classifier.device
    return torch.stack(spectra).to(device).requires_grad_(), join_draws(draws).to(device)


def _loss(job: Job, scores: Scores) -> Tensor:
    value = pair_score(scores.activation, scores.class_logit, class_weight=job.class_weight)
    # A sum, not a mean: the gradient of a picture must not depend on how many there are.
    return illusion_loss(value, scores.similarity, guide_offset=job.settings.guide_offset).sum()
