"""What the text guide makes of the pictures of the select split and of words, kept beside the runs under a content hash.

Pictures are embedded once for each guide, whatever the run; a killed pass keeps its shards.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from neuroinspect.artifacts import content_hash, read_array, write_array
from neuroinspect.dataset import load_batches
from neuroinspect.errors import ArtifactError
from neuroinspect.features import shard_bounds
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import PreprocessingSettings
from neuroinspect.text_guide import TextGuide, image_directions, text_directions

# Raise it when the same key gives other embeddings.
EMBEDDING_VERSION = 1
_SHARD = 512
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class GuideCache:
    """Asks the guide, or the cache.

    Attributes:
        guide: the text guide.
        fingerprint: its fingerprint, computed once.
        folder: of the cache.
    """

    guide: TextGuide
    fingerprint: str
    folder: Path

    def pictures(
        self,
        samples: pd.DataFrame,
        root: Path,
        preprocessing: PreprocessingSettings,
        *,
        batch_size: int,
        progress: Progress = silent,
    ) -> NDArray[np.float32]:
        """Directions (N, D) of the pictures of a table, as the network sees them: the centre square at its size.

        Args:
            samples: with the columns path and sha256.
            root: folder of the paths.
            preprocessing: of the classifier; how it normalises does not matter.
            batch_size: pictures in one pass.
            progress: told after each shard.

        Raises:
            DataError: a picture cannot be read, or has changed since it was validated.
            ModelError: the guide fails.
            RunFolderError: the cache cannot be written.
        """
        folder = self.folder / content_hash(
            {
                "version": EMBEDDING_VERSION,
                "guide": self.fingerprint,
                "pictures": samples["sha256"].tolist(),
                "preprocessing": preprocessing.model_dump(mode="json", exclude={"mean", "std"}),
            }
        )
        files, hashes = [root / path for path in samples["path"]], samples["sha256"].tolist()
        parts = []
        for start, stop in shard_bounds(len(files), _SHARD):
            progress("embed pictures for the text guide", start, len(files))
            path = folder / f"{start}-{stop}.npy"
            kept = _read(path, rows=stop - start)
            if kept is None:
                batches = load_batches(
                    files[start:stop], preprocessing, batch_size=batch_size, sha256=hashes[start:stop]
                )
                kept = torch.cat([image_directions(self.guide, images) for images in batches]).numpy()
                write_array(path, kept)
            parts.append(kept)
        progress("embed pictures for the text guide", len(files), len(files))
        return np.concatenate(parts)

    def texts(self, texts: Sequence[str], templates: Sequence[str]) -> NDArray[np.float32]:
        """Directions (T, D) of texts put into templates.

        Raises:
            SettingsError: a template does not fit.
            ModelError: the guide fails.
            RunFolderError: the cache cannot be written.
        """
        key: dict[str, Any] = {"version": EMBEDDING_VERSION, "guide": self.fingerprint}
        path = self.folder / f"{content_hash(key | {'texts': list(texts), 'templates': list(templates)})}.npy"
        kept = _read(path, rows=len(texts))
        if kept is None:
            kept = text_directions(self.guide, texts, templates).float().numpy()
            write_array(path, kept)
        return kept


def _read(path: Path, *, rows: int) -> NDArray[np.float32] | None:
    if not path.exists():
        return None
    try:
        kept = read_array(path)
    except ArtifactError:
        kept = None
    if kept is None or kept.ndim != 2 or len(kept) != rows:
        log.warning("the kept embeddings %s are damaged; they are made again", path)
        return None
    return kept
