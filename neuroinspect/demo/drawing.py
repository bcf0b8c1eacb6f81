"""Draw the scenes of the embedded scenario: an object in a colour before a background, 64 x 64 pixels.

Every pixel is computed with integers from a 64-bit key of the scene, so the same seed gives the same bytes on any
machine and with any version of NumPy. Nothing here knows about labels, splits or cues: see scenario.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IMAGE_SIZE = 64
OBJECTS = ("boat", "house", "tree", "fish", "mug", "star")
BACKGROUNDS = ("water", "sand", "forest", "brick", "night", "snow")
COLOURS = ("red", "yellow", "purple", "orange", "white", "gray")

_RGB = np.array(
    [(205, 45, 45), (230, 210, 60), (130, 60, 170), (235, 135, 40), (238, 238, 238), (128, 128, 128)], dtype=np.int32
)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_CHUNK = 256

Integers = NDArray[np.int64]
Grid = NDArray[np.int32]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """What stands in N scenes: indices into OBJECTS, BACKGROUNDS and COLOURS (N,), and one random key each (N,)."""

    objects: Integers
    backgrounds: Integers
    colours: Integers
    keys: Keys

    def __len__(self) -> int:
        return len(self.keys)


def mix(values: Keys) -> Keys:
    """Scramble 64-bit integers with the finaliser of splitmix64 (Steele et al. 2014, "Fast splittable PRNGs")."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def scene_keys(seed: int, stream: str, count: int) -> Keys:
    """Keys (count,) of one named stream: independent between seeds, streams and indices."""
    start = np.array([seed], dtype=np.uint64) * _GOLDEN
    for letter in stream.encode():
        start = mix(start + np.uint64(letter + 1))
    return mix(start + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)


def draw_integers(keys: Keys, salt: int, low: int, high: int) -> Integers:
    """One integer in [low, high) for each key; another salt gives an independent draw."""
    numbers = mix(keys + np.array(salt + 1, dtype=np.uint64) * _GOLDEN)
    return (numbers % np.uint64(high - low)).astype(np.int64) + low


def neutral_scenes(seed: int, stream: str, count: int) -> Scenes:
    """Scenes in which object, background and colour are independent; objects come in equal numbers."""
    keys = scene_keys(seed, stream, count)
    return Scenes(
        objects=np.arange(count, dtype=np.int64) % len(OBJECTS),
        backgrounds=draw_integers(keys, 1, 0, len(BACKGROUNDS)),
        colours=draw_integers(keys, 2, 0, len(COLOURS)),
        keys=keys,
    )


