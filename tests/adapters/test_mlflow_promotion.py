"""Promotion in a real MLflow: each edit is a candidate with its lineage, the champion an alias, and a rollback exact."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch
from mlflow import MlflowClient

from neuroinspect.adapters import mlflow_registry
from neuroinspect.adapters.mlflow_promotion import MlflowShelf
from neuroinspect.adapters.mlflow_registry import MlflowRegistry
from neuroinspect.adapters.mlflow_store import LAYER
from neuroinspect.adapters.mlflow_versions import version_of_layer
from neuroinspect.adapters.sql_promotions import SqlPromotions
from neuroinspect.artifacts import read_json
from neuroinspect.assembly import plain_tools
from neuroinspect.classifier import load_classifier
from neuroinspect.errors import ModelSpecError, PromotionConflictError, PromotionError, PromotionRefusedError
from neuroinspect.machinery import Machinery
from neuroinspect.settings import ModelSettings
from tests.adapters.mlflow_runs import client
from tests.adapters.promotion_store import METHOD, NAME, baseline, desk_of, good_run, register


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory) -> Path:
    return good_run(finished.run, tmp_path_factory.mktemp("good") / "fish")


@pytest.fixture(scope="module")
def store(finished, run, new_store, tmp_path_factory) -> Machinery:
    """Version 1 is the untouched model and serves, 2 a candidate, 3 the bias-only edit beside it."""
    machinery = new_store(tmp_path_factory.mktemp("promotion"))
    assert baseline(machinery, run, finished.params).version == "1"
    assert desk_of(machinery).begin(NAME, "1", by="ada") is not None
    assert register(machinery, run, finished.params).version == "2"
    return machinery


@pytest.fixture
def copy(store, tmp_path) -> Machinery:
    """A store that a test may change."""
    machinery = Machinery(state=tmp_path / "copy")
    shutil.copytree(store.state, machinery.state)
    return machinery


def aliases(machinery: Machinery) -> dict[str, int]:
    return dict(client(machinery).get_registered_model(NAME).aliases)


def tags(machinery: Machinery, number: int) -> dict[str, str]:
    return dict(client(machinery).get_model_version(NAME, str(number)).tags)


def weights(model: ModelSettings) -> dict[str, torch.Tensor]:
    loaded = load_classifier(**model.model_dump(exclude={"origin", "preprocessing"}), preprocessing=model.preprocessing)
    return loaded.module.state_dict()


def assert_equal_weights(one: ModelSettings, other: ModelSettings) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_candidate_says_what_it_is_made_from(store, run):
    found = tags(store, 2)
    provenance, decision = read_json(run / "run.json"), read_json(run / "review" / "decision.json")
    assert (found["parent_version"], found["parent_fingerprint"]) == ("1", provenance["model"]["fingerprint"])
    assert (found["request"], found["review"]) == (decision["request"], "approved")
    assert (found["reviewer"], found["unverified"], found["class"]) == ("ada", "false", "fish")
    assert (found["method"], found["data_version"]) == (METHOD, provenance["data_version"])
    assert found["run_id"] == client(store).get_model_version(NAME, "2").run_id
    assert len(found["metrics_hash"]) == len(found[LAYER]) == 64


def test_the_bias_only_edit_is_a_candidate_of_its_own_without_the_alias(store):
    own, bias = tags(store, 2), tags(store, 3)
    assert (own["method"], bias["method"]) == (METHOD, "bias")
    same = ("run_id", "metrics_hash", "parent_version", "reviewer", "data_version")
    assert {name: own[name] for name in same} == {name: bias[name] for name in same}
    assert own[LAYER] != bias[LAYER]
    assert not {"verdict", "surely_better"} & bias.keys()  # they are about the recommended edit
    assert aliases(store) == {"candidate": 2, "champion": 1}


def test_a_version_says_how_it_is_known_when_it_is_debugged_in_turn(store):
    registry = MlflowRegistry(store)
    for number in (1, 2, 3):
        model = registry.resolve(f"models:/{NAME}/{number}")
        given = model.model_dump(exclude={"origin", "preprocessing"})
        assert (
            load_classifier(**given, preprocessing=model.preprocessing).fingerprint
            == tags(store, number)["fingerprint"]
        )


def test_two_machines_that_register_the_same_edit_at_once_leave_one_version(finished, copy, run, monkeypatch):
    created: list[str] = []
    create = MlflowClient.create_model_version

    def counted(*words, **given):
        made = create(*words, **given)
        created.append(str(made.version))
        return made

    monkeypatch.setattr(MlflowClient, "create_model_version", counted)
    monkeypatch.setattr(mlflow_registry, "version_of_layer", first_blind(version_of_layer))
    assert register(copy, run, finished.params).version == "2"
    assert created == ["4"]
    assert sorted(int(one.version) for one in client(copy).search_model_versions(f"name = '{NAME}'")) == [1, 2, 3]


def first_blind(look):
    """The same look, which the first time sees nothing."""
    looks = []

    def looked(*words):
        looks.append(words)
        return None if len(looks) == 1 else look(*words)

    return looked


def test_new_data_are_noted_on_the_champion(finished, copy):
    registry = MlflowRegistry(copy)
    champion = finished.params.model_copy(update={"model": registry.resolve(f"models:/{NAME}@champion")})
    assert registry.register_untouched(champion, data_version="dvc:new", by="ada").version == "1"
    judged = desk_of(copy).judge(NAME, "2")
    assert [rule.name for rule in judged.broken] == ["same_data"]
    assert (tags(copy, 1)["compared_on"], tags(copy, 1)["compared_on_by"]) == ("dvc:new", "ada")


def test_registering_again_adds_no_version(finished, copy, run):
    assert register(copy, run, finished.params).version == "2"
    assert baseline(copy, run, finished.params).version == "1"
    assert len(client(copy).search_model_versions(f"name = '{NAME}'")) == 3


def test_the_first_champion_is_the_untouched_model(finished, store):
    assert tags(store, 1)["kind"] == "baseline"
    assert_equal_weights(MlflowRegistry(store).resolve(f"models:/{NAME}@champion"), finished.params.model)


def test_an_edit_that_passes_becomes_the_champion_and_a_rollback_returns_the_very_version(finished, copy):
    desk, registry = desk_of(copy), MlflowRegistry(copy)
    judged = desk.judge(NAME, "candidate")
    assert [rule.name for rule in judged.broken] == []
    assert desk.promote(judged, by="bob").after == 2
    assert aliases(copy) == {"candidate": 2, "champion": 2, "previous": 1}
    champion = registry.resolve(f"models:/{NAME}@champion")
    assert champion.origin == f"models:/{NAME}/2"
    assert_equal_weights(champion, registry.resolve(f"models:/{NAME}/2"))
    assert desk.rollback(NAME, by="cleo", reason="complaints").after == 1
    assert aliases(copy) == {"candidate": 2, "champion": 1}
    assert_equal_weights(registry.resolve(f"models:/{NAME}@champion"), finished.params.model)
    assert [(one.kind, one.before, one.after, one.by) for one in desk.trail(NAME)] == [
        ("first", None, 1, "ada"),
        ("promote", 1, 2, "bob"),
        ("rollback", 2, 1, "cleo"),
    ]


def test_the_figures_come_from_mlflow_and_must_be_those_the_version_was_registered_with(copy):
    kept = tags(copy, 2)["run_id"]
    place = client(copy).get_run(kept).info.artifact_uri.removeprefix("file://")
    metrics = Path(place) / "evaluate" / "metrics.json"
    content = metrics.read_bytes()
    try:
        metrics.write_bytes(content.replace(b"0.15", b"0.25"))
        with pytest.raises(PromotionRefusedError, match="changed since"):
            desk_of(copy).promote(desk_of(copy).judge(NAME, "2"), by="bob")
        metrics.unlink()
        with pytest.raises(PromotionRefusedError, match=r"has no evaluate/metrics\.json"):
            desk_of(copy).promote(desk_of(copy).judge(NAME, "2"), by="bob")
    finally:
        metrics.write_bytes(content)  # copies of a store share its artifacts
    assert aliases(copy)["champion"] == 1


@pytest.mark.parametrize(
    ("tag", "text", "says"),
    [
        ("run_id", "of the parent", "did not make version 2"),
        ("run_id", "0" * 32, "is gone"),
        ("class", "boat", "and version 2 differ in class"),
    ],
)
def test_the_figures_of_another_run_are_not_believed(copy, tag, text, says):
    here = client(copy)
    if text == "of the parent":
        experiment = here.get_run(tags(copy, 2)["run_id"]).info.experiment_id
        text = here.create_run(experiment).info.run_id
    here.set_model_version_tag(NAME, "2", tag, text)
    with pytest.raises(PromotionError, match=says):
        MlflowShelf(copy).metrics(MlflowShelf(copy).version(NAME, "2"))


def test_an_edit_that_runs_again_shows_the_figures_its_version_had_lost(finished, copy, run, tmp_path):
    first = tags(copy, 2)
    for tag in ("metrics_hash", "classes", "pictures"):
        client(copy).delete_model_version_tag(NAME, "2", tag)
    assert "worst_class_over_parent" in {rule.name for rule in desk_of(copy).judge(NAME, "2").broken}
    assert register(copy, run, finished.params).version == "2"
    assert tags(copy, 2) == first
    assert desk_of(copy).judge(NAME, "2").holds

    again = good_run(finished.run, tmp_path / "again", spoil=lambda metrics: metrics.update(judged="anew"))
    assert register(copy, again, finished.params).version == "2"
    assert tags(copy, 2)["metrics_hash"] != first["metrics_hash"]
    assert desk_of(copy).judge(NAME, "2").holds

    auto = good_run(finished.run, tmp_path / "auto", spoil=lambda metrics: metrics.update(judged="late"), by="auto")
    known = tags(copy, 2)
    assert register(copy, auto, finished.params).version == "2"
    assert tags(copy, 2) == known


def test_a_bias_only_edit_has_no_placebo_and_does_not_pass(copy):
    judged = desk_of(copy).judge(NAME, "3")
    assert {"worst_class_over_placebo", "class_auroc_over_parent"} <= {rule.name for rule in judged.broken}
    (placebo,) = [rule for rule in judged.rules if rule.name == "worst_class_over_placebo"]
    assert placebo.came == "not known: no difference of bias to a placebo"


def test_of_ten_who_promote_at_once_one_wins_and_the_aliases_are_what_the_trail_says(copy):
    judged = [desk_of(copy).judge(NAME, "2" if number % 2 else "3") for number in range(10)]
    barrier = Barrier(10)

    def promote(number: int) -> str:
        barrier.wait(60)
        try:
            desk_of(copy).promote(judged[number], by=f"promoter {number}", override="a race")
        except PromotionConflictError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(10) as threads:
        told = list(threads.map(promote, range(10)))
    first, entry = desk_of(copy).trail(NAME)
    assert (first.after, told.count("")) == (1, 1)
    assert told.index("") == int(entry.by.removeprefix("promoter "))
    assert all(f"{entry.by} promoted version {entry.after}" in message for message in told if message)
    assert aliases(copy) == {"candidate": 2, "champion": entry.after, "previous": 1}


def test_a_process_killed_between_trail_and_aliases_is_made_good_by_the_next_look(copy, forkyard):
    assert forkyard.submit(killed_while_pointing, copy.state).result(120) == -signal.SIGKILL
    assert [one.after for one in SqlPromotions(copy.review_store).trail(NAME)] == [1, 2]
    assert aliases(copy)["champion"] == 1
    assert plain_tools(copy).registry.resolve(f"models:/{NAME}@champion").origin == f"models:/{NAME}/2"
    assert desk_of(copy).trail(NAME)[-1].by == "eve"
    assert aliases(copy) == {"candidate": 2, "champion": 2, "previous": 1}


def killed_while_pointing(state: Path) -> int:
    """How a process ends that dies when its entry is written and no alias is moved."""
    machinery = Machinery(state=state)
    child = os.fork()
    if child == 0:
        try:
            MlflowShelf.point = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
            desk = desk_of(machinery)
            desk.promote(desk.judge(NAME, "2"), by="eve")
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_aliases_moved_by_hand_are_put_back_to_what_the_trail_says(copy):
    client(copy).set_registered_model_alias(NAME, "champion", "3")
    client(copy).set_registered_model_alias(NAME, "previous", "2")
    assert desk_of(copy).trail(NAME)[-1].after == 1
    assert aliases(copy) == {"candidate": 2, "champion": 1}


def test_a_registry_that_was_begun_anew_is_not_taken_for_the_one_on_the_trail(copy):
    client(copy).set_model_version_tag(NAME, "1", LAYER, "0" * 64)
    with pytest.raises(PromotionError, match="another model than the one that ada promoted version 1"):
        desk_of(copy).trail(NAME)


def test_what_is_not_there_is_named(copy):
    with pytest.raises(ModelSpecError, match=f"models:/{NAME}/9 is not in the registry; there is .*@champion"):
        desk_of(copy).judge(NAME, "9")
    with pytest.raises(ModelSpecError, match="expected the name"):
        desk_of(copy).judge("../x", "9")
