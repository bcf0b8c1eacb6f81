import base64
import io

import numpy as np
import pytest
from PIL import Image

from neuroinspect.report.pictures import inline_picture


def save(path, width, height, **options):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def decoded(picture):
    assert picture.uri.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2])))


def test_a_large_picture_is_scaled_to_the_longest_side(tmp_path):
    picture = inline_picture(save(tmp_path / "a.png", 400, 200), side=128)
    assert (picture.width, picture.height) == (128, 64)
    assert decoded(picture).size == (128, 64)


def test_a_small_picture_keeps_its_size(tmp_path):
    assert decoded(inline_picture(save(tmp_path / "a.png", 30, 20), side=128)).size == (30, 20)


def test_a_picture_on_its_side_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decoded(inline_picture(save(tmp_path / "a.jpg", 60, 20, exif=exif), side=128)).size == (20, 60)


def test_the_same_picture_gives_the_same_bytes(tmp_path):
    path = save(tmp_path / "a.png", 90, 90)
    assert inline_picture(path, side=64) == inline_picture(path, side=64)


def test_a_picture_with_transparency_is_flattened(tmp_path):
    Image.new("RGBA", (20, 20), (200, 10, 10, 0)).save(tmp_path / "a.png")
    assert decoded(inline_picture(tmp_path / "a.png", side=64)).mode == "RGB"


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n1234"])
def test_what_cannot_be_decoded_is_none(tmp_path, content):
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    assert inline_picture(path, side=64) is None


def test_no_path_is_none():
    assert inline_picture(None, side=64) is None
