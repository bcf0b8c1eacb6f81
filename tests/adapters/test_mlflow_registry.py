"""Edited models in a real MLflow registry: one version of each, and a way back from it to a classifier."""

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch

from neuroinspect.adapters.mlflow_registry import MlflowRegistry
from neuroinspect.adapters.mlflow_store import LAYER
from neuroinspect.adapters.mlflow_tracker import MlflowTracker
from neuroinspect.artifacts import RunFolder, read_json, write_json
from neuroinspect.chain import carry_out, with_resolved_model
from neuroinspect.classifier import load_classifier
from neuroinspect.errors import ModelError, ModelSpecError, OutsideError
from neuroinspect.export import export_edited_model
from neuroinspect.machinery import Machinery
from neuroinspect.ports import RegisteredVersion, Tools
from neuroinspect.review import decide
from neuroinspect.settings import DataSettings, ModelSettings, Params
from neuroinspect.stages.review import read_request, save_decision
from tests.adapters.mlflow_runs import attempt, client, everything, registered, runs

NAME = "neuroinspect.demo.backbone.scene_net-classifier"


@pytest.fixture(scope="module")
def store(finished, new_store, tmp_path_factory) -> Machinery:
    machinery = new_store(tmp_path_factory.mktemp("registry"))
    assert register(machinery.state, finished.run, finished.params) == RegisteredVersion(NAME, "1")
    return machinery


@pytest.fixture
def copy(store, tmp_path) -> Machinery:
    """A store with the version in it that a test may change."""
    machinery = Machinery(state=tmp_path / "copy")
    shutil.copytree(store.state, machinery.state)
    return machinery


def register(state: Path, run: Path, params: Params) -> RegisteredVersion | None:
    machinery = Machinery(state=state)
    tracked = MlflowTracker(machinery).track(run, params)
    return MlflowRegistry(machinery).register(run, params, tracked=tracked)


def second_version(machinery: Machinery, folder: Path) -> Path:
    """Register the files of the first version once more, from a place of their own."""
    mlflow, place = client(machinery), folder / "second"
    shutil.copytree(mlflow.get_model_version_download_uri(NAME, "1").removeprefix("file://"), place)
    mlflow.create_model_version(NAME, place.as_uri(), tags={LAYER: "2" * 64})
    return place


def load(model: ModelSettings):
    return load_classifier(**model.model_dump(exclude={"origin", "preprocessing"}), preprocessing=model.preprocessing)


