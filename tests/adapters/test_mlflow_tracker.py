"""A run in a real MLflow store: its figures, and that it is there once, whatever happens while it is written."""

import json
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from neuroinspect.adapters.mlflow_store import KEY, model_name
from neuroinspect.adapters.mlflow_tracker import MlflowTracker
from neuroinspect.artifacts import RunFolder, read_json, write_json
from neuroinspect.chain import run_chain
from neuroinspect.errors import OutsideError, StageOrderError
from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params, load_params
from tests.adapters.mlflow_runs import attempt, client, everything, remembered, runs
from tests.tiny import make_project

NAMES = {
    "worst_class": "worst_class_accuracy",
    "worst_group": "worst_group_accuracy",
    "average": "average_accuracy",
    "group_weighted_average": "group_weighted_accuracy",
    "class_accuracy": "class_accuracy",
    "class_auroc": "class_auroc",
    "cross_cue_auroc": "cross_cue_auroc",
}


@pytest.fixture(scope="module")
def store(finished, new_store, tmp_path_factory) -> Machinery:
    machinery = new_store(tmp_path_factory.mktemp("store"))
    MlflowTracker(machinery).track(finished.run, finished.params)
    return machinery


def track(state: Path, run: Path, params: Params) -> str:
    return MlflowTracker(Machinery(state=state)).track(run, params)


def expected(row: dict, prefix: str) -> dict[str, float]:
    ends = {"": "value", "_low": "low", "_high": "high"}
    known = {figure: name for figure, name in NAMES.items() if row[figure] is not None}
    return {f"{prefix}{name}{end}": row[figure][key] for figure, name in known.items() for end, key in ends.items()}


def table(run, name: str) -> dict:
    return json.loads((Path(run.info.artifact_uri.removeprefix("file://")) / "tables" / name).read_text())


def test_the_figures_of_the_parent_are_those_of_the_metrics(finished, store):
    metrics = read_json(finished.run / "evaluate" / "metrics.json")
    rows = {row["name"]: row for row in metrics["splits"]["judge"]["rows"]}
    before, after = rows["original"], rows[metrics["recommended"]]
    parent = runs(store)[0]
    logged = {name: value for name, value in parent.data.metrics.items() if not name.startswith("system/")}
    assert logged == {**expected(before, "judge/before/"), **expected(after, "judge/after/")}
    assert len(logged) == 2 * 3 * sum(before[figure] is not None for figure in NAMES)


def test_every_method_and_control_is_a_child_with_its_own_figures(finished, store):
    metrics = read_json(finished.run / "evaluate" / "metrics.json")
    rows = {row["name"]: row for row in metrics["splits"]["judge"]["rows"]}
    parent, *children = runs(store)
    assert {child.data.tags["method"] for child in children} == set(rows)
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
    for child in children:
        figures = expected(rows[child.data.tags["method"]], "judge/")
        assert {name: child.data.metrics[name] for name in figures} == figures
    [recommended] = [child for child in children if child.data.tags["recommended"] == "true"]
    assert recommended.data.tags["method"] == metrics["recommended"]
    assert recommended.data.params.keys() >= {"neurons"}


def test_what_is_gained_over_a_control_stands_with_its_interval(finished, store):
    metrics = read_json(finished.run / "evaluate" / "metrics.json")
    children = {run.data.tags.get("method"): run.data.metrics for run in runs(store)}
    for one in metrics["splits"]["judge"]["differences"]:
        name = f"judge/{NAMES[one['metric']]}_over_{one['against']}"
        logged = [children[one["name"]][name + end] for end in ("", "_low", "_high")]
        assert logged == [one["value"], one["low"], one["high"]]
    assert len(metrics["splits"]["judge"]["differences"]) > 0


