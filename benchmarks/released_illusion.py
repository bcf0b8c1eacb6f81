"""The released loop of CLIP-Illusion, literally: the rival of illusion_speed.py.

It keeps what costs time and what couples the pictures of a batch: weights that ask for gradients, one random transform for the
whole batch, constants made in every step, the text encoded for every call, and a loss in which (B,) meets (B, 1). The picture
space, the optimiser and the transforms are those of the paper, as everywhere here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuroinspect.settings import GuideSettings, IllusionSettings, PreprocessingSettings

TEMPLATES = GuideSettings().templates
_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """Networks as the released code uses them, their weights asking for gradients."""

    module: nn.Module
    decision_layer: nn.Linear
    preprocessing: PreprocessingSettings
    clip: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    clip_size: int
    clip_normalisation: tuple[tuple[float, ...], tuple[float, ...]]
    settings: IllusionSettings

    def draw(self, neurons: Sequence[int], class_index: int, class_text: str, *, seed: int) -> Tensor:
        """Pictures (N, 3, H, W) of several neurons in one class."""
        side, settings = self.preprocessing.image_size, self.settings
        generator = torch.Generator().manual_seed(seed)
        spectra = torch.randn((len(neurons), 3, side, side // 2 + 1, 2), generator=generator) * settings.start_deviation
        spectra.requires_grad_()
        texts = self.tokenizer([template.replace("{}", class_text) for template in TEMPLATES])
        direction = functional.normalize(self.clip.encode_text(texts), dim=1).mean(0, keepdim=True).detach()
        optimizer = torch.optim.AdamW(
            [spectra], lr=settings.learning_rate, betas=(0.5, 0.99), weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, settings.steps, eta_min=settings.learning_rate * settings.final_learning_rate
        )
        caught: list[Tensor] = []
        handle = self.decision_layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        try:
            for step in range(settings.steps):
                images = self._transform(self._images(spectra), 1 - step / settings.steps, generator)
                caught.clear()
                logits = self.module(_normalise(images, self.preprocessing.mean, self.preprocessing.std))
                activation = torch.stack([caught[0][row, neuron] for row, neuron in enumerate(neurons)])[:, None]
                score = activation + settings.class_weight * logits[:, [class_index]]
                cosine = functional.cosine_similarity(self._embed(images), direction)
                loss = (-(cosine + settings.guide_offset) * score).mean()  # (N,) times (N, 1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        finally:
            handle.remove()
        return self._images(spectra).detach()

    def _images(self, spectra: Tensor) -> Tensor:
        side = spectra.shape[2]
        rows, columns = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]
        scale = 1 / (rows**2 + columns**2).clamp_min(side**-2.0) ** (self.settings.decay_power / 2)
        colours = torch.fft.irfft2(torch.view_as_complex(spectra) * scale, s=(side, side), norm="ortho")
        matrix = torch.tensor(_COLOURS)
        matrix = matrix / matrix.norm(dim=0).max()
        return torch.sigmoid(torch.einsum("rc,nchw->nrhw", matrix, colours))

    def _transform(self, images: Tensor, fading: float, generator: torch.Generator) -> Tensor:
        """One draw for the whole batch."""
        draw, settings = torch.rand(5, generator=generator), self.settings
        angle = math.radians(settings.rotation) * (2 * float(draw[0]) - 1)
        low, high = settings.scale
        grown = low + draw[1:3] * (high - low)
        moved = (draw[3:5] * 2 - 1) * settings.shift * 2
        turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) / grown
        affine = torch.cat([turn, -(turn @ moved[:, None])], 1)[None].expand(len(images), -1, -1)
        tint = torch.randn((len(images), 3, 1, 1), generator=generator) * settings.colour_jitter * fading
        grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
        return functional.grid_sample(images + tint, grid, align_corners=False)

    def _embed(self, images: Tensor) -> Tensor:
        if images.shape[-1] != self.clip_size:
            images = functional.interpolate(images, size=(self.clip_size,) * 2, mode="bicubic", antialias=True)
        embeddings: Tensor = self.clip.encode_image(_normalise(images, *self.clip_normalisation))  # type: ignore[operator]
        return embeddings


def _normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    middle, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return (images - middle) / spread
