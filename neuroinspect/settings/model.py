"""Which classifier, and how a picture becomes its input."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from neuroinspect.settings.base import Settings


class PreprocessingSettings(Settings):
    """How a picture becomes network input: resize the short side, crop the centre, scale to [0, 1], normalise.

    A network that takes one channel has one value in `mean` and in `std`: its pictures are made grey.
    """

    image_size: int = Field(default=224, ge=8, description="side of the square the network sees, pixels")
    resize: int | None = Field(
        default=None, ge=8, description="short side before the centre crop; image_size if left out"
    )
    mean: tuple[float, ...] = Field(
        default=(0.485, 0.456, 0.406),
        description="of each channel: three values, or one for a network of grey pictures",
    )
    std: tuple[float, ...] = Field(default=(0.229, 0.224, 0.225), description="of each channel, as many as in mean")
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"

    @model_validator(mode="after")
    def _check(self) -> "PreprocessingSettings":
        if len(self.mean) not in {1, 3} or len(self.std) != len(self.mean):
            raise ValueError(
                f"mean and std must both have 3 values (RGB) or both 1 (grey), got {len(self.mean)} and {len(self.std)}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive in every channel, got {self.std}")
        if self.resize is not None and self.resize < self.image_size:
            raise ValueError(f"resize ({self.resize}) must not be smaller than image_size ({self.image_size})")
        return self

    @property
    def channels(self) -> int:
        """Channels of the network input: 3, or 1 (grey)."""
        return len(self.mean)


class ModelSettings(Settings):
    """Which classifier to debug."""

    spec: str = Field(
        description="timm:NAME, torchvision:NAME, package.module:factory or models:/NAME@ALIAS of the registry"
    )
    weights: Path | None = Field(
        default=None, description="safetensors file or state dict; none: the spec's own weights"
    )
    num_classes: int | None = Field(default=None, ge=2)
    python_path: Path | None = Field(default=None, description="folder to import package.module:factory from")
    class_names: tuple[str, ...] | None = Field(default=None, description="in the order of the logits")
    preprocessing: PreprocessingSettings | None = None
    origin: str | None = Field(default=None, description="the registered version that spec and weights were taken from")