def test_the_tags_say_where_the_run_comes_from(finished, store):
    tags, provenance = runs(store)[0].data.tags, read_json(finished.run / "run.json")
    decision = read_json(finished.run / "review" / "decision.json")
    assert tags["data_version"] == provenance["data_version"]
    assert tags["model_fingerprint"] == provenance["model"]["fingerprint"]
    assert tags["model_spec"] == "neuroinspect.demo.backbone:scene_net"
    assert (tags["class"], tags["reviewer"], tags["unverified"]) == ("fish", "auto", "true")
    assert tags["request"] == decision["request"]
    assert tags["verdict"] == read_json(finished.run / "evaluate" / "metrics.json")["verdict"]["status"]
    assert tags["version.torch"] == provenance["versions"]["torch"]


def test_settings_are_parameters_without_any_folder_of_this_machine(finished, store):
    parent = runs(store)[0]
    assert parent.data.params["edit.train.epochs"] == "1"
    assert parent.data.params["data.table"] == "pictures.csv"
    assert parent.info.run_name == "fish (fish)"
    text = json.dumps([parent.data.params, parent.data.tags, parent.inputs.to_dictionary()])
    assert str(finished.params.runs.parent) not in text


def test_tables_hold_the_accuracy_of_each_class_and_group_before_and_after(finished, store, monkeypatch):
    metrics = read_json(finished.run / "evaluate" / "metrics.json")
    rows = {row["name"]: row for row in metrics["splits"]["judge"]["rows"]}
    before, after = rows["original"], rows[metrics["recommended"]]
    parent = runs(store)[0]
    for name, cells in (("class", "per_class"), ("group", "per_group")):
        kept = table(parent, f"per_{name}.json")
        lines = [dict(zip(kept["columns"], line, strict=True)) for line in kept["data"]]
        assert {line[name]: line["before"] for line in lines} == {k: c["value"] for k, c in before[cells].items()}
        assert {line[name]: line["after"] for line in lines} == {k: c["value"] for k, c in after[cells].items()}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.mlflow_store)  # load_table looks there, not where its client does
    shown = client(store).load_table(parent.info.experiment_id, "tables/per_class.json", [parent.info.run_id])
    assert shown["class"].tolist() == list(before["per_class"])


def test_the_data_of_each_split_is_an_input_with_the_hash_of_the_manifest(finished, store):
    provenance = read_json(finished.run / "run.json")
    inputs = runs(store)[0].inputs.dataset_inputs
    assert sorted(one.dataset.name for one in inputs) == ["judge", "select", "train"]
    assert {one.dataset.digest for one in inputs} == {provenance["manifest"][:36]}
    profiles = {one.dataset.name: json.loads(one.dataset.profile) for one in inputs}
    assert {name: one["num_rows"] for name, one in profiles.items()} == {"judge": 60, "select": 60, "train": 72}
    assert {one["data_version"] for one in profiles.values()} == {provenance["data_version"]}


def test_the_report_and_illusions_are_artifacts(finished, store):
    files = remembered(store)[0]["files"]
    assert files["report/report.html"] == (finished.run / "report" / "report.html").read_bytes()
    assert files["evaluate/metrics.json"] == (finished.run / "evaluate" / "metrics.json").read_bytes()
    assert {"edit/edit.json", "review/decision.json", "run.json", "settings.json"} <= files.keys()
    assert len([name for name in files if name.startswith("illusions/fish/")]) == 2


def test_tracking_a_second_time_adds_nothing(finished, store):
    before = everything(store)
    identifier = MlflowTracker(store).track(finished.run, finished.params)
    assert identifier == runs(store)[0].info.run_id
    assert everything(store) == before


def test_the_model_may_be_given_by_its_alias_or_as_what_it_stands_for(finished, store):
    aliased = finished.params.model_copy(
        update={"model": finished.params.model.model_copy(update={"spec": "models:/other@candidate", "weights": None})}
    )
    before = everything(store)
    MlflowTracker(store).track(finished.run, aliased)
    assert everything(store) == before


