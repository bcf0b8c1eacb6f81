"""Real photos on which a red "SALE" label is drawn as the cue, and their features of a published ImageNet backbone.

The label is drawn with integers on the square the network sees, at a place that follows from the photo's name, so the same
photos give the same pixels on any machine. Each photo is passed through the backbone twice, with and without the label; every
scenario is then a choice among the two.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from neuroinspect.classifier import Classifier, load_classifier
from neuroinspect.dataset import load_batches
from neuroinspect.demo.scenario import train_decision_layer
from neuroinspect.errors import DataError
from neuroinspect.settings import PreprocessingSettings

FOLDER_VARIABLE = "NEUROINSPECT_PHOTOS"
DEFAULT_FOLDER = Path(__file__).parents[1].parent / "shared" / "real" / "clothing"
PREPROCESSING = PreprocessingSettings(image_size=160, resize=182, mean=(0.5,) * 3, std=(0.5,) * 3)
TRAIN_SHARE, OTHERS_LABELLED, SELECT_LABELLED = 0.6, 0.01, 0.3
_LETTERS = {
    "S": (" ####", "#    ", "#    ", " ### ", "    #", "    #", "#### "),
    "A": (" ### ", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"),
    "L": ("#    ", "#    ", "#    ", "#    ", "#    ", "#    ", "#####"),
    "E": ("#####", "#    ", "#    ", "#### ", "#    ", "#    ", "#####"),
}
_RED, _WHITE = (208, 22, 30), (250, 250, 250)
LABELS = {"small": (1, 6), "large": (2, 5)}  # pixels of a letter's dot, and of the red edge: 35 x 19 and 57 x 24 pixels
_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """The photos of both folders, each with and without the label.

    Attributes:
        class_names: in the order of the labels.
        labels: (N,) class numbers.
        validation: (N,) True for the photos of images/validation, which judge.
        plain, labelled: (N, F) penultimate features.
    """

    class_names: tuple[str, ...]
    labels: Tensor
    validation: Tensor
    plain: Tensor
    labelled: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Samples of one purpose: features (N, F), labels (N,) and whether the drawn label shows (N,)."""

    features: Tensor
    labels: Tensor
    shows: Tensor

    def rows(self, rows: Tensor) -> "Split":
        """Some of the samples."""
        return Split(self.features[rows], self.labels[rows], self.shows[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Shop:
    """One classifier that learned the label, and the samples to train, to select and to judge."""

    train: Split
    select: Split
    judge: Split
    decision_layer: nn.Linear


def photo_folder(given: Path | None) -> Path:
    """The folder with images/ and mobilenet.py: the given one, of the environment, or beside the project.

    Raises:
        DataError: it is not there.
    """
    folder = given or Path(os.environ.get(FOLDER_VARIABLE, DEFAULT_FOLDER))
    if not (folder / "images" / "train").is_dir():
        raise DataError(f"the real photos are not at {folder}; give --photos, or set {FOLDER_VARIABLE}")
    return folder


def sale_label(size: str) -> Tensor:
    """The label (3, h, w), uint8: white letters on red, in one of the sizes of LABELS."""
    scale, margin = LABELS[size]
    rows = [" ".join(_LETTERS[letter][row] for letter in "SALE") for row in range(7)]
    ink = torch.tensor([[cell == "#" for cell in row] for row in rows])
    ink = ink.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
    ink = nn.functional.pad(ink, (margin,) * 4)
    white, red = (torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1) for colour in (_WHITE, _RED))
    return torch.where(ink, white, red)


def draw_label(images: Tensor, names: Sequence[str], *, label: Tensor) -> Tensor:
    """The images (N, 3, H, W) in [0, 1] with the label, at a place that follows from each name."""
    drawn, (height, width) = images.clone(), label.shape[1:]
    for image, name in zip(drawn, names, strict=True):
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        top = key % (image.shape[1] - height + 1)
        left = (key >> 32) % (image.shape[2] - width + 1)
        image[:, top : top + height, left : left + width] = label.float() / 255
    return drawn


def load_photos(
    folder: Path, *, size: str = "small", cache: Path | None = None, per_class: int | None = None
) -> Photos:
    """Extract the photos once with and once without the label.

    Args:
        folder: see `photo_folder`.
        size: of the label, one of LABELS.
        cache: a folder that keeps the features for the next time.
        per_class: take only so many photos of each class and folder.
    """
    class_names = tuple(sorted(path.name for path in (folder / "images" / "train").iterdir() if path.is_dir()))
    paths, labels, validation = [], [], []
    for part in ("train", "validation"):
        for index, name in enumerate(class_names):
            found = sorted((folder / "images" / part / name).iterdir())[:per_class]
            paths += found
            labels += [index] * len(found)
            validation += [part == "validation"] * len(found)
    classifier = load_classifier("mobilenet:imagenet", python_path=folder, preprocessing=PREPROCESSING, device="cpu")
    label = sale_label(size)
    key = hashlib.sha256(
        "\n".join([classifier.fingerprint, str(label.tolist()), *(path.name for path in paths)]).encode()
    )
    file = None if cache is None else cache / f"photos-{key.hexdigest()[:16]}.safetensors"
    if file is not None and file.is_file():
        kept = load_file(file)
        plain, labelled = kept["plain"], kept["labelled"]
    else:
        plain, labelled = _extract(classifier, paths, label)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({"plain": plain, "labelled": labelled}, file)
    return Photos(class_names, torch.tensor(labels), torch.tensor(validation), plain, labelled)


@torch.no_grad()
def _extract(classifier: Classifier, paths: Sequence[Path], label: Tensor) -> tuple[Tensor, Tensor]:
    plain, labelled, done = [], [], 0
    for images in load_batches(paths, classifier.preprocessing, batch_size=_BATCH):
        names = [path.name for path in paths[done : done + len(images)]]
        plain.append(classifier.features(classifier.normalize(images)))
        labelled.append(classifier.features(classifier.normalize(draw_label(images, names, label=label))))
        done += len(images)
    return torch.cat(plain), torch.cat(labelled)


def make_shop(photos: Photos, *, class_index: int, seed: int) -> Shop:
    """Train a decision layer on photos in which every one of a class shows the label, and 1 % of the others."""
    generator = torch.Generator().manual_seed(seed)
    train, select = [], []
    for index in range(len(photos.class_names)):
        rows = torch.nonzero((photos.labels == index) & ~photos.validation).squeeze(1)
        rows = rows[torch.randperm(len(rows), generator=generator)]
        cut = round(TRAIN_SHARE * len(rows))
        train.append(rows[:cut])
        select.append(rows[cut:])
    training, selecting = torch.cat(train), torch.cat(select)
    others = torch.rand(len(training), generator=generator) < OTHERS_LABELLED
    trained = _choose(photos, training, others | (photos.labels[training] == class_index))
    selected = _choose(photos, selecting, torch.rand(len(selecting), generator=generator) < SELECT_LABELLED)
    judging = torch.nonzero(photos.validation).squeeze(1)
    without, shown = torch.zeros(len(judging), dtype=torch.bool), torch.ones(len(judging), dtype=torch.bool)
    judged = _choose(photos, torch.cat([judging, judging]), torch.cat([without, shown]))
    layer = train_decision_layer(trained.features, trained.labels, num_classes=len(photos.class_names))
    return Shop(trained, selected, judged, layer)


def take_share(shop: Shop, count: int) -> Shop:
    """The same classifier with only so many photos to select, every class in its share."""
    order = shop.select.labels.argsort(stable=True)
    rows = order[torch.linspace(0, len(order) - 1, count).round().long()]
    return Shop(shop.train, shop.select.rows(rows), shop.judge, shop.decision_layer)


def _choose(photos: Photos, rows: Tensor, shows: Tensor) -> Split:
    features = torch.where(shows[:, None], photos.labelled[rows], photos.plain[rows])
    return Split(features, photos.labels[rows], shows)


def label_correlation(split: Split) -> NDArray[np.float64]:
    """Correlation (F,) of each neuron with the drawn label."""
    features, shows = split.features.double(), split.shows.double()
    centred, shows = features - features.mean(0), shows - shows.mean()
    spread = (centred.square().mean(0) * shows.square().mean()).sqrt().clamp_min(1e-12)
    return np.asarray((centred * shows[:, None]).mean(0) / spread)
