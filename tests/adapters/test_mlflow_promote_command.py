"""`neuroinspect register`, `promote` and `rollback` as a person and a script call them."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from neuroinspect.cli import app
from neuroinspect.machinery import Machinery
from tests.adapters.mlflow_runs import client
from tests.adapters.promotion_store import NAME, good_run, register

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def candidates(finished, new_store, tmp_path_factory) -> Machinery:
    """A store with a candidate and the bias-only edit beside it, and nothing in service."""
    machinery = new_store(tmp_path_factory.mktemp("commands"))
    register(machinery, good_run(finished.run, tmp_path_factory.mktemp("good") / "fish"), finished.params)
    return machinery


@pytest.fixture
def call(finished, candidates, tmp_path, monkeypatch) -> Call:
    """Calls a command on a project with that store: its exit code, and what it printed as text or as JSON."""
    shutil.copytree(candidates.state, tmp_path / "state")
    monkeypatch.setenv("NEUROINSPECT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    project = finished.params.runs.parent

    def called(*words: str) -> tuple[int, Any]:
        result = CliRunner().invoke(app, [*words, "--params", str(project / "params.yaml")])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, json.loads(result.stdout) if "--json" in words else result.output

    return called


def aliases(folder) -> dict[str, int]:
    return dict(client(Machinery(state=folder / "state")).get_registered_model(NAME).aliases)


def test_from_the_untouched_model_to_an_edit_and_back(call, tmp_path):
    code, shown = call("promote", "candidate", "--by", "bob")
    assert (code, "there is no champion; `neuroinspect register`" in shown) == (3, True)
    code, first = call("register", "--run", "fish", "--by", "ada", "--json")
    assert (code, first["version"], first["first"]) == (0, 3, True)
    code, again = call("register", "--run", "fish", "--by", "ada")
    assert (code, "version 3 is the champion" in again) == (0, True)

    code, shown = call("promote", "candidate", "--dry-run")
    assert (code, "would be promoted" in shown, "bias only" in shown) == (0, True, True)
    assert aliases(tmp_path) == {"candidate": 1, "champion": 3}
    code, done = call("promote", "1", "--by", "bob", "--json")
    assert (code, done["promoted"], done["holds"], done["entry"]["to"]) == (0, True, True, 1)
    assert {rule["name"] for rule in done["rules"]} >= {"person", "same_data", "worst_class_over_placebo"}
    assert aliases(tmp_path) == {"candidate": 1, "champion": 1, "previous": 3}
    code, shown = call("promote", "1")
    assert (code, f"models:/{NAME}/1 is the champion: bob promoted version 1" in shown) == (0, True)

    code, shown = call("rollback", "--by", "cleo", "--reason", "complaints")
    assert (code, f"models:/{NAME}/3 is the champion again, in place of version 1" in shown) == (0, True)
    code, shown = call("rollback")
    assert (code, "no champion before version 3" in shown) == (1, True)
    code, listed = call("promote", "--list", "--json")
    assert [(one["kind"], one["from"], one["to"], one["by"]) for one in listed["trail"]] == [
        ("first", None, 3, "ada"),
        ("promote", 3, 1, "bob"),
        ("rollback", 1, 3, "cleo"),
    ]
    assert "complaints" in call("promote", "--list")[1]


def test_a_newcomer_with_an_empty_trail_leaves_the_champion_of_the_team(call, tmp_path):
    client(Machinery(state=tmp_path / "state")).set_registered_model_alias(NAME, "champion", "2")
    code, shown = call("register", "--run", "fish", "--by", "bob")
    assert (code, "version 2 of" in shown, "NEUROINSPECT_REVIEW_URL" in shown) == (1, True, True)
    assert aliases(tmp_path) == {"candidate": 1, "champion": 2}
    code, shown = call("register", "--run", "fish", "--by", "bob", "--adopt")
    assert (code, "version 2 is the champion" in shown) == (0, True)
    assert aliases(tmp_path) == {"candidate": 1, "champion": 2}


def test_a_refusal_shows_each_rule_changes_nothing_and_can_be_overridden(call, tmp_path):
    call("register", "--run", "fish", "--by", "ada")
    code, shown = call("promote", "2")
    assert code == 3
    assert "worst_class_over_placebo" in shown
    assert "refused" in shown
    code, refused = call("promote", "2", "--json")
    assert (code, refused["promoted"], refused["holds"]) == (3, False, False)
    assert aliases(tmp_path)["champion"] == 3
    code, shown = call("promote", "2", "--override", "a demonstration", "--by", "bob")
    assert (code, "against the rules" in shown) == (0, True)
    assert "a demonstration" in call("promote", "--list")[1]
    assert aliases(tmp_path)["champion"] == 2


def test_what_cannot_be_asked_is_a_wrong_setting(call):
    assert call("promote")[0] == 2
    assert call("promote", "1", "--list")[0] == 2
    code, shown = call("promote", "1", "--model", "nobody")
    assert (code, f"there is {NAME}" in " ".join(shown.split())) == (1, True)
    assert "nothing serves" in call("promote", "--list", "--model", "nobody")[1]