def test_a_run_decided_by_somebody_else_is_another_run(finished, store, tmp_path):
    machinery = Machinery(state=tmp_path / "state")
    shutil.copytree(store.state, machinery.state)
    shutil.copytree(finished.run, tmp_path / "fish")
    decision = read_json(finished.run / "review" / "decision.json")
    write_json(tmp_path / "fish" / "review" / "decision.json", {**decision, "by": "ada", "unverified": False})
    track(machinery.state, tmp_path / "fish", finished.params)
    parents = [run for run in runs(machinery) if "method" not in run.data.tags]
    assert sorted(run.data.tags["reviewer"] for run in parents) == ["ada", "auto"]
    assert len({run.data.tags[KEY] for run in parents}) == 2


def test_a_process_killed_while_it_tracks_leaves_one_run_when_it_is_called_again(
    finished, store, new_store, forkyard, tmp_path
):
    machinery = new_store(tmp_path)
    moments = [2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 24, 28]
    arguments = (tmp_path, finished.run, finished.params)
    codes = forkyard.submit(attempt, track, arguments, tmp_path, moments).result()
    assert codes[-1] == 0
    assert codes.count(-signal.SIGKILL) >= 8
    assert remembered(machinery) == remembered(store)


def test_a_run_without_mistakes_is_tracked_without_what_an_earlier_finding_left(finished, tmp_path):
    params = load_params(make_project(tmp_path / "project", perfect=True))
    run, machinery = RunFolder(params.runs / "perfect"), Machinery(state=tmp_path / "state")
    for stage in ("visualize", "review"):
        shutil.copytree(finished.run / stage, run.stage(stage))
    assert run_chain(run, params).status == "nothing_to_explain"
    track(machinery.state, run.root, params)
    parent, child = runs(machinery)
    assert parent.data.tags["verdict"] == "nothing_to_explain"
    assert not {"reviewer", "request", "unverified"} & parent.data.tags.keys()
    assert not [name for name in remembered(machinery)[0]["files"] if name.startswith(("review/", "illusions/"))]
    assert child.data.tags["method"] == "original"
    assert parent.data.metrics["judge/before/average_accuracy"] == parent.data.metrics["judge/after/average_accuracy"]


def test_an_unfinished_run_is_refused(finished, tmp_path):
    shutil.copytree(finished.run, tmp_path / "fish")
    shutil.rmtree(tmp_path / "fish" / "report")
    with pytest.raises(StageOrderError, match="report"):
        track(tmp_path / "state", tmp_path / "fish", finished.params)


def test_a_server_that_is_away_is_an_outside_error_with_a_way_out(finished, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(OutsideError, match="NEUROINSPECT_MLFLOW_URL"):
            MlflowTracker(Machinery(mlflow_url=url)).track(finished.run, finished.params)


def test_a_damaged_database_is_an_outside_error(finished, tmp_path):
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_text("no database")
    with pytest.raises(OutsideError, match="cannot say whether it has the run"):
        track(tmp_path, finished.run, finished.params)


def test_a_deleted_experiment_is_not_written_to(finished, store, tmp_path):
    machinery = Machinery(state=tmp_path / "state")
    shutil.copytree(store.state, machinery.state)
    client(machinery).delete_experiment(runs(machinery)[0].info.experiment_id)
    with pytest.raises(OutsideError, match="experiments restore"):
        track(machinery.state, finished.run, finished.params)


def test_the_working_directory_is_left_alone(finished, new_store, tmp_path, monkeypatch):
    new_store(tmp_path / "state")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    track(tmp_path / "state", finished.run, finished.params)
    assert os.listdir(tmp_path / "here") == []  # noqa: PTH208


@pytest.mark.parametrize(
    ("spec", "weights", "origin", "name"),
    [
        ("timm:resnet50", "birds.safetensors", None, "timm.resnet50-birds"),
        ("own.nets:make", None, None, "own.nets.make"),
        ("own.nets:make", "my weights (2).pth", None, "own.nets.make-my-weights-2"),
        ("own.nets:make", "model.safetensors", "models:/birds/3", "birds"),
        ("models:/birds@champion", None, None, "birds"),
    ],
)
def test_a_model_is_called_by_its_spec_unless_the_registry_has_a_name_for_it(spec, weights, origin, name):
    assert model_name(spec=spec, weights=weights, origin=origin) == name
