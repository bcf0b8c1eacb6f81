"""Pictures inside the page: read, made small, and written as data URIs."""

import base64
import io
import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InlinePicture:
    """A picture as a data URI, with its size in pixels."""

    uri: str
    width: int
    height: int


def inline_picture(path: Path | None, *, side: int) -> InlinePicture | None:
    """Read a picture and make it small enough for the page.

    Args:
        path: the picture; None gives None.
        side: longest side, pixels; smaller pictures keep their size.

    Returns:
        None where the file is missing or cannot be decoded: the page then says so in its place.
    """
    if path is None:
        return None
    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (2 * side, 2 * side))
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        log.warning("the report goes without %s: %s", path, error)
        return None
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=86, subsampling=0, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return InlinePicture(f"data:image/jpeg;base64,{text}", picture.width, picture.height)
