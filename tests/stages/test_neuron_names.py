"""Names of neurons and the search by text, over a run: what the guide sees is kept, and a killed pass goes on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from neuroinspect.artifacts import RunFolder, read_array, read_table, write_bytes
from neuroinspect.errors import DataError, ModelError, SettingsError
from neuroinspect.settings import Params, load_params
from neuroinspect.stages import guide_cache, neuron_names
from neuroinspect.stages.neuron_names import NAME_COLUMNS, SEARCH_COLUMNS, names_table, naming_material, search_neurons
from neuroinspect.stages.visualize import visualize
from tests.tiny import make_diagnosed_project

DEMO_GUIDE = "neuroinspect.demo.clip:guide"


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished diagnose."""
    return make_diagnosed_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(diagnosed: Path, tmp_path: Path) -> tuple[RunFolder, Params]:
    shutil.copytree(diagnosed, tmp_path / "project")
    params = load_params(tmp_path / "project" / "params.yaml")
    return RunFolder(tmp_path / "project" / "runs" / "a"), guided(params, spec=DEMO_GUIDE)


def guided(params: Params, **values: object) -> Params:
    return params.model_copy(update={"guide": params.guide.model_copy(update=values)})


class CountingGuide:
    """Sees how bright a picture is, and counts the pictures it is shown."""

    fingerprint = "counting"
    vocabulary = ("bright", "dark")

    def __init__(self, failing_after: int | None = None) -> None:
        self.seen = 0
        self.failing_after = failing_after

    def encode_images(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        if self.failing_after is not None and self.seen > self.failing_after:
            raise RuntimeError("stopped")
        light = images.mean((1, 2, 3))
        return torch.stack([light, 1 - light], 1)

    def encode_texts(self, texts: list[str]) -> Tensor:
        return torch.tensor([[1.0, 0.0] if "bright" in text else [0.0, 1.0] for text in texts])


def counting(monkeypatch: pytest.MonkeyPatch, **values: int) -> CountingGuide:
    made = CountingGuide(**values)
    monkeypatch.setattr(neuron_names, "guide_of", lambda _: made)
    return made


def test_every_neuron_gets_a_word_of_the_guide(project):
    run, params = project
    folder = visualize(run, params).folder
    names = read_table(folder / "names.parquet")
    assert tuple(names.columns) == NAME_COLUMNS
    assert names["neuron"].tolist() == list(range(128))
    assert {"forest", "brick"} <= set(names["text_name"]) | set(names["runner_up"])
    assert (names["text_name_score"] >= names["runner_up_score"]).all()


def test_without_a_guide_there_are_no_names(project):
    run, params = project
    table = read_table(visualize(run, guided(params, spec=None)).folder / "names.parquet")
    assert (len(table), tuple(table.columns)) == (0, NAME_COLUMNS)


def test_other_words_name_the_neurons_anew_and_where_their_file_lies_does_not_matter(project, tmp_path):
    run, params = project
    visualize(run, params)
    (tmp_path / "words.txt").write_text("water\nsnow\n")
    own = guided(params, vocabulary=tmp_path / "words.txt")
    assert not visualize(run, own).reused
    assert set(read_table(run.stage("visualize") / "names.parquet")["text_name"].dropna()) <= {"water", "snow"}
    (tmp_path / "moved.txt").write_text("# the same words\nwater\nsnow\n")
    assert visualize(run, guided(params, vocabulary=tmp_path / "moved.txt")).reused


def test_other_templates_in_a_file_change_the_pictures_and_where_the_file_lies_does_not_matter(project, tmp_path):
    run, params = project
    first = visualize(run, params).inputs_hash
    (tmp_path / "templates.txt").write_text("a photo of the {}.\n")
    second = visualize(run, guided(params, templates_file=tmp_path / "templates.txt")).inputs_hash
    (tmp_path / "moved.txt").write_text("# one\na photo of the {}.\n")
    assert visualize(run, guided(params, templates_file=tmp_path / "moved.txt")).reused
    inline = guided(params, templates=("a photo of the {}.",))
    assert (first != second, visualize(run, inline).reused) == (True, True)


def test_pictures_are_embedded_once(project, monkeypatch):
    run, params = project
    guide = counting(monkeypatch)
    first = names_table(naming_material(run, params))
    assert guide.seen == len(read_table(run.stage("extract") / "samples.select.parquet"))
    again = names_table(naming_material(run, params))
    search_neurons(run, params, "bright")
    assert guide.seen == 60
    assert first.equals(again)


def test_a_killed_pass_goes_on_where_it_stopped_and_a_damaged_shard_is_made_again(project, monkeypatch):
    run, params = project
    monkeypatch.setattr(guide_cache, "_SHARD", 25)
    params = params.model_copy(update={"extract": params.extract.model_copy(update={"batch_size": 25})})
    counting(monkeypatch, failing_after=50)
    with pytest.raises(ModelError, match="encode_images failed: RuntimeError: stopped"):
        names_table(naming_material(run, params))
    second = counting(monkeypatch)
    whole = names_table(naming_material(run, params))
    assert second.seen == 10

    (shard,) = (params.runs.parent / "cache" / "embeddings").rglob("25-50.npy")
    write_bytes(shard, shard.read_bytes()[:100])
    third = counting(monkeypatch)
    assert names_table(naming_material(run, params)).equals(whole)
    assert third.seen == 25


def test_the_best_neuron_of_a_search_is_the_one_that_fires_with_the_text(project, monkeypatch):
    run, params = project
    counting(monkeypatch)
    found = search_neurons(run, params, "bright")
    assert tuple(found.columns) == SEARCH_COLUMNS
    assert sorted(found["neuron"]) == list(range(128))
    assert found["score"].is_monotonic_decreasing
    pictures = names_table(naming_material(run, params)).set_index("neuron")
    best = found.iloc[0]
    assert pictures.loc[best["neuron"], "text_name"] == best["text_name"] == "bright"
    ranked = set(read_table(run.stage("diagnose") / "neurons.parquet")["neuron"])
    assert set(found.loc[found["direction"].notna(), "neuron"]) == ranked


def test_a_search_compares_the_pictures_that_were_drawn_with_the_text(project):
    run, params = project
    folder = visualize(run, params).folder
    found = search_neurons(run, params, "forest").set_index("neuron")
    drawn = read_table(folder / "illusions.parquet")["neuron"].tolist()
    assert found["picture"].dropna().index.sort_values().tolist() == sorted(drawn)
    assert found.loc[drawn, "picture_similarity"].between(-1, 1).all()
    assert all((folder / name).is_file() for name in found.loc[drawn, "picture"])


def test_cue_neurons_of_the_drawn_world_come_first(project):
    run, params = project
    samples = read_table(run.stage("extract") / "samples.select.parquet")
    features = read_array(run.stage("extract") / "features.select.npy")
    found = search_neurons(run, params, "brick")["neuron"].tolist()
    shows = (samples["group"] == "brick").to_numpy(dtype=float)
    correlation = np.nan_to_num([np.corrcoef(column, shows)[0, 1] for column in features.T])
    assert correlation[found[:3]].min() > 0.5


def test_a_search_without_a_guide_or_without_a_text_says_what_to_do(project):
    run, params = project
    with pytest.raises(SettingsError, match=r"guide\.spec is not set; name one"):
        search_neurons(run, guided(params, spec=None), "forest")
    with pytest.raises(SettingsError, match="got an empty one"):
        search_neurons(run, params, "  ")


def test_a_picture_that_changed_since_it_was_validated_is_refused(project):
    run, params = project
    samples = read_table(run.stage("extract") / "samples.select.parquet")
    path = params.data.table.parent / samples["path"][0]
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(DataError, match="has changed since it was validated"):
        search_neurons(run, params, "forest")
