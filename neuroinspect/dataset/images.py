"""Picture files: check them, decode them to RGB, and make them what the network sees.

The preprocessing is the one of torchvision and timm: the short side is resized with antialiasing, the centre cut out
with torchvision's rounding (`(243 - 160) / 2` starts at pixel 42), so figures measured with those libraries come out the
same.
"""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from neuroinspect.errors import DataError
from neuroinspect.preprocessing import normalize
from neuroinspect.settings import PreprocessingSettings

_LONGEST_STRIP = 16
_STRIP_PIXELS = 1 << 18
_THREADS = 4


class PictureError(Exception):
    """A file that is no usable picture; the text is the reason, without the name of the file."""


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What is known of a file before the network sees it.

    Attributes:
        sha256: of the file (hex); "" where it cannot be read.
        pixels_sha256: of the decoded picture (hex), the same for the same picture in another file format or with other
            metadata; "" where it cannot be decoded.
        problem: why the file cannot be used; None: it can.
    """

    sha256: str
    pixels_sha256: str
    problem: str | None


def decode(path: Path, *, max_pixels: int | None = None) -> Image.Image:
    """Read a picture as RGB, turned as its EXIF orientation says.

    Grayscale, palette, RGBA, CMYK and 16 bit pictures are accepted; transparency is dropped, as torchvision's loader
    does.

    Args:
        path: the file.
        max_pixels: refuse a larger picture before it is decoded; None: only Pillow's own limit.

    Raises:
        PictureError: the file is missing, empty, not a picture, damaged or too large.
    """
    try:
        if path.stat().st_size == 0:
            raise PictureError("empty: the file has no bytes")
        with Image.open(path) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise PictureError(f"too large: {image.width} x {image.height} pixels, at most {max_pixels} are read")
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError("not a picture: no known picture format") from error
    except Image.DecompressionBombError as error:
        raise PictureError("too large: over the limit of the picture library") from error
    except FileNotFoundError as error:
        raise PictureError("missing: there is no such file") from error
    except OSError as error:
        if error.errno is not None:
            raise PictureError(f"unreadable: {error.strerror}") from error
        raise PictureError(f"damaged: {error}") from error
    except Exception as error:  # a decoder given damaged bytes raises whatever it stumbles over
        raise PictureError(f"damaged: {type(error).__name__} while decoding") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise PictureError("unsupported: floating-point pixels; convert the picture to 8 or 16 bit")
    if image.mode.startswith("I"):
        values = np.clip(np.asarray(image, dtype=np.int64), 0, 65535) // 257
        image = Image.fromarray(values.astype(np.uint8))
    elif image.mode in {"P", "PA"}:
        image = image.convert("RGBA")
    return image.convert("RGB")


def check_file(path: Path, max_pixels: int) -> FileCheck:
    """Hash a file and decode it once, so that what passes can be read later."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        pixels_sha256 = hash_pixels(decode(path, max_pixels=max_pixels))
    except PictureError as error:
        return FileCheck(sha256, "", str(error))
    except FileNotFoundError:
        return FileCheck("", "", "missing: there is no such file")
    except OSError as error:
        return FileCheck("", "", f"unreadable: {error.strerror}")
    return FileCheck(sha256, pixels_sha256, None)


def hash_pixels(image: Image.Image) -> str:
    """SHA-256 (hex) of size and pixels of an RGB picture, taken in strips: a picture is not held in memory twice."""
    digest = hashlib.sha256(f"{image.width} x {image.height}\n".encode())
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        digest.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return digest.hexdigest()


def check_files(paths: Sequence[Path], *, max_pixels: int) -> Iterator[FileCheck]:
    """Check files in a few threads; results come in the order of the paths."""
    with quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(lambda path: check_file(path, max_pixels), paths)


def cut_out(image: Image.Image, preprocessing: PreprocessingSettings) -> Image.Image:
    """The square the network sees: RGB, image_size x image_size.

    A picture that already has this size is passed on as it is, whatever `resize` says.
    """
    size = preprocessing.image_size
    if image.size == (size, size):
        return image
    from torchvision.transforms import InterpolationMode  # it brings torch's compiler with it: seconds, and 300 MB
    from torchvision.transforms import functional as transforms

    longest = _LONGEST_STRIP * min(image.size)
    if max(image.size) > longest:  # resizing a strip by its short side would fill the memory; only its middle is used
        image = transforms.center_crop(image, [min(image.height, longest), min(image.width, longest)])
    mode = InterpolationMode(preprocessing.interpolation)
    resized = transforms.resize(image, [preprocessing.resize or size], interpolation=mode, antialias=True)
    cropped: Image.Image = transforms.center_crop(resized, [size, size])
    return cropped


def to_tensor(image: Image.Image) -> Tensor:
    """RGB picture to (3, H, W), uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def preprocess(image: Image.Image, preprocessing: PreprocessingSettings) -> Tensor:
    """RGB picture to network input (channels, image_size, image_size), normalised."""
    pixels = to_tensor(cut_out(image, preprocessing)).float() / 255
    return normalize(pixels[None], preprocessing)[0]


def load_images(paths: Sequence[Path], preprocessing: PreprocessingSettings) -> Tensor:
    """Pictures (N, 3, image_size, image_size) in [0, 1], not yet normalised.

    Raises:
        DataError: a file cannot be read; the message names it.
    """
    size = preprocessing.image_size
    batches = list(load_batches(paths, preprocessing, batch_size=max(1, len(paths))))
    return batches[0] if batches else torch.empty((0, 3, size, size))


def load_batches(
    paths: Sequence[Path],
    preprocessing: PreprocessingSettings,
    *,
    batch_size: int,
    sha256: Sequence[str] | None = None,
) -> Iterator[Tensor]:
    """Batches (n, 3, image_size, image_size) in [0, 1], in order; the next batch is decoded while one is used.

    Args:
        paths: the files.
        preprocessing: size, crop and interpolation; normalising is left to the classifier.
        batch_size: pictures in a batch.
        sha256: what each file must hash to; None: not looked at.

    Raises:
        DataError: a file cannot be read, or is not the one that was validated; the message names it.
    """

    def load(index: int) -> Tensor:
        path = paths[index]
        try:
            if sha256 is not None and hashlib.sha256(path.read_bytes()).hexdigest() != sha256[index]:
                raise DataError(f"{path} has changed since it was validated; run `neuroinspect validate` again")
            return to_tensor(cut_out(decode(path), preprocessing))
        except (PictureError, OSError) as error:
            raise DataError(f"{path} cannot be read any more ({error}); run `neuroinspect validate` again") from error

    with quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
        starts = range(0, len(paths), batch_size)
        ahead: list[Future[Tensor]] = []
        for start in [*starts, len(paths)]:
            current, ahead = ahead, [pool.submit(load, i) for i in range(start, min(start + batch_size, len(paths)))]
            if current:
                yield torch.stack([future.result() for future in current]).float() / 255


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings off the screen: what matters of them becomes a reason in the quarantine."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
