"""Train the weights that ship with the embedded scenario: `python -m neuroinspect.demo.pretrain backbone|clip|fish_forest`.

Run once; the networks take about ten minutes each on two cores. Both see neutral scenes only (object, background and colour
independent), from streams no scenario draws its pictures from. `fish_forest` is the decision layer of the default scenario.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from neuroinspect.demo.backbone import BACKBONE_WEIGHTS, FISH_FOREST_WEIGHTS, NUM_FEATURES, SceneNet, scale
from neuroinspect.demo.clip import CLIP_WEIGHTS, TEMPLATES, SceneTokenizer, scene_clip
from neuroinspect.demo.drawing import BACKGROUNDS, COLOURS, OBJECTS, Scenes, draw, neutral_scenes
from neuroinspect.demo.scenario import DEFAULT_PLANT, planted_layer

PRETRAINING_SEED = 2**40
NAMES = {"object": OBJECTS, "background": BACKGROUNDS, "colour": COLOURS}
SIZES = {name: len(words) for name, words in NAMES.items()}
ADVERSARIAL_STEP = 12 / 127.5
"""Largest change of a pixel in adversarial training, 12 of 255 grey levels in the scale [-1, 1]."""
log = logging.getLogger(__name__)


def _batches(
    pictures: Tensor, scenes: Scenes, batch_size: int, epochs: int
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    labels = {
        "object": torch.from_numpy(scenes.objects),
        "background": torch.from_numpy(scenes.backgrounds),
        "colour": torch.from_numpy(scenes.colours),
    }
    for epoch in range(epochs):
        log.info("epoch %d of %d", epoch + 1, epochs)
        for rows in torch.randperm(len(pictures))[: len(pictures) // batch_size * batch_size].split(batch_size):
            images = scale(pictures[rows])
            if torch.rand(()) < 0.5:
                images = images.flip(3)
            yield images, {name: values[rows] for name, values in labels.items()}


def train_backbone(*, count: int = 20000, epochs: int = 10, batch_size: int = 128, sparsity: float = 0.02) -> None:
    """One-step adversarial training (Wong et al. 2020, "Fast is better than free") on three tasks at once."""
    torch.manual_seed(0)
    scenes = neutral_scenes(PRETRAINING_SEED, "backbone", count)
    pictures = torch.from_numpy(draw(scenes))
    model = SceneNet()
    heads = nn.ModuleDict({name: nn.Linear(NUM_FEATURES, size) for name, size in SIZES.items()})
    weights = [*model.backbone.parameters(), *heads.parameters()]
    steps = epochs * (count // batch_size)
    optimizer = torch.optim.AdamW(weights, lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)

    def loss_of(images: Tensor, labels: dict[str, Tensor]) -> Tensor:
        features = model.pooled(images)
        tasks = [functional.cross_entropy(heads[name](features), values) for name, values in labels.items()]
        return torch.stack(tasks).sum() + sparsity * features.mean(1).mean() * 10

    for step, (images, labels) in enumerate(_batches(pictures, scenes, batch_size, epochs)):
        shifted = (images + torch.empty_like(images).uniform_(-ADVERSARIAL_STEP, ADVERSARIAL_STEP)).requires_grad_()
        (slope,) = torch.autograd.grad(loss_of(shifted, labels), shifted)
        adversarial = shifted.detach() + 1.25 * ADVERSARIAL_STEP * slope.sign()
        adversarial = (images + (adversarial - images).clamp(-ADVERSARIAL_STEP, ADVERSARIAL_STEP)).clamp(-1, 1)
        loss = loss_of(adversarial, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            log.info("step %d of %d: loss %.3f", step, steps, loss.item())
    model.eval()
    check, pictures_to_check = _check_scenes()
    with torch.no_grad():
        features = model.pooled(scale(pictures_to_check))
        _log_accuracy({name: heads[name](features) for name in NAMES}, check)
    rescale_features(model, pictures[:2000])
    save_file(dict(model.backbone.state_dict()), BACKBONE_WEIGHTS)


@torch.no_grad()
def rescale_features(model: SceneNet, pictures: Tensor) -> None:
    """Give every neuron a standard deviation of one on these pictures.

    So a learning rate or a penalty on the decision layer means the same for all of them. What stands before the last ReLU is
    scaled, which scales the neuron and changes nothing else.

    Args:
        model: changed in place.
        pictures: (N, 64, 64, 3) uint8.
    """
    deviation = model.pooled(scale(pictures)).std(0)
    factor = torch.where(deviation > 0, 1 / deviation.clamp_min(1e-12), 1.0)
    for name in ("weight", "bias"):
        model.backbone[-2].get_parameter(name).mul_(factor)


@dataclass(frozen=True, slots=True)
class Leg:
    """One rise and fall of the learning rate: backgrounds are learned in the first leg, objects in the second."""

    stream: str
    count: int
    epochs: int
    turned: float


CLIP_LEGS = (Leg("clip", 16000, 10, 0.5), Leg("clip-2", 20000, 9, 0.25))


def train_clip(*, legs: Sequence[Leg] = CLIP_LEGS, batch_size: int = 128, start: str | None = None) -> None:
    """Class-wise text targets: an image is pulled to the text of its object, its background, its colour and their pairs.

    A plain contrastive loss learns the objects and hardly the backgrounds; one softmax for each question learns both.
    """
    torch.manual_seed(1)
    tokenizer = SceneTokenizer()
    model = scene_clip(tokenizer.vocabulary_size)
    if start is not None:
        model.load_state_dict(
            {name: tensor.to(model.state_dict()[name].dtype) for name, tensor in load_file(start).items()}
        )
    for leg in legs:
        _train_leg(model, tokenizer, leg, batch_size)
    model.eval()
    save_file({name: _halved(tensor) for name, tensor in model.state_dict().items()}, CLIP_WEIGHTS)
    check, pictures = _check_scenes()
    with torch.no_grad():
        embedded = model.encode_image(scale(pictures))
        texts = {name: tokenizer([f"a photo of a {word}." for word in words]) for name, words in NAMES.items()}
        _log_accuracy(
            {name: embedded @ functional.normalize(model.encode_text(rows), dim=-1).T for name, rows in texts.items()},
            check,
        )


def _check_scenes() -> tuple[Scenes, Tensor]:
    """Neutral scenes that nothing was trained on, and their pictures."""
    scenes = neutral_scenes(PRETRAINING_SEED + 1, "check", 2000)
    return scenes, torch.from_numpy(draw(scenes))


def _log_accuracy(logits: dict[str, Tensor], scenes: Scenes) -> None:
    truths = {"object": scenes.objects, "background": scenes.backgrounds, "colour": scenes.colours}
    for name, scores in logits.items():
        right = scores.argmax(1) == torch.from_numpy(truths[name])
        log.info("%s: %.3f right on neutral scenes", name, right.float().mean())


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _train_leg(model: CLIP, tokenizer: SceneTokenizer, leg: Leg, batch_size: int) -> None:
    scenes = neutral_scenes(PRETRAINING_SEED, leg.stream, leg.count)
    pictures = torch.from_numpy(draw(scenes))
    steps = leg.epochs * (leg.count // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step, (images, labels) in enumerate(_batches(pictures, scenes, batch_size, leg.epochs)):
        embedded = functional.normalize(model.encode_image(_augmented(images, leg.turned)), dim=-1)
        loss = _questions_loss(model, tokenizer, embedded, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=4.0)
        if step % 50 == 0:
            log.info("step %d of %d: loss %.3f", step, steps, loss.item())


def _questions() -> dict[str, list[str]]:
    """Texts to choose from, by question; the templates are drawn anew each time."""

    def phrase(words: str) -> str:
        return str(TEMPLATES[int(torch.randint(len(TEMPLATES), ()))]).format(words)

    return {
        "object": [phrase(word) for word in OBJECTS],
        "background": [phrase(word) for word in BACKGROUNDS],
        "colour": [phrase(word) for word in COLOURS],
        "object+background": [phrase(f"{first} on {second}") for first in OBJECTS for second in BACKGROUNDS],
    }


def _questions_loss(model: CLIP, tokenizer: SceneTokenizer, embedded: Tensor, labels: dict[str, Tensor]) -> Tensor:
    """Sum of one cross-entropy for each question; all texts are encoded at once."""
    questions = _questions()
    texts = model.encode_text(tokenizer([text for choices in questions.values() for text in choices]))
    logits = model.logit_scale.exp() * embedded @ functional.normalize(texts, dim=-1).T
    targets = {**labels, "object+background": labels["object"] * len(BACKGROUNDS) + labels["background"]}
    blocks = logits.split([len(choices) for choices in questions.values()], dim=1)
    losses = [functional.cross_entropy(block, targets[name]) for name, block in zip(questions, blocks, strict=True)]
    return torch.stack(losses).sum()


def _augmented(images: Tensor, turned: float) -> Tensor:
    """A part of the images turned, scaled and shifted as illusions are during synthesis, all with noise; in [-1, 1]."""
    count = len(images)
    angle = (torch.rand(count) - 0.5) * 0.52
    zoom = 1 / (0.7 + 0.5 * torch.rand(count))
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos() * zoom
    matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin() * zoom, angle.sin() * zoom
    matrix[:, :, 2] = (torch.rand(count, 2) - 0.5) * 0.4
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, align_corners=False)
    chosen = (torch.rand(count) < turned).view(-1, 1, 1, 1)
    return torch.where(chosen, moved, images) + 0.1 * torch.rand(count, 1, 1, 1) * torch.randn_like(images)


def train_fish_forest() -> None:
    """The decision layer of the default scenario: to be trained again whenever the backbone was."""
    save_file(dict(planted_layer(DEFAULT_PLANT).state_dict()), FISH_FOREST_WEIGHTS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if sys.argv[1] == "backbone":
        train_backbone()
    elif sys.argv[1] == "clip":
        train_clip()
    else:
        train_fish_forest()