def logits(model: ModelSettings) -> torch.Tensor:
    images = torch.rand((3, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    return load(model)(images)


def applied(finished, folder: Path) -> ModelSettings:
    """The model as `neuroinspect apply` writes it."""
    export_edited_model(RunFolder(finished.run), finished.params, folder / "applied.safetensors")
    return finished.params.model.model_copy(update={"weights": folder / "applied.safetensors"})


def test_the_version_says_what_it_is_and_where_it_comes_from(finished, store):
    [version] = client(store).search_model_versions(f"name = '{NAME}'")
    edit, provenance = read_json(finished.run / "edit" / "edit.json"), read_json(finished.run / "run.json")
    tags = version.tags
    assert (tags["stage"], tags["method"], tags["class"]) == ("candidate", edit["recommended"], "fish")
    assert tags["neurons"] == str(edit["neurons"])
    assert tags["parent_fingerprint"] == provenance["model"]["fingerprint"]
    assert tags["data_version"] == provenance["data_version"]
    assert (tags["reviewer"], tags["unverified"]) == ("auto", "true")
    assert tags["run_id"] == version.run_id == runs(store)[0].info.run_id
    assert tags["verdict"] == read_json(finished.run / "evaluate" / "metrics.json")["verdict"]["status"]
    assert client(store).get_registered_model(NAME).aliases == {"candidate": 1}


def test_the_logged_model_belongs_to_the_run(store):
    known = registered(store)
    assert known["outputs"] == [1]
    assert known["models"] == [("READY", json.dumps([{"name": NAME, "version": "1"}]))]


def test_registering_a_second_time_adds_nothing(finished, store):
    before = everything(store)
    assert register(store.state, finished.run, finished.params) == RegisteredVersion(NAME, "1")
    assert everything(store) == before


def test_a_process_killed_while_it_registers_leaves_one_version_when_it_is_called_again(
    finished, store, new_store, forkyard, tmp_path
):
    machinery = new_store(tmp_path)
    MlflowTracker(machinery).track(finished.run, finished.params)
    moments = [8, 12, 19, 21, 7, 8, 9, 12, 15]
    arguments = (tmp_path, finished.run, finished.params)
    codes = forkyard.submit(attempt, register, arguments, tmp_path, moments).result()
    assert codes[-1] == 0
    assert codes.count(-signal.SIGKILL) >= 7
    assert registered(machinery) == registered(store)


def test_a_registered_model_gives_the_logits_of_the_applied_one(finished, store, tmp_path):
    model = MlflowRegistry(store).resolve(f"models:/{NAME}@candidate")
    assert model.origin == f"models:/{NAME}/1"
    assert torch.equal(logits(model), logits(applied(finished, tmp_path)))
    assert not torch.equal(logits(model), logits(finished.params.model))


def test_a_model_is_brought_once_and_whole(copy, tmp_path):
    registry, place = MlflowRegistry(copy), second_version(copy, tmp_path)
    model = registry.resolve(f"models:/{NAME}/2")
    shutil.rmtree(place)
    assert registry.resolve(f"models:/{NAME}/2") == model
    left = [path.name for path in (copy.registered_models / NAME).iterdir() if not path.name.startswith("1-")]
    assert left == [model.weights.parent.name]


def test_a_registered_model_is_debugged_under_its_own_name(finished, store):
    params = finished.params.model_copy(update={"model": ModelSettings(spec=f"models:/{NAME}@candidate")})
    resolved = with_resolved_model(params, Tools(registry=MlflowRegistry(store))).model
    assert resolved.origin == f"models:/{NAME}/1"
    assert load(resolved).class_names == load(finished.params.model).class_names


def test_a_model_that_another_machine_brought_is_brought_here(finished, copy, tmp_path):
    registry = MlflowRegistry(copy)
    here = registry.resolve(f"models:/{NAME}/1")
    there = here.model_copy(update={"weights": tmp_path / "other machine" / "model.safetensors"})
    params = finished.params.model_copy(update={"model": there})
    assert with_resolved_model(params, Tools(registry=registry)).model == here
    assert with_resolved_model(params, Tools()).model == there


def test_a_run_goes_on_with_the_version_it_began_with_when_the_alias_moves(copy, tmp_path, caplog):
    second_version(copy, tmp_path)
    client(copy).set_registered_model_alias(NAME, "candidate", "2")
    run, tools = RunFolder(tmp_path / "run"), Tools(registry=MlflowRegistry(copy))

    def version(spec: str) -> str | None:
        params = Params(model=ModelSettings(spec=spec), data=DataSettings(table=tmp_path / "pictures.csv"))
        return with_resolved_model(params, tools, run=run).model.origin

    assert version(f"models:/{NAME}@candidate") == f"models:/{NAME}/2"
    write_json(run.root / "run.json", {"model": {"origin": f"models:/{NAME}/1"}})
    assert not caplog.messages
    assert version(f"models:/{NAME}@candidate") == f"models:/{NAME}/1"
    assert f"goes on with models:/{NAME}/1" in caplog.text
    assert version(f"models:/{NAME}/2") == f"models:/{NAME}/2"
    write_json(run.root / "run.json", {"model": {"origin": "models:/other/1"}})
    assert version(f"models:/{NAME}@candidate") == f"models:/{NAME}/2"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("models:/nothing/1", NAME),
        (f"models:/{NAME}/7", f"models:/{NAME}/1"),
        (f"models:/{NAME}@champion", f"models:/{NAME}@candidate"),
        (f"models:/{NAME}", "NAME@ALIAS"),
        (f"models:/{NAME}/Production", "NAME@ALIAS"),
        ("models:/../../1", "NAME@ALIAS"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(store, uri, says):
    with pytest.raises(ModelSpecError, match=says):
        MlflowRegistry(store).resolve(uri)


def test_a_version_of_somebody_else_is_refused(copy, tmp_path):
    (tmp_path / "pickled").mkdir()
    client(copy).create_registered_model("other")
    client(copy).create_model_version("other", (tmp_path / "pickled").as_uri())
    with pytest.raises(ModelSpecError, match="not registered by NeuroInspect"):
        MlflowRegistry(copy).resolve("models:/other/1")


def test_a_damaged_package_is_refused(copy, tmp_path):
    place = second_version(copy, tmp_path)
    write_json(place / "artifacts" / "package" / "architecture.json", {"spec": "own:net"})
    with pytest.raises(ModelSpecError, match="holds no model"):
        MlflowRegistry(copy).resolve(f"models:/{NAME}/2")


def test_a_decision_of_a_person_takes_the_place_of_one_by_rule(finished, copy, tmp_path):
    shutil.copytree(finished.run, tmp_path / "fish")
    decision = read_json(finished.run / "review" / "decision.json")
    write_json(tmp_path / "fish" / "review" / "decision.json", {**decision, "by": "ada", "unverified": False})
    for run in (tmp_path / "fish", finished.run):  # the rule decides once more, and takes nothing back
        assert register(copy.state, run, finished.params) == RegisteredVersion(NAME, "1")
        tags = client(copy).get_model_version(NAME, "1").tags
        assert (tags["reviewer"], tags["unverified"]) == ("ada", "false")


def test_the_alias_stays_on_the_newest_candidate(finished, copy):
    mlflow = client(copy)
    mlflow.create_model_version(NAME, mlflow.get_model_version(NAME, "1").source)
    mlflow.set_registered_model_alias(NAME, "candidate", "2")
    register(copy.state, finished.run, finished.params)
    assert mlflow.get_registered_model(NAME).aliases == {"candidate": 2}


def test_where_the_original_is_recommended_nothing_is_registered(finished, new_store, tmp_path):
    run, machinery = RunFolder(tmp_path / "rejected"), new_store(tmp_path / "state")
    shutil.copytree(finished.run, run.root)
    rejection = decide(read_request(run), verdict="rejected", neurons={}, note="no cue", by="ada")
    save_decision(run, rejection, replace=True)
    for stage in ("edit", "evaluate", "report"):
        carry_out(stage, run, finished.params)
    assert register(machinery.state, run.root, finished.params) is None
    parent, child = runs(machinery)
    assert (parent.data.tags["review"], parent.data.tags["reviewer"]) == ("rejected", "ada")
    assert child.data.tags["method"] == "original"
    assert registered(machinery)["models"] == []


def own_module(folder: Path, *, imports: str) -> ModelSettings:
    """A factory in a package of the user's own, which needs a module beside it."""
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "__init__.py").write_text("")
    (folder / "own" / "nets.py").write_text(f"{imports}\ndef make():\n    import beside\n    return beside.net()\n")
    (folder / "own" / "old.pkl").write_bytes(b"pickled")
    (folder / "beside.py").write_text("from neuroinspect.demo.backbone import scene_net as net\n")
    (folder / "unrelated.py").write_text("raise RuntimeError('nobody asked for this')\n")
    return ModelSettings(spec="own.nets:make", python_path=folder)


def test_a_factory_of_the_user_loads_where_its_folder_is_gone(finished, new_store, tmp_path):
    machinery = new_store(tmp_path / "state")
    own = own_module(tmp_path / "code", imports="import beside")
    params = finished.params.model_copy(
        update={"model": own.model_copy(update={"weights": finished.params.model.weights})}
    )
    version = register(machinery.state, finished.run, params)
    expected = logits(applied(finished, tmp_path))
    shutil.rmtree(tmp_path / "code")
    model = MlflowRegistry(machinery).resolve(version.uri)
    assert (model.spec, model.python_path.name) == ("own.nets:make", "source")
    kept = [path.relative_to(model.python_path).as_posix() for path in model.python_path.rglob("*.*")]
    assert sorted(name for name in kept if "__pycache__" not in name) == ["beside.py", "own/__init__.py", "own/nets.py"]
    assert torch.equal(logits(model), expected)


def test_a_factory_that_needs_more_than_its_modules_is_refused_before_it_is_kept(finished, new_store, tmp_path):
    machinery = new_store(tmp_path / "state")
    own = own_module(tmp_path / "code", imports="")
    params = finished.params.model_copy(
        update={"model": own.model_copy(update={"weights": finished.params.model.weights})}
    )
    with pytest.raises(ModelError, match="top of the module"):
        register(machinery.state, finished.run, params)
    assert (registered(machinery)["versions"], registered(machinery)["models"]) == ([], [])


def test_a_run_that_is_not_tracked_there_is_an_outside_error(finished, new_store, tmp_path):
    registry = MlflowRegistry(new_store(tmp_path))
    with pytest.raises(OutsideError, match="cannot register"):
        registry.register(finished.run, finished.params, tracked="0" * 32)
