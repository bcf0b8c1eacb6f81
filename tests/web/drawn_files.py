"""What the stages of a drawn run have in common: its size, files of pictures, and the record of a finished stage."""

import hashlib
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neuroinspect.artifacts import RunFolder, write_json

POOL = 24


@dataclass(frozen=True)
class Size:
    """How much a drawn run holds.

    Attributes:
        candidates: neurons to look at, 4 to 300.
        drawn: how many of them have pictures; None: all.
        real: real pictures of each.
        sides: of an illusion and of a real picture, pixels.
    """

    candidates: int = 12
    drawn: int | None = None
    real: int = 3
    sides: tuple[int, int] = (64, 48)


def finish(run: RunFolder, stage: str, summary: dict[str, Any]) -> None:
    """Write the record that says a stage is whole."""
    record = {"stage": stage, "inputs_hash": hashlib.sha256(stage.encode()).hexdigest(), "version": 1}
    write_json(run.stage(stage) / "stage.json", {**record, "summary": summary})


@cache
def pictures(side: int) -> tuple[bytes, ...]:
    """A few different PNG files: soft colours with grain, about as large as real ones of that side."""
    generator = np.random.default_rng(side)
    made = []
    for _ in range(POOL):
        coarse = Image.fromarray(generator.integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize((side, side))
        grain = generator.integers(-12, 13, (side, side, 3))
        pixels = (np.asarray(coarse, dtype=np.int64) + grain).clip(0, 255).astype(np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        made.append(buffer.getvalue())
    return tuple(made)


def write_file(path: Path, data: bytes) -> None:
    """Write a file."""
    # Not artifacts.write_bytes: thousands of files need not reach the disk before the test goes on.
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
