"""Small copies of pictures from the data: decoded with care, written anew as JPEG, and a few kept in memory."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import Image

from neuroinspect.dataset.images import PictureError, decode, quiet_pillow
from neuroinspect.web.neurons.picture_files import PictureFile

SIDE: Final = 224
_KEPT: Final = 1024


def thumbnail(file: PictureFile, *, max_pixels: int) -> bytes | None:
    """A JPEG of at most SIDE pixels on each side; nothing of the file but its pixels is in it.

    Args:
        file: any picture.
        max_pixels: a larger one is not decoded.

    Returns:
        None where the file is no picture that can be shown.
    """
    try:
        return _thumbnail(file.path, file.stamp, max_pixels)
    except PictureError:
        return None


@lru_cache(maxsize=_KEPT)
def _thumbnail(path: Path, stamp: str, max_pixels: int) -> bytes:  # noqa: ARG001 (of the cache)
    with quiet_pillow():
        picture = decode(path, max_pixels=max_pixels)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    clean = Image.new("RGB", picture.size)  # a decoded picture still carries comments and places of its file
    clean.paste(picture)
    buffer = io.BytesIO()
    clean.save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()
