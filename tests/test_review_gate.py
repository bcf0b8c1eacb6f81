"""The gate between finding and editing: the store is the truth, the run folder holds a copy, a file is never a person."""

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder, read_json, write_json
from neuroinspect.errors import ReviewConflictError, ReviewError, ReviewExpiredError
from neuroinspect.gate import settle_review, take_decision
from neuroinspect.machinery import load_machinery
from neuroinspect.ports import Tools
from neuroinspect.review import Decision, EditOrder, auto_decision, decide
from neuroinspect.settings import parse_params
from neuroinspect.stages.review import read_decision, read_request
from tests.review_project import Project


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
    assert project.store.closed() == []


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
    refused = project.call("decide", "--reject", "--note", "no cue", "--by", "bob")
    assert refused.exit_code == 1
    assert "already approved by ada" in refused.stderr
    assert (
        project.printed("decide", "--reject", "--note", "no cue", "--by", "bob", "--replace")["verdict"] == "rejected"
    )
    assert what(project) == ["opened", "decided", "replaced"]


def test_the_list_shows_what_waits_and_what_is_decided(project):
    assert project.printed("list") == {"pending": [], "closed": []}
    assert "no review" in project.call("list").stdout
    project.printed("show")
    (waiting,) = project.printed("list")["pending"]
    assert waiting["request"] == read_request(project.run).record()
    assert waiting["run"] == str(project.run.root)
    project.printed("decide", "--neurons", "3", "--by", "ada")
    listed = project.printed("list")
    assert (listed["pending"], listed["closed"][0]["decision"]["by"]) == ([], "ada")
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
        ('{"class": "boat", "reject": true, "by": "ada"}', "about class 'boat', the review is about 'fish'"),
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


def order_of(project: Project) -> EditOrder:
    order = project.store.edit_order(read_request(project.run).id)
    assert order is not None
    return order


@pytest.mark.parametrize("way", ["command line", "rule", "adopted"])
def test_an_order_holds_the_folder_the_decision_was_taken_on_and_its_settings(project, way):
    if way == "command line":
        project.printed("decide", "--neurons", "3", "--by", "ada")
    elif way == "rule":
        settle_review(project.run, project.params, tools=project.tools, auto=True)
    else:
        write_json(project.copy, project.approval("eve").record())
        settle_review(project.run, project.params, tools=project.tools)
    order = order_of(project)
    assert order.run == project.run.root
    assert order.params is not None
    assert parse_params(dict(order.params), source="the order") == project.params


def test_the_strength_of_a_decision_is_kept_wherever_it_goes(project):
    request = read_request(project.run)
    partly = decide(request, verdict="approved", neurons={"fish": [3]}, by="ada", strength=0.25)
    write_json(project.copy, partly.record())
    adopted = settle_review(project.run, project.params, tools=project.tools)
    assert adopted is not None
    assert adopted.strength == 0.25
    project.copy.unlink()
    settle_review(project.run, project.params, tools=project.tools)
    copied = read_decision(project.run)
    assert copied is not None
    assert copied.strength == 0.25
    take_decision(project.run, partly, store=project.store, replace=True)
    kept = project.store.decision(request.id)
    assert kept is not None
    assert (kept["strength"], kept["unverified"]) == (0.25, False)


def test_an_answer_that_comes_too_late_is_kept_nowhere(project):
    request = read_request(project.run)
    url = load_machinery(project.params_file.parent).review_store
    SqlReviews(url, expires_after=timedelta(0)).open(request.record(), run=project.run.root)
    for late in (project.approval("ada"), auto_decision(request, count=1)):
        with pytest.raises(ReviewExpiredError, match="expired on"):
            take_decision(project.run, late, store=project.store, params=project.params)
    assert not project.copy.exists()
    write_json(project.copy, project.approval("eve").record())
    with pytest.raises(ReviewExpiredError, match="expired on"):
        settle_review(project.run, project.params, tools=project.tools)
    assert what(project) == ["opened"]


def test_a_folder_another_process_works_in_takes_no_decision(project):
    project.printed("show")
    with project.run.lock():
        refused = project.call("decide", "--neurons", "3", "--by", "ada")
    assert refused.exit_code == 1
    assert "in use by" in refused.stderr
    assert (what(project), project.copy.exists()) == (["opened"], False)


def test_a_folder_that_is_renamed_goes_on_by_itself_and_orders_no_second_edit(project):
    decision = project.approval("ada")
    take_decision(project.run, decision, store=project.store, params=project.params)
    before = order_of(project)
    renamed = RunFolder(project.run.root.rename(project.run.root.with_name("renamed")))
    project.store.open(read_request(renamed).record(), run=renamed.root, params={})
    assert settle_review(renamed, project.params, tools=project.tools) == decision
    assert read_decision(renamed) == decision
    project.store.finish(decision.record(), run=renamed.root, outcome="it helps")
    assert project.store.open_orders() == [before]
    assert [entry.what for entry in project.store.trail(decision.request)] == ["opened", "decided", "edited"]


def test_the_same_decision_on_another_folder_of_the_same_finding_orders_no_second_edit(project):
    decision = project.approval("ada")
    take_decision(project.run, decision, store=project.store, params=project.params)
    before = order_of(project)
    other = RunFolder(project.run.root.with_name("other"))
    shutil.copytree(project.run.root, other.root)
    take_decision(other, decision, store=project.store, params=project.params)
    with pytest.raises(ReviewConflictError, match="already approved by ada"):
        take_decision(other, project.approval("bob", (5,)), store=project.store, params=project.params)
    assert project.store.open_orders() == [before]
    take_decision(other, project.approval("bob", (5,)), store=project.store, params=project.params, replace=True)
    after = order_of(project)
    assert after.run == other.root
    assert after.key != before.key
    assert read_decision(project.run) == decision
    assert settle_review(project.run, project.params, tools=project.tools) == project.approval("bob", (5,))
