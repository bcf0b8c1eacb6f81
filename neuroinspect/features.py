"""Run pictures through the backbone once: penultimate features and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neuroinspect.classifier import Classifier
from neuroinspect.dataset import load_batches
from neuroinspect.errors import FeaturesError
from neuroinspect.ports import Progress, silent


@dataclass(frozen=True, slots=True, eq=False)
class ExtractedFeatures:
    """Features (N, F) float32 and predicted class indices (N,) int64 of N pictures."""

    features: NDArray[np.float32]
    predictions: NDArray[np.int64]


def shard_bounds(count: int, shard_size: int) -> list[tuple[int, int]]:
    """First row and end of each shard of `count` pictures."""
    return [(start, min(start + shard_size, count)) for start in range(0, count, shard_size)]


def extract_features(
    classifier: Classifier,
    paths: Sequence[Path],
    *,
    batch_size: int,
    names: Sequence[str] | None = None,
    sha256: Sequence[str] | None = None,
    progress: Progress = silent,
) -> ExtractedFeatures:
    """Features and predictions of picture files, in their order.

    The batches are cut from the first picture on, so the same files and batch size give the same batches.

    Args:
        classifier: whose preprocessing is applied.
        paths: the files.
        batch_size: pictures in one pass.
        names: what messages call the pictures; None: their paths.
        sha256: what each file must hash to; None: not looked at.
        progress: told after each batch.

    Raises:
        DataError: a file cannot be read, or is not the one that was validated.
        FeaturesError: features or logits are NaN or infinite; the message names the first picture.
    """
    names = [str(path) for path in paths] if names is None else names
    features = np.empty((len(paths), classifier.num_features), dtype=np.float32)
    predictions = np.empty(len(paths), dtype=np.int64)
    done = 0
    for images in load_batches(paths, classifier.preprocessing, batch_size=batch_size, sha256=sha256):
        with torch.no_grad():
            found, logits = classifier.features_and_logits(classifier.normalize(images.to(classifier.device)))
        finite = (found.isfinite().all(1) & logits.isfinite().all(1)).cpu()
        if not finite.all():
            first = int((~finite).int().argmax())
            raise FeaturesError(
                f"the model gives features or logits that are NaN or infinite for {names[done + first]} "
                f"({int((~finite).sum())} of {len(finite)} pictures of its batch); check weights and `preprocessing`"
            )
        rows = slice(done, done + len(images))
        features[rows] = found.float().cpu().numpy()
        predictions[rows] = logits.argmax(1).cpu().numpy()
        done += len(images)
        progress("extract features", done, len(paths))
    return ExtractedFeatures(features, predictions)
