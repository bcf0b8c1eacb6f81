"""The loop that makes illusions: many (neuron, class) pairs at once, each as if it were alone.

Reference: Ju, Park, Lee 2023, "NeuroInspect", CLIP-Illusion. Against the released loop: pairs of any neurons and classes in
one batch, weights frozen, each class text encoded once, one random transform for each picture, silent neurons woken, and a
bound on the memory.
"""

import hashlib
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neuroinspect.classifier import Classifier
from neuroinspect.errors import ModelError
from neuroinspect.illusion.memory import images_under_cap
from neuroinspect.illusion.objectives import Objective, illusion_loss, pair_score
from neuroinspect.illusion.parametrization import frequency_scale, images_from, spectrum_shape
from neuroinspect.illusion.relevance import pixel_masks
from neuroinspect.illusion.silence import redirected_gradients
from neuroinspect.illusion.transforms import TransformDraws, apply_transforms, draw_transforms, join_draws
from neuroinspect.settings import GuideSettings, IllusionSettings
from neuroinspect.text_guide import GuidedTexts, TextGuide, bind_texts, class_direction

Pair = tuple[int, int]
_BETAS = (0.5, 0.99)


@dataclass(frozen=True, slots=True, eq=False)
class Illusion:
    """A picture synthesised for a neuron in a class; tensors on the CPU.

    Attributes:
        neuron: coordinate of the penultimate features.
        class_index: the class.
        image: (3, H, W) in [0, 1].
        pixel_mask: (H, W), 1 where the neuron looks, 0.5 elsewhere.
        activation: of the neuron on the finished picture.
        class_logit: of the class on the finished picture.
        guide_similarity: cosine of finished picture and class text; None without a guide.
        restarts: how often other noise was tried because the neuron stayed silent.
        history: (T,), activation on the transformed picture at each step.
    """

    neuron: int
    class_index: int
    image: Tensor
    pixel_mask: Tensor
    activation: float
    class_logit: float
    guide_similarity: float | None
    restarts: int
    history: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What stays the same for all pictures of one call."""

    classifier: Classifier
    guide: TextGuide | None
    directions: dict[int, Tensor]
    settings: IllusionSettings
    class_weight: float
    scale: Tensor
    seed: int

    @property
    def image_size(self) -> int:
        return self.classifier.preprocessing.image_size


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """What is fixed for each picture of a batch: neurons (N,), classes (N,), class directions (N, D) or None."""

    neurons: Tensor
    classes: Tensor
    directions: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """Activation (N,), class logit (N,) and similarity (N,) or None of a batch of pictures."""

    activation: Tensor
    class_logit: Tensor
    similarity: Tensor | None


def synthesize(
    classifier: Classifier,
    pairs: Sequence[Pair],
    *,
    guide: GuidedTexts | TextGuide | None,
    settings: IllusionSettings,
    generator: torch.Generator,
    objective: Objective = Objective.ILLUSION,
) -> list[Illusion]:
    """Make one picture for each (neuron, class) pair.

    The picture of a pair depends on the generator's seed, not on its state, and not on the other pairs.

    Args:
        classifier: the model; its weights are not touched.
        pairs: (neuron, class index), any mixture.
        guide: with its class texts; a bare guide takes the class names and the default templates; None leaves the picture
            to the classifier alone (eq. 2).
        settings: of the loop.
        generator: its seed is the seed of all pictures.
        objective: plain feature visualization looks at the neuron alone, without class and guide.

    Returns:
        Illusions in the order of the pairs. One that could not wake its neuron keeps its best try; compare `activation`
        with the neuron's range on real pictures.

    Raises:
        ModelError: a neuron or a class that the model does not have.
    """
    _check(classifier, pairs)
    if not pairs:
        return []
    job = _job(classifier, pairs, guide, settings, generator, objective)
    first = _batch(job, pairs[:1])
    chunk = images_under_cap(lambda count: _probe(job, first, count), cap_mb=settings.memory_cap_mb, wanted=len(pairs))
    best: list[Illusion | None] = [None] * len(pairs)
    waiting = list(range(len(pairs)))
    for restart in range(settings.restarts + 1):
        silent: list[int] = []
        for start in range(0, len(waiting), chunk):
            places = waiting[start : start + chunk]
            tries, woken = _make(job, [pairs[place] for place in places], restart)
            for place, attempt, awake in zip(places, tries, woken, strict=True):
                known = best[place]
                if known is None or attempt.activation > known.activation:
                    best[place] = attempt
                else:
                    best[place] = _with_restarts(known, restart)
                if not awake:
                    silent.append(place)
        waiting = silent
        if not waiting:
            break
    return [illusion for illusion in best if illusion is not None]


def _check(classifier: Classifier, pairs: Sequence[Pair]) -> None:
    for neuron, class_index in pairs:
        if not 0 <= neuron < classifier.num_features or not 0 <= class_index < classifier.num_classes:
            raise ModelError(
                f"pair ({neuron}, {class_index}): the model has neurons 0 to {classifier.num_features - 1} and classes 0 to "
                f"{classifier.num_classes - 1}"
            )


def _job(
    classifier: Classifier,
    pairs: Sequence[Pair],
    guide: GuidedTexts | TextGuide | None,
    settings: IllusionSettings,
    generator: torch.Generator,
    objective: Objective,
) -> _Job:
    plain = objective is Objective.FEATURE_VISUALIZATION
    if plain:
        guide = None
    elif guide is not None and not isinstance(guide, GuidedTexts):
        guide = bind_texts(guide, classifier.class_names, GuideSettings())
    directions = (
        {}
        if guide is None
        else {
            index: class_direction(guide.guide, guide.texts[index], guide.templates).to(classifier.device)
            for index in sorted({class_index for _, class_index in pairs})
        }
    )
    size = classifier.preprocessing.image_size
    return _Job(
        classifier=classifier,
        guide=None if guide is None else guide.guide,
        directions=directions,
        settings=settings,
        class_weight=0.0 if plain else settings.class_weight,
        scale=frequency_scale(size, decay_power=settings.decay_power).to(classifier.device),
        seed=generator.initial_seed(),
    )


def _batch(job: _Job, pairs: Sequence[Pair]) -> _Batch:
    device = job.classifier.device
    return _Batch(
        neurons=torch.tensor([neuron for neuron, _ in pairs], device=device),
        classes=torch.tensor([class_index for _, class_index in pairs], device=device),
        directions=torch.stack([job.directions[index] for _, index in pairs]) if job.directions else None,
    )


def pair_generator(seed: int, pair: Pair, restart: int) -> torch.Generator:
    """Generator of one picture, the same whatever else is made beside it."""
    digest = hashlib.sha256(f"{seed}/{pair[0]}/{pair[1]}/{restart}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _start(job: _Job, pairs: Sequence[Pair], restart: int) -> tuple[Tensor, TransformDraws]:
    spectra, draws = [], []
    for pair in pairs:
        generator = pair_generator(job.seed, pair, restart)
        noise = torch.randn(spectrum_shape(job.image_size), generator=generator)
        spectra.append(noise * job.settings.start_deviation)
        draws.append(draw_transforms(job.settings, generator=generator))
    device = job.classifier.device
    return torch.stack(spectra).to(device).requires_grad_(), join_draws(draws).to(device)


def _scores(job: _Job, batch: _Batch, images: Tensor) -> _Scores:
    features, logits = job.classifier.features_and_logits(job.classifier.normalize(images))
    similarity = None
    if job.guide is not None and batch.directions is not None:
        embeddings = job.guide.encode_images(images).to(batch.directions.device)
        similarity = functional.cosine_similarity(embeddings, batch.directions, dim=1)
    return _Scores(
        activation=features.gather(1, batch.neurons[:, None])[:, 0],
        class_logit=logits.gather(1, batch.classes[:, None])[:, 0],
        similarity=similarity,
    )


def _loss(job: _Job, scores: _Scores) -> Tensor:
    score = pair_score(scores.activation, scores.class_logit, class_weight=job.class_weight)
    # A sum, not a mean: the gradient of a picture must not depend on how many there are.
    return illusion_loss(score, scores.similarity, guide_offset=job.settings.guide_offset).sum()


def _make(job: _Job, pairs: Sequence[Pair], restart: int) -> tuple[list[Illusion], list[bool]]:
    """Pictures of one chunk, and whether each rose above the activation of its start."""
    settings, batch = job.settings, _batch(job, pairs)
    spectra, draws = _start(job, pairs, restart)
    with torch.no_grad():
        before = _scores(job, batch, images_from(spectra, job.scale)).activation
    optimizer = torch.optim.AdamW(
        [spectra], lr=settings.learning_rate, betas=_BETAS, weight_decay=settings.weight_decay
    )
    history = []
    warm_steps = round(settings.warm_up * settings.steps)
    for step in range(settings.steps):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * learning_rate_factor(step, settings)
        with redirected_gradients() if step < warm_steps else nullcontext():
            images = apply_transforms(images_from(spectra, job.scale), draws.affines[step], draws.colours[step])
            scores = _scores(job, batch, images)
            # Only the spectra: no gradient of any weight is computed, whatever the guide is made of.
            (spectra.grad,) = torch.autograd.grad(_loss(job, scores), [spectra])
        optimizer.step()
        history.append(scores.activation.detach())
    return _finish(job, batch, images_from(spectra.detach(), job.scale), before, torch.stack(history, 1), restart)


def learning_rate_factor(step: int, settings: IllusionSettings) -> float:
    """Cosine from 1 at the first step to `final_learning_rate` at the last."""
    part = step / max(1, settings.steps - 1)
    low = settings.final_learning_rate
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * part))


def _finish(
    job: _Job, batch: _Batch, images: Tensor, before: Tensor, history: Tensor, restart: int
) -> tuple[list[Illusion], list[bool]]:
    with torch.no_grad():
        scores = _scores(job, batch, images)
        maps = job.classifier.activation_maps(job.classifier.normalize(images), batch.neurons)
        masks = pixel_masks(maps, image_size=job.image_size).cpu()
    similarity = [None] * len(images) if scores.similarity is None else scores.similarity.tolist()
    illusions = [
        Illusion(
            neuron=int(batch.neurons[row]),
            class_index=int(batch.classes[row]),
            image=images[row].cpu(),
            pixel_mask=masks[row],
            activation=float(scores.activation[row]),
            class_logit=float(scores.class_logit[row]),
            guide_similarity=similarity[row],
            restarts=restart,
            history=history[row].cpu(),
        )
        for row in range(len(images))
    ]
    return illusions, (scores.activation > before).tolist()


def _with_restarts(illusion: Illusion, restarts: int) -> Illusion:
    return Illusion(
        neuron=illusion.neuron,
        class_index=illusion.class_index,
        image=illusion.image,
        pixel_mask=illusion.pixel_mask,
        activation=illusion.activation,
        class_logit=illusion.class_logit,
        guide_similarity=illusion.guide_similarity,
        restarts=restarts,
        history=illusion.history,
    )


def _probe(job: _Job, one: _Batch, count: int) -> Tensor:
    batch = _Batch(
        neurons=one.neurons.expand(count),
        classes=one.classes.expand(count),
        directions=None if one.directions is None else one.directions.expand(count, -1),
    )
    spectra = torch.zeros((count, *spectrum_shape(job.image_size)), device=job.scale.device, requires_grad=True)
    with redirected_gradients():
        return _loss(job, _scores(job, batch, images_from(spectra, job.scale)))
