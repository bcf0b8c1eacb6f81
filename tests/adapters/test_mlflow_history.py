"""Nights in a real MLflow: one run for each, whatever is tried again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.adapters.mlflow_history import MlflowHistory, metric_name
from neuroinspect.adapters.mlflow_lineage import ancestors_of
from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.errors import OutsideError
from neuroinspect.nightly import ClassNight, News, Night, night_key
from tests.adapters.mlflow_runs import client, everything, runs

NAME = "neuroinspect.demo.backbone.scene_net-classifier"
PLANNED = datetime(2026, 11, 1, 2, tzinfo=UTC)
NEWS = News(new=(3,), waiting=(), known=(), stability={3: 0.9, 5: 0.4}, least=0.8, mistakes=9)


@pytest.fixture
def night(finished) -> Night:
    asked = ClassNight("fish", finished.run, "asked", review="a" * 64, news=NEWS)
    failed = ClassNight("Mug & co", finished.run, "failed", problem="no disk")
    key = night_key(RunFolder(finished.run), "2026-11-01")
    return Night(key, "2026-11-01", finished.run, f"{NAME}-v1", (asked, failed))


@pytest.fixture
def machinery(new_store, tmp_path):
    return new_store(tmp_path)


def test_a_night_is_one_run_of_mlflow_and_a_finished_one_is_left_alone(machinery, night):
    history = MlflowHistory(machinery)
    first = history.keep(night, planned=PLANNED)
    (kept,) = runs(machinery)
    assert (kept.info.status, kept.info.start_time) == ("FAILED", PLANNED.timestamp() * 1000)
    assert kept.data.tags["failed"] == '["Mug & co"]'
    assert kept.data.tags["reviews_opened"] == f'["{"a" * 64}"]'
    assert "fish: neuron 3 is new" in kept.data.tags["mlflow.note.content"]

    whole = replace(night, classes=night.classes[:1])
    assert history.keep(whole, planned=PLANNED + timedelta(hours=3)) == first
    (kept,) = runs(machinery)
    assert (kept.info.status, kept.data.tags["failed"]) == ("FINISHED", "[]")
    name = "worst_class_accuracy"
    assert len(client(machinery).get_metric_history(first, name)) == 1
    before = everything(machinery)
    assert history.keep(whole, planned=PLANNED) == first
    assert everything(machinery) == before


def test_the_same_model_and_data_on_another_night_is_another_point_in_the_order_of_time(machinery, night, finished):
    history = MlflowHistory(machinery)
    for day in (2, 0, 1):
        key = night_key(RunFolder(finished.run), f"2026-11-0{day + 1}")
        history.keep(replace(night, key=key), planned=PLANNED + timedelta(days=day))
    points = history.points(NAME)
    assert [point.at for point in points] == [PLANNED + timedelta(days=day) for day in range(3)]
    judged = read_json(finished.run / "extract" / "performance.json")["splits"]["judge"]
    worst = judged["per_class"][judged["worst_class"]["name"]]
    assert {(point.worst, point.low, point.high, point.average) for point in points} == {
        (worst["accuracy"], worst["low"], worst["high"], judged["accuracy"])
    }
    assert {(point.model, point.worst_class) for point in points} == {("v1", judged["worst_class"]["name"])}


def test_a_run_that_was_killed_before_its_figures_were_there_is_no_point(machinery, night):
    history = MlflowHistory(machinery)
    history.keep(night, planned=PLANNED)
    mlflow = client(machinery)
    experiment = mlflow.get_experiment_by_name(f"neuroinspect/{NAME}/nights")
    mlflow.create_run(experiment.experiment_id, tags={"night": "2026-11-02"})
    assert [point.at for point in history.points(NAME)] == [PLANNED]


def test_a_model_without_nights_is_named_with_those_that_have_some(machinery, night):
    history = MlflowHistory(machinery)
    with pytest.raises(OutsideError, match="keeps no night of 'net'; it has none of any model"):
        history.points("net")
    history.keep(night, planned=PLANNED)
    with pytest.raises(OutsideError, match=f"it has those of {NAME}"):
        history.points("net")


@given(names=st.sets(st.text(max_size=12), min_size=2, max_size=5))
def test_each_class_has_a_metric_of_its_own(names):
    assert len({metric_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["fish", "", "..", "a/b", "50 % & <b>", "鱼", "x" * 1000, " ", "a\nb"])
def test_mlflow_takes_a_metric_of_every_class(machinery, name):
    mlflow = client(machinery)
    run = mlflow.create_run(mlflow.create_experiment("names")).info.run_id
    mlflow.log_metric(run, metric_name(name), 0.5)
    assert mlflow.get_run(run).data.metrics == {metric_name(name): 0.5}


def version(machinery, folder: Path, number: int, **tags: str) -> None:
    mlflow = client(machinery)
    if number == 1:
        mlflow.create_registered_model("net")
    mlflow.create_model_version("net", folder.as_uri(), tags=tags)


def test_a_line_goes_from_version_to_version_up_to_the_model_no_registry_keeps(machinery, tmp_path):
    version(machinery, tmp_path, 1, parent_fingerprint="root")
    version(machinery, tmp_path, 2, parent_fingerprint="one", parent_origin="models:/net/1")
    version(machinery, tmp_path, 3, parent_fingerprint="one", parent_origin="models:/net/1")
    version(machinery, tmp_path, 4, parent_fingerprint="two", parent_origin="models:/net/2")
    version(machinery, tmp_path, 5)
    lines = {number: ancestors_of(machinery, f"models:/net/{number}") for number in range(1, 6)}
    assert lines == {1: ("root",), 2: ("one", "root"), 3: ("one", "root"), 4: ("two", "one", "root"), 5: ()}


def test_a_deleted_version_ends_the_line_and_one_that_names_itself_does_not_go_on_for_ever(machinery, tmp_path, caplog):
    version(machinery, tmp_path, 1, parent_fingerprint="root")
    version(machinery, tmp_path, 2, parent_fingerprint="one", parent_origin="models:/net/1")
    version(machinery, tmp_path, 3, parent_fingerprint="three", parent_origin="models:/net/3")
    client(machinery).delete_model_version("net", "1")
    assert ancestors_of(machinery, "models:/net/2") == ("one",)
    assert "models:/net/1 is no longer in the registry" in caplog.text
    assert ancestors_of(machinery, "models:/net/3") == ("three",)
