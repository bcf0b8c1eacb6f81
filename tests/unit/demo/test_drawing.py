"""The drawn pictures are the same bytes everywhere."""

import hashlib

import numpy as np

from neuroinspect.demo.drawing import OBJECTS, draw, draw_integers, neutral_scenes, scene_keys


def test_a_seed_gives_these_bytes_on_any_machine() -> None:
    pictures = draw(neutral_scenes(3, "train", 300))
    assert hashlib.sha256(pictures.tobytes()).hexdigest() == (
        "74dda9f610545c874409218ea0296a41d3487bd7ced3a6fd134e5c272f83e814"
    )


def test_a_picture_does_not_depend_on_how_many_are_drawn() -> None:
    assert np.array_equal(draw(neutral_scenes(1, "judge", 300))[:5], draw(neutral_scenes(1, "judge", 5)))


def test_streams_and_seeds_are_independent() -> None:
    keys = [scene_keys(1, "train", 1000), scene_keys(1, "judge", 1000), scene_keys(2, "train", 1000)]
    assert len(np.unique(np.concatenate(keys))) == 3000


def test_object_background_and_colour_are_independent_in_neutral_scenes() -> None:
    scenes = neutral_scenes(0, "train", 6000)
    assert np.array_equal(np.bincount(scenes.objects), [1000] * len(OBJECTS))
    for other in (scenes.backgrounds, scenes.colours):
        table = np.histogram2d(scenes.objects, other, bins=6)[0]
        assert abs(table / 6000 - 1 / 36).max() < 0.006


def test_integers_fill_their_range_evenly() -> None:
    drawn = draw_integers(scene_keys(0, "x", 7000), 5, -3, 4)
    counts = np.bincount(drawn + 3)
    assert len(counts) == 7
    assert abs(counts - 1000).max() < 150
