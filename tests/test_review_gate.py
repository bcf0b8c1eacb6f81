"""The gate between finding and editing: the store is the truth, the run folder holds a copy, a file is never a person."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder, read_json, write_json, write_table
from neuroinspect.cli import app
from neuroinspect.errors import ReviewConflictError, ReviewError
from neuroinspect.gate import settle_review, take_decision
from neuroinspect.machinery import load_machinery
from neuroinspect.ports import Tools
from neuroinspect.review import Decision, auto_decision, decide
from neuroinspect.settings import Params, load_params
from neuroinspect.stages.review import read_decision, read_request, review


class Project:
    """A run whose stages before the review are drawn by hand."""

    def __init__(self, folder: Path) -> None:
        self.params_file = folder / "params.yaml"
        params = {
            "model": {"spec": "neuroinspect.demo.backbone:scene_net"},
            "data": {"table": "t.csv"},
            "device": "cpu",
            "runs": "runs",
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.params_file.write_text(yaml.safe_dump(params))
        self.run = RunFolder(folder / "runs" / "run")
        self.diagnose("fish")

    @property
    def params(self) -> Params:
        return load_params(self.params_file)

    @property
    def store(self) -> SqlReviews:
        return SqlReviews(load_machinery(self.params_file.parent).review_store)

    @property
    def tools(self) -> Tools:
        return Tools(reviews=self.store)

    @property
    def copy(self) -> Path:
        return self.run.stage("review") / "decision.json"

    def diagnose(self, target: str) -> None:
        """Explain a class, and open the question about it."""
        for stage in ("validate", "diagnose", "visualize"):
            summary = {"status": "explained", "class": target, "class_index": len(target), "data_version": "d"}
            write_json(self.run.stage(stage) / "stage.json", {"inputs_hash": stage, "summary": summary})
        neurons = pd.DataFrame(
            {
                "neuron": [7, 3, 5],
                "direction": ["excessive", "insufficient", "both"],
                "vote_share": [0.2, 0.5, 0.5],
                "weight": 0.1,
                "probability_ratio": 1.5,
                "activation_gap": 0.2,
            }
        )
        write_table(self.run.stage("diagnose") / "neurons.parquet", neurons)
        review(self.run, self.params)

    def approval(self, by: str, neurons: tuple[int, ...] = (3,)) -> Decision:
        request = read_request(self.run)
        return decide(request, verdict="approved", neurons={request.class_name: neurons}, by=by)

    def call(self, command: str, *words: object) -> Any:
        arguments = ["review", command, *map(str, words), "--params", str(self.params_file)]
        return CliRunner().invoke(app, arguments)

    def printed(self, command: str, *words: object) -> Any:
        result = self.call(command, *words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture(autouse=True)
def _no_server(monkeypatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("NEUROINSPECT_PREFECT_URL", raising=False)


def what(project: Project) -> list[str]:
    return [entry.what for entry in project.store.trail(read_request(project.run).id)]


def test_nobody_has_decided_at_first(project):
    assert settle_review(project.run, project.params, tools=project.tools) is None
    assert not project.copy.exists()


def test_a_decision_is_kept_in_the_store_and_copied_into_the_folder(project):
    decision = project.approval("ada")
    take_decision(project.run, decision, store=project.store)
    assert project.store.decision(decision.request) == decision.record()
    assert read_decision(project.run) == decision
    assert settle_review(project.run, project.params, tools=project.tools) == decision


@pytest.mark.parametrize("written", ["another decision", "not even a decision"])
def test_the_store_goes_before_what_somebody_wrote_into_the_folder_and_says_so(project, written, caplog):
    decision = project.approval("ada")
    take_decision(project.run, decision, store=project.store)
    write_json(project.copy, project.approval("eve", (5,)).record() if written == "another decision" else {"by": "eve"})
    assert settle_review(project.run, project.params, tools=project.tools) == decision
    assert read_decision(project.run) == decision
    assert what(project) == ["opened", "decided"]
    assert caplog.text.count("the review store holds approved by ada") == 1
    settle_review(project.run, project.params, tools=project.tools)
    assert caplog.text.count("the review store holds") == 1


def test_a_decision_found_in_the_folder_is_adopted_as_unverified(project):
    found = project.approval("eve")
    write_json(project.copy, found.record())
    adopted = settle_review(project.run, project.params, tools=project.tools)
    assert adopted == found.model_copy(update={"unverified": True})
    assert read_decision(project.run) == adopted
    assert project.store.decision(found.request) == adopted.record()
    assert what(project) == ["opened", "adopted"]


def test_a_decision_found_in_the_folder_must_keep_the_rules(project):
    write_json(project.copy, project.approval("eve").model_copy(update={"neurons": {"fish": (999,)}}).record())
    with pytest.raises(ReviewError, match="999 are not candidates"):
        settle_review(project.run, project.params, tools=project.tools)
    assert project.store.decided() == []


def test_a_decision_lying_in_the_folder_was_there_before_the_one_taken_now(project):
    write_json(project.copy, project.approval("eve").record())
    with pytest.raises(ReviewConflictError, match="already approved by eve"):
        take_decision(project.run, project.approval("ada"), store=project.store)
    take_decision(project.run, project.approval("ada"), store=project.store, replace=True)
    assert read_decision(project.run) == project.approval("ada")


def test_a_decision_outlives_another_target_and_the_way_back(project):
    decision = project.approval("ada")
    take_decision(project.run, decision, store=project.store)
    project.diagnose("boat")
    assert settle_review(project.run, project.params, tools=project.tools) is None
    assert read_decision(project.run) is None
    project.diagnose("fish")
    assert read_decision(project.run) is None
    assert settle_review(project.run, project.params, tools=project.tools) == decision
    assert read_decision(project.run) == decision


def test_a_decision_on_another_question_reaches_neither_store_nor_folder(project):
    decision = project.approval("ada")
    project.store.open(read_request(project.run).record(), run=project.run.root)
    project.diagnose("boat")
    with pytest.raises(ReviewError, match="decide again"):
        take_decision(project.run, decision, store=project.store)
    assert project.store.decision(decision.request) is None
    assert not project.copy.exists()


def test_a_decision_that_was_not_copied_is_copied_the_next_time(project):
    decision = project.approval("ada")
    project.store.open(read_request(project.run).record(), run=project.run.root)
    project.store.decide(decision.record())  # and the process dies
    assert settle_review(project.run, project.params, tools=project.tools) == decision
    assert read_decision(project.run) == decision


def test_the_rule_decides_once_and_follows_its_setting(project):
    first = settle_review(project.run, project.params, tools=project.tools, auto=True)
    assert settle_review(project.run, project.params, tools=project.tools, auto=True) == first
    assert what(project) == ["opened", "decided"]
    with project.params_file.open("a") as file:
        file.write("review: {auto_count: 1}\n")
    second = settle_review(project.run, project.params, tools=project.tools, auto=True)
    assert second == auto_decision(read_request(project.run), count=1)
    assert second != first
    assert what(project) == ["opened", "decided", "replaced"]


class AskedTooSoon(SqlReviews):
    """A store in which a person decides right after the first look."""

    def __init__(self, url: str, decision: Decision) -> None:
        super().__init__(url)
        self._person: Decision | None = decision

    def decision(self, identifier: str) -> Any:
        seen = super().decision(identifier)
        if self._person is not None:
            person, self._person = self._person, None
            self.decide(person.record(), replace=seen is not None)
        return seen


@pytest.mark.parametrize("auto_count_changed", [False, True])
def test_a_person_who_decides_at_the_same_moment_goes_before_the_rule(project, auto_count_changed):
    project.store.open(read_request(project.run).record(), run=project.run.root)
    if auto_count_changed:
        project.store.decide(auto_decision(read_request(project.run), count=1).record())
    person = project.approval("ada", (5,))
    store = AskedTooSoon(load_machinery(project.params_file.parent).review_store, person)
    assert settle_review(project.run, project.params, tools=Tools(reviews=store), auto=True) == person
    assert project.store.decision(person.request) == person.record()
    assert read_decision(project.run) == person


def test_a_person_who_decides_while_a_file_is_adopted_goes_before_it(project):
    project.store.open(read_request(project.run).record(), run=project.run.root)
    write_json(project.copy, project.approval("eve").record())
    person = project.approval("ada", (5,))
    store = AskedTooSoon(load_machinery(project.params_file.parent).review_store, person)
    assert settle_review(project.run, project.params, tools=Tools(reviews=store)) == person
    assert read_decision(project.run) == person


def test_the_command_line_decides_in_the_store(project):
    decided = project.printed("decide", "--neurons", "3", "--by", "ada", "--note", "trees")
    assert (decided["unverified"], decided["edit_run"]) == (False, None)
    kept = project.store.decision(read_request(project.run).id)
    assert kept is not None
    assert (kept["by"], kept["note"], kept["neurons"]) == ("ada", "trees", {"fish": [3]})
    assert project.printed("show")["decision"] == kept


def test_the_command_line_names_who_was_first(project):
    project.printed("decide", "--neurons", "3", "--by", "ada")
    project.copy.unlink()  # the store alone knows
    refused = project.call("decide", "--reject", "--by", "bob")
    assert refused.exit_code == 1
    assert "already approved by ada" in refused.stderr
    assert project.printed("decide", "--reject", "--by", "bob", "--replace")["verdict"] == "rejected"
    assert what(project) == ["opened", "decided", "replaced"]


def test_the_list_shows_what_waits_and_what_is_decided(project):
    assert project.printed("list") == {"pending": [], "decided": []}
    assert "no review" in project.call("list").stdout
    project.printed("show")
    (waiting,) = project.printed("list")["pending"]
    assert waiting["request"] == read_request(project.run).record()
    assert waiting["run"] == str(project.run.root)
    project.printed("decide", "--neurons", "3", "--by", "ada")
    listed = project.printed("list")
    assert (listed["pending"], listed["decided"][0]["decision"]["by"]) == ([], "ada")
    assert "approved" in project.call("list").stdout


def decision_file(project: Project, **values: object) -> Path:
    path = project.params_file.with_name("default.json")
    path.write_text(json.dumps({"class": "fish", "by": "ada", "note": "seen", **values}))
    return path


def test_an_imported_decision_is_unverified_and_reaches_no_store(project):
    file = decision_file(project, neurons=[3, 5])
    first = project.printed("import", file)
    assert (first["neurons"], first["by"], first["note"]) == ({"fish": [3, 5]}, "ada", "seen")
    assert (first["unverified"], first["rule"]) == (True, "imported from default.json")
    written = project.copy.read_bytes()
    assert project.printed("import", file) == first
    assert project.copy.read_bytes() == written
    assert not list(project.params_file.parent.rglob("reviews.db*"))


def test_an_imported_decision_never_becomes_verified(project):
    project.printed("import", decision_file(project, neurons=[3]))
    adopted = settle_review(project.run, project.params, tools=project.tools)
    assert adopted is not None
    assert (adopted.unverified, adopted.rule) == (True, "imported from default.json")
    shown = project.call("show")
    assert "imported from default.json; unverified" in shown.stdout
    assert project.printed("show")["decision"]["unverified"] is True


def test_an_import_follows_its_file_and_leaves_a_person_alone(project):
    project.printed("import", decision_file(project, neurons=[3]))
    assert project.printed("import", decision_file(project, reject=True))["verdict"] == "rejected"
    project.printed("decide", "--neurons", "5", "--by", "bob", "--replace")
    refused = project.call("import", decision_file(project, neurons=[3]))
    assert refused.exit_code == 1
    assert "already approved by bob" in refused.stderr
    assert read_json(project.copy)["by"] == "bob"


def test_an_import_opens_the_question_where_it_is_not_open(project):
    for path in sorted(project.run.stage("review").iterdir()):
        path.unlink()
    assert project.printed("import", decision_file(project, neurons=[3]))["neurons"] == {"fish": [3]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing or is not JSON"),
        ("{", "is missing or is not JSON"),
        ("[]", "holds no decision"),
        ('{"neurons": [3], "by": "ada"}', "class: Field required"),
        ('{"class": "fish", "neurons": ["3"], "by": "ada"}', "neurons.0: .*integer"),
        ('{"class": "fish", "neurons": 3, "by": "ada"}', "neurons: "),
        ('{"class": "fish", "neurons": [3], "by": "ada", "unverified": false}', "unverified: Extra"),
        ('{"class": "boat", "reject": true, "by": "ada"}', "about class 'boat', the request is about 'fish'"),
        ('{"class": "fish", "neurons": [3], "reject": true, "by": "ada"}', "rejected finding has no neurons"),
        ('{"class": "fish", "neurons": [999], "by": "ada"}', "999 are not candidates"),
        ('{"class": "fish", "neurons": [], "by": "ada"}', "at least one neuron"),
    ],
)
def test_a_file_that_holds_no_decision_is_refused(project, text, message):
    file = project.params_file.with_name("default.json")
    if text is not None:
        file.write_text(text)
    refused = project.call("import", file)
    assert refused.exit_code == 1
    assert re.search(message, refused.stderr)
    assert not project.copy.exists()
