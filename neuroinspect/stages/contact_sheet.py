"""Several pictures with a caption each on one sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont

_SIDE: Final = 224
_GAP: Final = 12
_LINE: Final = 18
_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """Pictures that stand one below the other, their title, and a line in smaller print under it."""

    pictures: tuple[Image.Image, ...]
    title: str
    note: str = ""


def contact_sheet(cells: Sequence[Cell]) -> Image.Image:
    """The cells side by side; every picture is brought to the same size.

    Args:
        cells: at least one, with as many pictures each.

    Returns:
        An RGB picture; the same cells give the same pixels.
    """
    rows = len(cells[0].pictures)
    width = _GAP + len(cells) * (_SIDE + _GAP)
    sheet = Image.new("RGB", (width, _GAP + 2 * _LINE + rows * (_SIDE + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, cell in enumerate(cells):
        left = _GAP + column * (_SIDE + _GAP)
        for line, (text, ink, size) in enumerate(((cell.title, _INK, 15), (cell.note, _FAINT, 12))):
            font = ImageFont.load_default(size)
            pen.text((left, _GAP // 2 + line * _LINE), _cut(text, font), fill=ink, font=font)
        for row, picture in enumerate(cell.pictures):
            top = _GAP + 2 * _LINE + row * (_SIDE + _GAP)
            sheet.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (left, top))
    return sheet


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of a line as stands over a picture."""
    if font.getlength(text) <= _SIDE:
        return text
    while text and font.getlength(f"{text}…") > _SIDE:
        text = text[:-1]
    return f"{text}…"
