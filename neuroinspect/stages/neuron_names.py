"""Words for the neurons of a run: a name for each of them, and a search for those that look like a text.

Both compare how strongly the neurons fire on the select split with what the text guide sees in its pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroinspect.artifacts import RunFolder, read_array, read_table
from neuroinspect.dataset import data_root, load_images
from neuroinspect.errors import SettingsError
from neuroinspect.naming import NeuronName, name_neurons, word_presence, word_scores
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params, PreprocessingSettings
from neuroinspect.stages.guide_cache import EMBEDDING_VERSION, GuideCache
from neuroinspect.stages.models import classifier_of_run, guide_of
from neuroinspect.text_guide import image_directions
from neuroinspect.wordlists import templates_of, words_of

# Raise it when the same pictures and words give other names.
NAMING_VERSION = 1
NAME_COLUMNS = ("neuron", "text_name", "text_name_score", "runner_up", "runner_up_score")
SEARCH_COLUMNS = (*NAME_COLUMNS[:3], "score", "direction", "picture_similarity", "picture")


@dataclass(frozen=True, slots=True, eq=False)
class NamingMaterial:
    """What names come from: the guide, its words, and the select split with the features of its pictures."""

    cache: GuideCache
    words: tuple[str, ...]
    templates: tuple[str, ...]
    features: NDArray[np.float32]
    samples: pd.DataFrame
    data_root: Path
    preprocessing: PreprocessingSettings
    batch_size: int

    @property
    def key(self) -> Mapping[str, Any]:
        """What beside guide and pictures the names depend on, JSON-like."""
        versions = {"naming_version": NAMING_VERSION, "embedding_version": EMBEDDING_VERSION}
        return {**versions, "words": list(self.words), "templates": list(self.templates)}

    def likeness(self, texts: Sequence[str], progress: Progress) -> NDArray[np.float32]:
        """Cosine (N, T) of each picture and each text."""
        pictures = self.cache.pictures(
            self.samples, self.data_root, self.preprocessing, batch_size=self.batch_size, progress=progress
        )
        return pictures @ self.cache.texts(texts, self.templates).T


def naming_material(run: RunFolder, params: Params) -> NamingMaterial | None:
    """What the names of a run come from; None without a text guide.

    Raises:
        StageOrderError: extract has not been run, or ran with another model.
        SettingsError: the vocabulary or the templates do not fit.
        ModelError: the classifier or the text guide cannot be loaded.
    """
    guide = guide_of(params)
    if guide is None:
        return None
    extracted = run.require("extract")
    return NamingMaterial(
        cache=GuideCache(guide, guide.fingerprint, params.runs.parent / "cache" / "embeddings"),
        words=words_of(params.guide, getattr(guide, "vocabulary", None)),
        templates=templates_of(params.guide),
        features=read_array(extracted / "features.select.npy"),
        samples=read_table(extracted / "samples.select.parquet"),
        data_root=data_root(params.data),
        preprocessing=classifier_of_run(run, params).preprocessing,
        batch_size=params.extract.batch_size,
    )


def names_table(material: NamingMaterial | None, *, progress: Progress = silent) -> pd.DataFrame:
    """The name of every neuron, in the columns of NAME_COLUMNS; no rows without a text guide.

    Raises:
        DataError: a picture cannot be read, or has changed since it was validated.
        ModelError: the guide fails.
        RunFolderError: the cache cannot be written.
    """
    names = [] if material is None else _names(material, material.likeness(material.words, progress))
    rows = [
        (neuron, given.name, given.score, given.runner_up, given.runner_up_score) for neuron, given in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=list(NAME_COLUMNS))


def search_neurons(run: RunFolder, params: Params, text: str, *, progress: Progress = silent) -> pd.DataFrame:
    """All neurons, the one whose pictures look most like a text first.

    Args:
        run: with a finished extract; what diagnose and visualize know of a neuron stands beside it.
        params: with a text guide.
        text: anything the guide understands, put into its templates.
        progress: told how far the guide is through the pictures; the first search of a run waits for it.

    Returns:
        SEARCH_COLUMNS: `score` is the correlation of `naming.word_scores`, `picture_similarity` the cosine of the neuron's
        illusion and the text, empty where none was drawn.

    Raises:
        SettingsError: no text guide, no text, or a vocabulary that does not fit.
        StageOrderError: extract has not been run, or ran with another model.
        NeuroInspectError: a picture or the guide fails.
    """
    if not text.strip():
        raise SettingsError("expected a text to search for, such as 'forest', got an empty one")
    material = naming_material(run, params)
    if material is None:
        raise SettingsError(
            "searching by text needs a text guide, and guide.spec is not set; name one in the params file, such as "
            "open_clip:ViT-B-32/laion2b_s34b_b79k"
        )
    vocabulary = material.likeness(material.words, progress)
    asked = word_presence(material.likeness([text], progress), vocabulary=vocabulary)
    table = pd.DataFrame({"neuron": range(material.features.shape[1])})
    names = _names(material, vocabulary)
    table["text_name"] = [given.name for given in names]
    table["text_name_score"] = [given.score for given in names]
    table["score"] = word_scores(material.features, asked)[:, 0]
    table["direction"] = table["neuron"].map(_directions(run))
    drawn = _drawn(run, material, text)
    table["picture_similarity"] = table["neuron"].map({neuron: found for neuron, (found, _) in drawn.items()})
    table["picture"] = table["neuron"].map({neuron: path for neuron, (_, path) in drawn.items()})
    return table.sort_values(["score", "neuron"], ascending=[False, True])[list(SEARCH_COLUMNS)].reset_index(drop=True)


def _names(material: NamingMaterial, likeness: NDArray[np.float32]) -> list[NeuronName]:
    return name_neurons(word_scores(material.features, word_presence(likeness)), material.words)


def _directions(run: RunFolder) -> dict[int, str]:
    """Direction of the ranked neurons; none where diagnose has not run."""
    if run.stage_record("diagnose") is None:
        return {}
    ranked = read_table(run.stage("diagnose") / "neurons.parquet")
    return dict(zip(ranked["neuron"], ranked["direction"], strict=True))


def _drawn(run: RunFolder, material: NamingMaterial, text: str) -> dict[int, tuple[float, str]]:
    """Neuron to the cosine of its illusion and the text, and the illusion's file in the folder of visualize."""
    if run.stage_record("visualize") is None:
        return {}
    folder = run.stage("visualize")
    illusions = read_table(folder / "illusions.parquet")
    if illusions.empty:
        return {}
    images = load_images([folder / name for name in illusions["picture"]], material.preprocessing)
    found = image_directions(material.cache.guide, images).numpy() @ material.cache.texts([text], material.templates)[0]
    return {
        int(neuron): (float(cosine), name)
        for neuron, cosine, name in zip(illusions["neuron"], found, illusions["picture"], strict=True)
    }