def draw(scenes: Scenes) -> NDArray[np.uint8]:
    """Pictures (N, 64, 64, 3), RGB, 0 to 255."""
    pictures = np.empty((len(scenes), IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    for start in range(0, len(scenes), _CHUNK):
        rows = slice(start, start + _CHUNK)
        chunk = Scenes(scenes.objects[rows], scenes.backgrounds[rows], scenes.colours[rows], scenes.keys[rows])
        pictures[rows] = _draw_chunk(chunk)
    return pictures


def _draw_chunk(scenes: Scenes) -> NDArray[np.uint8]:
    axis = np.arange(IMAGE_SIZE, dtype=np.int32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    canvas = np.empty((len(scenes), IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.int32)
    for index in range(len(BACKGROUNDS)):
        here = np.flatnonzero(scenes.backgrounds == index)
        if len(here):
            canvas[here] = _paint_background(index, scenes.keys[here], rows, columns)
    size = draw_integers(scenes.keys, 3, 11, 21).astype(np.int32)[:, None, None]
    left = draw_integers(scenes.keys, 4, 22, 43).astype(np.int32)[:, None, None]
    top = draw_integers(scenes.keys, 5, 22, 43).astype(np.int32)[:, None, None]
    mirrored = draw_integers(scenes.keys, 6, 0, 2).astype(np.int32)[:, None, None] * 2 - 1
    across = (columns - left) * 32 * mirrored // size
    down = (rows - top) * 32 // size
    paint = _RGB[scenes.colours][:, None, None, :]
    light = draw_integers(scenes.keys, 7, -22, 23).astype(np.int32)[:, None, None, None]
    shade = (across + down)[..., None] // 4
    for index in range(len(OBJECTS)):
        here = np.flatnonzero(scenes.objects == index)
        if len(here):
            body, detail = _SHAPES[index](across[here], down[here])
            filled = paint[here] + light[here] - shade[here]
            canvas[here] = np.where(body[..., None], filled, canvas[here])
            canvas[here] = np.where(detail[..., None], filled * 2 // 5, canvas[here])
    exposure = draw_integers(scenes.keys, 8, 200, 290).astype(np.int32)[:, None, None, None]
    canvas = canvas * exposure // 256 + _noise(scenes.keys, 9, rows, columns, 24)[..., None] - 12
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _noise(keys: Keys, salt: int, rows: Grid, columns: Grid, high: int) -> Grid:
    cells = (rows.astype(np.uint64) << np.uint64(16)) + columns.astype(np.uint64)
    start = mix(keys + np.array(salt + 1, dtype=np.uint64) * _GOLDEN)[:, None, None]
    return (mix(start + cells[None] * _GOLDEN) % np.uint64(high)).astype(np.int32)


def _paint_background(index: int, keys: Keys, rows: Grid, columns: Grid) -> Grid:
    def rgb(red: int, green: int, blue: int) -> Grid:
        return np.array((red, green, blue), dtype=np.int32)

    def number(salt: int, low: int, high: int) -> Grid:
        return draw_integers(keys, salt, low, high).astype(np.int32)[:, None, None]

    fine = _noise(keys, 10, rows, columns, 64)
    name = BACKGROUNDS[index]
    if name == "water":
        wave = np.abs((columns + number(11, 0, 32)) % 16 - 8) // 2
        crest = (rows + wave + number(12, 0, 16)) % number(13, 7, 12) < 2
        return np.where(crest[..., None], rgb(120, 175, 220), rgb(35, 95, 165)) + fine[..., None] // 4
    if name == "sand":
        dune = np.abs((rows * 2 + columns + number(11, 0, 64)) % 48 - 24) // 2
        sand: Grid = rgb(205, 175, 120) + dune[..., None] - (fine[..., None] * 2 // 3)
        return sand
    if name == "forest":
        trunk = (columns + number(11, 0, 20)) % number(12, 11, 17) < 4
        leaves = _noise(keys, 14, rows // 4, columns // 4, 70)
        ground = np.where(trunk[..., None], rgb(85, 55, 30), rgb(25, 80, 30))
        return ground + np.where(trunk, 0, leaves)[..., None] * rgb(1, 2, 1) // 3
    if name == "brick":
        height, width = 8, 16
        row = (rows + number(11, 0, height)) // height
        column = columns + number(12, 0, width) + (row % 2) * (width // 2)
        mortar = ((rows + number(11, 0, height)) % height == 0) | (column % width == 0)
        tone = (row * 7 + column // width * 13) % 5 * 8
        return (
            np.where(mortar[..., None], rgb(175, 165, 155), rgb(150, 70, 55) + tone[..., None]) + fine[..., None] // 6
        )
    if name == "night":
        lights = _noise(keys, 14, rows // 2, columns // 2, 40) == 0
        sky = rgb(12, 14, 45) + (rows // 3)[None, :, :, None]
        return np.where(lights[..., None], rgb(235, 230, 190), sky) + fine[..., None] // 10
    flakes = _noise(keys, 14, rows // 3, columns // 3, 9) == 0
    drift = np.abs((rows + columns // 2 + number(11, 0, 64)) % 40 - 20)
    return np.where(flakes[..., None], rgb(250, 252, 255), rgb(196, 208, 226) + drift[..., None]) - fine[..., None] // 6


Shape = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def _boat(across: Grid, down: Grid) -> Shape:
    hull = (down >= 8) & (down <= 20) & (np.abs(across) <= 34 - down)
    sail = (across > 1) & (down >= -26) & (down <= 5) & (across * 4 <= (down + 26) * 3)
    mast = (np.abs(across) <= 1) & (down >= -28) & (down < 8)
    return hull | sail, mast


def _house(across: Grid, down: Grid) -> Shape:
    body = (np.abs(across) <= 18) & (down >= -4) & (down <= 22)
    roof = (down >= -24) & (down < -4) & (np.abs(across) <= (down + 24) * 5 // 4)
    door = (np.abs(across) <= 4) & (down >= 8) & (down <= 22)
    return body | roof, door


def _tree(across: Grid, down: Grid) -> Shape:
    upper = (down >= -28) & (down <= -6) & (np.abs(across) * 4 <= (down + 28) * 3)
    lower = (down >= -12) & (down <= 12) & (np.abs(across) * 6 <= (down + 14) * 5)
    trunk = (np.abs(across) <= 4) & (down > 12) & (down <= 26)
    return upper | lower, trunk


def _fish(across: Grid, down: Grid) -> Shape:
    body = across * across * 144 + down * down * 441 <= 441 * 144
    tail = (across >= 15) & (across <= 30) & (np.abs(down) <= across - 14)
    eye = (across + 13) ** 2 + (down + 3) ** 2 <= 6
    return body | tail, eye


def _mug(across: Grid, down: Grid) -> Shape:
    body = (across >= -18) & (across <= 10) & (np.abs(down) <= 19)
    ring = (across - 12) ** 2 + down * down
    handle = (across > 10) & (ring <= 144) & (ring >= 49)
    rim = (across >= -18) & (across <= 10) & (down >= -19) & (down <= -16)
    return body | handle, rim


def _star(across: Grid, down: Grid) -> Shape:
    edges = ((0, 100), (95, 31), (59, -81), (-59, -81), (-95, 31))
    inside = sum(((across * x - down * y) <= 1000).astype(np.int32) for x, y in edges)
    near = across * across + down * down <= 27 * 27
    return (inside >= 4) & near, np.zeros_like(near)


_SHAPES = (_boat, _house, _tree, _fish, _mug, _star)
