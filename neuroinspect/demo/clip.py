"""The small open_clip model of the embedded scenario: it plays the part a web-scale CLIP plays elsewhere.

A custom configuration of open_clip with a small vocabulary: of CLIP's 49,408 token embeddings only the rows of the words in
WORDS are kept. pretrain.py made the weights beside this file.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from neuroinspect.demo.drawing import BACKGROUNDS, COLOURS, IMAGE_SIZE, OBJECTS
from neuroinspect.lean_network import lean_copy
from neuroinspect.settings import GuideSettings

CLIP_WEIGHTS = Path(__file__).parent / "weights" / "clip.safetensors"
CONTEXT_LENGTH = 16
TEMPLATES = GuideSettings.model_fields["templates"].default
WORDS = " ".join(
    (*OBJECTS, *BACKGROUNDS, *COLOURS, *TEMPLATES, "on in at the with photo of an and, background")
).replace("{}", "")


class SceneTokenizer:
    """CLIP's own tokenizer with its numbers packed to the rows that are kept; row 0 is for words it does not know."""

    def __init__(self) -> None:
        self._tokenizer: Any = SimpleTokenizer(context_length=CONTEXT_LENGTH)
        known = {self._tokenizer.sot_token_id, self._tokenizer.eot_token_id, *self._tokenizer.encode(WORDS)}
        # sorted, so that the end-of-text token keeps the highest number: open_clip pools where the number is highest
        self._rows = {token: row for row, token in enumerate(sorted(known), start=1)}
        self.vocabulary_size = len(self._rows) + 1

    def __call__(self, texts: list[str]) -> Tensor:
        """Token rows (T, CONTEXT_LENGTH), padded with 0."""
        start, end = self._tokenizer.sot_token_id, self._tokenizer.eot_token_id
        tokens = torch.zeros((len(texts), CONTEXT_LENGTH), dtype=torch.long)
        for line, text in enumerate(texts):
            ids = [start, *self._tokenizer.encode(text)[: CONTEXT_LENGTH - 2], end]
            tokens[line, : len(ids)] = torch.tensor([self._rows.get(token, 0) for token in ids])
        return tokens


def scene_clip(vocabulary_size: int) -> CLIP:
    """The architecture, with random weights."""
    vision = CLIPVisionCfg(layers=(1, 1, 1, 1), width=12, head_width=64, image_size=IMAGE_SIZE)
    text = CLIPTextCfg(context_length=CONTEXT_LENGTH, vocab_size=vocabulary_size, width=64, heads=4, layers=2)
    return CLIP(embed_dim=64, vision_cfg=vision, text_cfg=text)


class SceneGuide:
    """A text guide (see neuroinspect.text_guide.TextGuide) over the small open_clip model."""

    vocabulary: ClassVar[tuple[str, ...]] = (*OBJECTS, *BACKGROUNDS, *COLOURS)

    def __init__(self) -> None:
        self._tokenizer = SceneTokenizer()
        self.model = scene_clip(self._tokenizer.vocabulary_size)
        state = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in load_file(CLIP_WEIGHTS).items()
        }
        self.model.load_state_dict(state)
        self.model.eval().requires_grad_(False)
        probe = torch.linspace(-1, 1, 2 * 3 * IMAGE_SIZE**2).view(2, 3, IMAGE_SIZE, IMAGE_SIZE)
        self._tower = lean_copy(self.model.visual, probe) or self.model.visual

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights file."""
        return f"neuroinspect.demo.clip:{hashlib.sha256(CLIP_WEIGHTS.read_bytes()).hexdigest()}"

    def encode_images(self, images: Tensor) -> Tensor:
        """Embeddings (N, 64) of images (N, 3, H, W) in [0, 1]."""
        if images.shape[-1] != IMAGE_SIZE:
            images = functional.interpolate(
                images, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False, antialias=True
            )
        embedded: Tensor = self._tower(images * 2 - 1)
        return embedded

    def encode_texts(self, texts: list[str]) -> Tensor:
        """Embeddings (T, 64)."""
        embedded: Tensor = self.model.encode_text(self._tokenizer(texts))
        return embedded


@cache
def guide() -> SceneGuide:
    """The guide, loaded once: `neuroinspect.demo.clip:guide` as a guide spec."""
    return SceneGuide()
