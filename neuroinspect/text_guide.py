"""Text guides: what pulls an illusion towards the look of a class.

Any object with `encode_images`, `encode_texts` and `fingerprint` is a guide; OpenClipGuide wraps a model of open_clip.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class TextGuide(Protocol):
    """Pictures and texts in one space."""

    @property
    def fingerprint(self) -> str:
        """Names the guide and its weights; part of the hash of every illusion."""
        ...

    def encode_images(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) of images (N, 3, H, W) in [0, 1]; differentiable, any scale."""
        ...

    def encode_texts(self, texts: list[str]) -> Tensor:
        """Embeddings (T, D), any scale."""
        ...
