import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from neuroinspect.artifacts import RunFolder, read_array, read_table, write_json, write_table
from neuroinspect.errors import DataError, SettingsError, StageOrderError
from neuroinspect.settings import Params, load_params
from neuroinspect.stages import illusion_cache
from neuroinspect.stages import visualize as stage
from neuroinspect.stages.neuron_pictures import folder_name
from neuroinspect.stages.real_pictures import overlay, top_pictures
from neuroinspect.stages.visualize import choose_neurons, draw_shard, plan_shards, visualize
from tests.tiny import make_diagnosed_project


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose run `a` has everything visualize needs."""
    return make_diagnosed_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(diagnosed: Path, tmp_path: Path) -> tuple[RunFolder, Params]:
    shutil.copytree(diagnosed, tmp_path / "project")
    return RunFolder(tmp_path / "project" / "runs" / "a"), load_params(tmp_path / "project" / "params.yaml")


def changed(params: Params, **values: Any) -> Params:
    illusion = params.visualize.illusion.model_copy(update=values.pop("illusion", {}))
    return params.model_copy(update={"visualize": params.visualize.model_copy(update={**values, "illusion": illusion})})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class ColourGuide:
    fingerprint = "colours"

    def encode_images(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))

    def encode_texts(self, texts: list[str]) -> Tensor:
        return torch.ones(len(texts), 3)


def test_tables_and_pictures_belong_together(project):
    run, params = project
    params = changed(params, neurons=2, real_images=3, feature_visualization=True)
    result = visualize(run, params)
    illusions, real = (read_table(result.folder / f"{name}.parquet") for name in ("illusions", "real"))
    assert tuple(illusions.columns) == stage.ILLUSION_COLUMNS
    assert tuple(real.columns) == stage.REAL_COLUMNS
    named = [*illusions["picture"], *illusions["mask"], *illusions["feature_visualization"], *real["picture"]]
    assert len(set(named)) == len(named)
    on_disk = {str(path.relative_to(result.folder)) for path in result.folder.rglob("*.png")}
    assert on_disk == set(named)
    assert len(real) == 3 * len(illusions) == result.summary["real_pictures"]
    assert result.summary["illusions"] == len(illusions)


def test_the_figures_are_those_of_the_neuron(project):
    run, params = project
    result = visualize(run, params)
    illusions, real = (read_table(result.folder / f"{name}.parquet") for name in ("illusions", "real"))
    features = read_array(run.stage("extract") / "features.select.npy")
    samples = read_table(run.stage("extract") / "samples.select.parquet")
    for row in illusions.to_dict("records"):
        assert row["real_p95"] == pytest.approx(np.percentile(features[:, row["neuron"]], 95))
        assert row["reached"] == (row["activation"] >= row["real_p95"])
        top = real[real["neuron"] == row["neuron"]].iloc[0]
        best = int(features[:, row["neuron"]].argmax())
        assert top["activation"] == pytest.approx(features[best, row["neuron"]])
        assert top["path"] == samples["path"][best]
        assert top["label"] == samples["label"][best]


def test_pictures_have_the_size_of_the_network_and_photos_fit_a_card(project):
    run, params = project
    folder = visualize(run, params).folder
    illusions, real = (read_table(folder / f"{name}.parquet") for name in ("illusions", "real"))
    assert Image.open(folder / illusions["picture"][0]).size == (64, 64)
    assert Image.open(folder / real["picture"][0]).size == (160, 160)
    picture, mask = (np.asarray(Image.open(folder / illusions[name][0]), dtype=int) for name in ("picture", "mask"))
    kept = np.abs(mask - picture).max(axis=2) == 0
    assert 0 < kept.mean() < 1
    assert np.abs(mask - picture / 2).max(axis=2)[~kept].max() <= 1


def test_a_second_run_reuses_the_stage_and_a_fresh_one_the_cache(project, monkeypatch):
    run, params = project
    first = visualize(run, params)
    assert not first.reused
    assert visualize(run, params).reused
    expected = contents(first.folder)
    shutil.rmtree(first.folder)
    monkeypatch.setattr(illusion_cache, "synthesize", only_cached)
    assert contents(visualize(run, params).folder) == expected


def only_cached(classifier: Any, pairs: list[Any], **_: Any) -> list[Any]:
    assert not pairs, "made again"
    return []


def test_another_seed_or_setting_is_another_picture(project):
    run, params = project
    visualize(run, params)
    cache = params.runs.parent / "cache" / "illusions"
    before = len(list(cache.iterdir()))
    visualize(run, changed(params, illusion={"memory_cap_mb": 512}))
    assert len(list(cache.iterdir())) == before
    visualize(run, params.model_copy(update={"seed": 1}))
    assert len(list(cache.iterdir())) == 2 * before
    visualize(run, changed(params, illusion={"steps": 3}))
    assert len(list(cache.iterdir())) == 3 * before


def test_a_damaged_picture_of_the_cache_is_made_again(project):
    run, params = project
    first = visualize(run, params)
    expected = contents(first.folder)
    shutil.rmtree(first.folder)
    for file in (params.runs.parent / "cache" / "illusions").iterdir():
        file.write_bytes(b"damaged")
    assert contents(visualize(run, params).folder) == expected


def test_a_killed_stage_keeps_its_shards(project, monkeypatch):
    run, params = project
    params = changed(params, neurons=3, shard_size=1)
    drawn, draw = [], stage.draw_neurons

    def die(folder: Path, rows: pd.DataFrame, material: Any) -> Any:
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(int(rows["neuron"].iloc[0]))
        return draw(folder, rows, material)

    monkeypatch.setattr(stage, "draw_neurons", die)
    with pytest.raises(KeyboardInterrupt):
        visualize(run, params)
    shutil.rmtree(params.runs.parent / "cache")
    done = drawn.copy()
    drawn[:] = [-1] * 10
    result = visualize(run, params)
    assert done == read_table(result.folder / "illusions.parquet")["neuron"].tolist()[:2]
    assert not set(done) & set(drawn)
    assert not (result.folder / "shards").exists()


def test_shards_do_not_change_the_pictures(project):
    run, params = project
    results = []
    for size in (1, 3, 8):
        shutil.rmtree(params.runs.parent / "cache", ignore_errors=True)
        shutil.rmtree(run.stage("visualize"), ignore_errors=True)
        results.append(
            read_table(visualize(run, changed(params, neurons=3, shard_size=size)).folder / "illusions.parquet")
        )
    for other in results[1:]:
        pd.testing.assert_frame_equal(results[0], other, rtol=1e-4)


def test_shards_drawn_apart_at_the_same_time_make_the_very_same_stage(project, monkeypatch):
    run, params = project
    params = changed(params, neurons=3, real_images=2, shard_size=1, feature_visualization=True)
    expected = contents(visualize(run, params).folder)
    shutil.rmtree(run.stage("visualize"))
    shutil.rmtree(params.runs.parent / "cache")

    shards = plan_shards(run, params)
    assert len(shards) > 2
    draw_shard(run, params, shards[-1])
    assert plan_shards(run, params) == shards[:-1]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda shard: draw_shard(run, params, shard), shards))
    assert plan_shards(run, params) == []
    monkeypatch.setattr(stage, "draw_neurons", only_drawn)
    assert contents(visualize(run, params).folder) == expected
    assert plan_shards(run, params) == []


def only_drawn(*_: Any) -> Any:
    raise AssertionError("drawn again")


def test_a_guide_leaves_its_similarity(project, monkeypatch):
    run, params = project
    monkeypatch.setattr(stage, "guide_of", lambda _: ColourGuide())
    illusions = read_table(visualize(run, params).folder / "illusions.parquet")
    assert (illusions["guide_similarity"] > 0.5).all()
    wrong = params.model_copy(update={"guide": params.guide.model_copy(update={"class_texts": {"dgo": "dog"}})})
    with pytest.raises(SettingsError, match="dgo"):
        visualize(run, wrong)


def test_nothing_to_explain_gives_empty_tables(project):
    run, params = project
    record = run.stage_record("diagnose")
    write_json(
        run.stage("diagnose") / "stage.json",
        {**record, "summary": {**record["summary"], "status": "nothing_to_explain"}},
    )
    result = visualize(run, params)
    assert result.summary["illusions"] == 0
    assert read_table(result.folder / "illusions.parquet").empty
    assert tuple(read_table(result.folder / "real.parquet").columns) == stage.REAL_COLUMNS


def test_an_empty_ranking_gives_empty_tables(project):
    run, params = project
    path = run.stage("diagnose") / "neurons.parquet"
    write_table(path, read_table(path).head(0))
    assert visualize(run, params).summary["illusions"] == 0


def test_illusions_that_stay_low_are_named(project):
    run, params = project
    result = visualize(run, changed(params, illusion={"steps": 1}))
    table = read_table(result.folder / "illusions.parquet")
    missed = table.loc[~table["reached"], "neuron"].tolist()
    assert missed
    assert f"neurons {', '.join(map(str, missed))}" in result.summary["warnings"][0]


def test_a_changed_photo_is_refused(project):
    run, params = project
    features = read_array(run.stage("extract") / "features.select.npy")
    neuron = choose_neurons(read_table(run.stage("diagnose") / "neurons.parquet"), count=1)["neuron"][0]
    path = read_table(run.stage("extract") / "samples.select.parquet")["path"][int(features[:, neuron].argmax())]
    Image.new("RGB", (64, 64)).save(params.runs.parent / path)
    with pytest.raises(DataError, match="has changed since it was validated"):
        visualize(run, params)


def test_diagnose_comes_first(tmp_path, project):
    with pytest.raises(StageOrderError, match="neuroinspect extract"):
        visualize(RunFolder(tmp_path / "empty"), project[1])


def test_both_counts_as_insufficient_and_once():
    rows = [(5, "insufficient", 1), (7, "both", 2), (9, "insufficient", 3), (4, "excessive", 1), (8, "excessive", 3)]
    neurons = pd.DataFrame([{"class": "cat", "neuron": n, "direction": d, "rank": r} for n, d, r in rows])
    assert choose_neurons(neurons, count=2)["neuron"].tolist() == [5, 7, 4, 8]
    assert choose_neurons(neurons, count=1)["neuron"].tolist() == [5, 4]


def test_folder_names_are_safe_and_different():
    names = ["cat", "sea lion", "sea_lion", "a/b", "..", "", "Käfer", "x" * 300, "x" * 301]
    folders = [folder_name(name) for name in names]
    assert folders[0] == "cat"
    assert folders[2] == "sea_lion"
    assert len(set(folders)) == len(names)
    assert all(
        len(folder) < 80 and set(folder) <= set("-_0123456789" + "abcdefghijklmnopqrstuvwxyzK") for folder in folders
    )


def test_the_strongest_pictures_come_first_and_equal_ones_in_order():
    features = np.array([[0.0, 5.0], [3.0, 5.0], [2.0, 1.0]], dtype=np.float32)
    found = [(p.neuron, p.rank, p.row) for p in top_pictures(features, [0, 1], count=2)]
    assert found == [(0, 1, 1), (0, 2, 2), (1, 1, 0), (1, 2, 1)]
    assert len(top_pictures(features, [0], count=9)) == 3


def test_a_flat_heatmap_leaves_the_picture_alone():
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(overlay(image, torch.full((1, 2, 2), 0.7)), image)


def test_a_heatmap_glows_where_the_neuron_looks():
    found = overlay(torch.zeros(1, 3, 9, 9), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]))
    assert found[0, :, 0, 0].sum() > 1
    assert found[0, :, 8, 8].sum() == 0
    assert found.max() <= 1
