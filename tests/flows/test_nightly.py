"""Nights on a real Prefect server, a real registry and real versions of DVC: what is new is asked, and nothing else."""

import json
import signal
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from neuroinspect.artifacts import read_json
from neuroinspect.assembly import needed_review_store
from neuroinspect.errors import ModelSpecError, NightlyError, SettingsError
from neuroinspect.machinery import Machinery
from neuroinspect.nightly import Night
from neuroinspect.review import Candidate, decide, judge, open_request
from neuroinspect.settings import load_params
from tests.adapters.mlflow_runs import client
from tests.adapters.webhook_server import receiver
from tests.flows.nightly_project import CHAMPION, NAME, Project, make_nightly_project
from tests.tiny import make_project

KILLED_IN = ("review", "keep_night")  # a night with a question half asked, and one without its entry


@pytest.fixture(scope="module")
def project(prefect_server, tmp_path_factory) -> Project:
    """One in which there was no night yet."""
    return make_nightly_project(tmp_path_factory.mktemp("nightly"))


@dataclass(frozen=True)
class Story:
    """A few nights, one after the other.

    Attributes:
        project: they were in.
        nights: by what was special about them.
        pictures: after each night, how many were drawn in all.
        told: what the webhook heard in the first night.
    """

    project: Project
    nights: Mapping[str, Night]
    pictures: Mapping[str, int]
    told: list[Any]

    def statuses(self, name: str) -> dict[str, str]:
        return {one.name: one.status for one in self.nights[name].classes}


def run_night(project: Project, date: str, *, machinery: Machinery | None = None, **given: Any) -> Night:
    from flows.nightly import nightly
    from flows.surroundings import surrounded_by

    params = project.params.model_copy(update=given)
    with surrounded_by(machinery or project.machinery, lambda *_: None):
        return nightly(params, str(params.runs), date)


@pytest.fixture(scope="module")
def story(project, tmp_path_factory) -> Story:
    nights: dict[str, Night] = {}
    pictures: dict[str, int] = {}
    project = project.copy(tmp_path_factory.mktemp("story") / "project")

    def night(name: str, date: str, **given: Any) -> None:
        nights[name] = run_night(project, date, **given)
        pictures[name] = len(list(project.params.runs.glob("nightly-*/visualize/*/*.png")))

    with receiver() as server:
        hook = f"http://127.0.0.1:{server.port}/hook"
        machinery = Machinery(state=project.machinery.state, webhook_url=hook, webhook_private=True)
        night("first", "2026-11-01", machinery=machinery)
        told = [body for _, _, body in server.seen]
    night("second", "2026-11-02")
    project.name_data(1)
    night("new data", "2026-11-03")
    answer_everything(project)
    night("answered", "2026-11-04")
    return Story(project, nights, pictures, told)


def answer_everything(project: Project) -> None:
    """Reject what is asked about mugs, approve one neuron of the first question about fish and judge all of the second one."""
    book = needed_review_store(project.machinery)
    for number, review in enumerate(book.pending()):
        request, run = review.request, review.run.root
        if request.class_name == "mug":
            answer = decide(request, verdict="rejected", neurons={}, note="they belong to it", by="anna")
            book.decide(answer.record(), run=run)
        elif number == 0:
            chosen = {"fish": [request.candidates[0].neuron]}
            book.decide(decide(request, verdict="approved", neurons=chosen, by="anna").record(), run=run)
        else:
            for candidate in request.candidates:
                said = judge(request, neuron=candidate.neuron, verdict="unclear", by="anna")
                book.judge(request.id, said)


def nights_in_mlflow(project: Project) -> list[Any]:
    mlflow = client(project.machinery)
    kept = mlflow.get_experiment_by_name(f"neuroinspect/{NAME}/nights")
    return list(mlflow.search_runs([kept.experiment_id], order_by=["attributes.start_time ASC"]))


def test_the_first_night_asks_about_the_worst_classes_and_names_what_is_new(story):
    night = story.nights["first"]
    assert story.statuses("first") == {"fish": "asked", "mug": "asked"}
    assert night.model == f"{NAME}-v1"
    for one in night.classes:
        request = read_json(one.run / "review" / "request.json")
        assert (request["id"], request["class"]) == (one.review, one.name)
        assert one.news is not None
        assert set(one.news.new) == {n for n, share in one.news.stability.items() if share >= 0.8}
        assert set(one.news.stability) == {candidate["neuron"] for candidate in request["candidates"]}
        assert (one.run / "checks" / "extract.json").exists()
        assert any((one.run / "visualize").rglob("*.png"))


def test_the_folders_say_model_data_and_class(story):
    night = story.nights["first"]
    version = yaml.safe_load(story.project.versions[0])["outs"][0]["md5"][:8]
    assert night.folder.name == f"nightly-{NAME}-v1"
    assert {one.run.name for one in night.classes} == {
        f"nightly-{NAME}-v1-{version}-{name}" for name in ("fish", "mug")
    }


def test_the_backbone_runs_once_for_all_classes(story):
    night = story.nights["answered"]
    shared = [(night.folder / "extract" / "features.train.npy").stat().st_ino]
    assert shared * 2 == [(one.run / "extract" / "features.train.npy").stat().st_ino for one in night.classes]
    assert not (night.folder / "diagnose").exists()


def test_opening_a_review_tells_the_webhook(story):
    opened = [body for body in story.told if body["event"] == "opened"]
    assert {body["review"]["class"] if "review" in body else body["class"] for body in opened} == {"fish", "mug"}


def test_the_next_night_has_nothing_new_and_draws_nothing(story):
    assert story.statuses("second") == {"fish": "nothing_new", "mug": "nothing_new"}
    assert all("waiting for an answer" in one.sentence and one.review is None for one in story.nights["second"].classes)
    assert story.pictures["second"] == story.pictures["first"] > 0


def test_changed_data_is_brought_and_asks_for_what_it_shows_alone(story):
    assert "called" not in (story.project.root / "data.dvc").read_text()
    fish, mug = story.nights["new data"].classes
    before = {one.name: one.news for one in story.nights["first"].classes}
    assert (fish.name, fish.status, mug.name, mug.status) == ("fish", "asked", "mug", "nothing_new")
    assert fish.news is not None
    assert fish.news.new
    assert not set(fish.news.new) & set(before["fish"].stability)
    assert set(fish.news.waiting) <= set(before["fish"].stability)
    assert fish.run != story.nights["first"].classes[0].run
    versions = [run.data.tags["data_version"] for run in nights_in_mlflow(story.project)]
    hashes = [yaml.safe_load(text)["outs"][0]["md5"] for text in story.project.versions]
    assert versions == [f"dvc:{hashes[place]}" for place in (0, 0, 1, 1)]


def test_what_was_decided_or_judged_does_not_ask_again(story):
    assert story.statuses("answered") == {"fish": "nothing_new", "mug": "nothing_new"}
    for one in story.nights["answered"].classes:
        assert one.news is not None
        assert set(one.news.known) == {n for n, share in one.news.stability.items() if share >= 0.8}
        assert "decided already" in one.sentence
    assert story.pictures["answered"] == story.pictures["new data"]


def test_mlflow_has_a_point_for_each_night(story):
    kept = nights_in_mlflow(story.project)
    assert [run.data.tags["night"] for run in kept] == [f"2026-11-0{day}" for day in range(1, 5)]
    assert {run.info.status for run in kept} == {"FINISHED"}
    assert [run.data.metrics["reviews_opened"] for run in kept] == [2, 0, 1, 0]
    performance = read_json(story.nights["answered"].folder / "extract" / "performance.json")["splits"]
    figures, tags, judged = kept[-1].data.metrics, kept[-1].data.tags, performance["judge"]
    worst = judged["per_class"][judged["worst_class"]["name"]]
    assert figures["worst_class_accuracy"] == worst["accuracy"]
    assert (figures["worst_class_accuracy_low"], figures["worst_class_accuracy_high"]) == (worst["low"], worst["high"])
    assert figures["average_accuracy"] == judged["accuracy"]
    assert figures["class/boat"] == judged["per_class"]["boat"]["accuracy"]
    assert figures["select/worst_class_accuracy"] == performance["select"]["worst_class"]["accuracy"]
    assert (tags["model_version"], tags["model_origin"]) == (f"{NAME}-v1", f"models:/{NAME}/1")
    assert json.loads(tags["debugged"]) == ["fish", "mug"]
    plots = [Path(run.info.artifact_uri.removeprefix("file://")) / "history.svg" for run in kept]
    assert ["1 night," in plot.read_text() for plot in plots] == [True, False, False, False]
    assert "4 nights," in plots[-1].read_text()


def test_the_command_draws_the_history_and_names_the_models_it_has(story, tmp_path):
    params = story.project.root / "params.yaml"
    call = ["history", "--params", str(params), "--out", str(tmp_path / "plot.svg"), "--json"]
    from neuroinspect.cli import app

    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert [night["data"] for night in shown["nights"]] == [
        yaml.safe_load(story.project.versions[place])["outs"][0]["md5"][:8] for place in (0, 0, 1, 1)
    ]
    assert "4 nights, 01 Nov 2026 to 04 Nov 2026" in (tmp_path / "plot.svg").read_text()
    refused = CliRunner().invoke(app, ["history", "--model", "another", "--params", str(params)])
    assert refused.exit_code == 1
    assert f"no night of 'another'; it has those of {NAME}" in " ".join(refused.output.split())


def decide_for_the_parent(project: Project, neurons: range) -> None:
    """What somebody once said of fish in the model that the champion was edited from."""
    parent = client(project.machinery).get_model_version(NAME, "1").tags["parent_fingerprint"]
    candidates = [Candidate(neuron=neuron, direction="both", vote_share=0.5) for neuron in neurons]
    asked = open_request(candidates, class_name="fish", class_index=1, model=parent, data_version="manifest:older")
    book, run = needed_review_store(project.machinery), project.params.runs / "first"
    book.open(asked.record(), run=run)
    book.decide(decide(asked, verdict="rejected", neurons={}, note="no cue", by="anna").record(), run=run)


def test_a_class_that_fails_is_named_at_the_end_and_the_others_are_kept(project, tmp_path):
    copy = project.copy(tmp_path / "project")
    version = yaml.safe_load(copy.versions[0])["outs"][0]["md5"][:8]
    blocked = copy.params.runs / f"nightly-{NAME}-v1-{version}-fish"
    blocked.touch()
    with pytest.raises(NightlyError, match=r"1 of 2 classes could not be debugged: 'fish': .*goes on where"):
        run_night(copy, "2026-11-01")
    (kept,) = nights_in_mlflow(copy)
    assert (kept.info.status, json.loads(kept.data.tags["failed"])) == ("FAILED", ["fish"])
    assert [review.request.class_name for review in needed_review_store(copy.machinery).pending()] == ["mug"]

    blocked.unlink()
    decide_for_the_parent(copy, range(60))
    night = run_night(copy, "2026-11-01")
    assert [one.status for one in night.classes] == ["asked", "asked"]
    news = night.classes[0].news
    assert news is not None
    assert {n for n, share in news.stability.items() if share >= 0.8} == {*news.known, *news.new}
    assert max(news.known) < 60 <= min(news.new)
    (kept,) = nights_in_mlflow(copy)
    assert (kept.info.status, json.loads(kept.data.tags["failed"])) == ("FINISHED", [])


def test_without_a_champion_the_way_out_is_named(project, tmp_path):
    nightly = project.params.nightly.model_copy(update={"model": CHAMPION.replace("champion", "nobody")})
    with pytest.raises(
        ModelSpecError, match=r"(?s)@nobody is not in the registry; there is .*neuroinspect promote.*nightly\.model"
    ):
        run_night(project, "2026-11-01", nightly=nightly)
    with pytest.raises(SettingsError, match="expected a date"):
        run_night(project, "tonight")


def test_a_model_of_no_registry_without_mistakes_is_a_night_without_a_question(prefect_server, tmp_path):
    params = load_params(make_project(tmp_path / "project", perfect=True))
    quiet = Project(tmp_path / "project", ("", ""))
    night = run_night(quiet, "2026-11-01")
    assert night.classes == ()
    (kept,) = nights_in_mlflow(quiet)
    assert kept.data.metrics["worst_class_accuracy"] == 1
    assert [path.name for path in params.runs.iterdir() if path.is_dir()] == [night.folder.name]


@pytest.fixture(scope="module")
def survived(project, children, tmp_path_factory) -> tuple[Project, list[int], list[str]]:
    """A night that was killed in several tasks and then finished; the exit codes, and what was logged."""
    copy = project.copy(tmp_path_factory.mktemp("killed") / "project")
    params = copy.root / "params.yaml"
    codes = [children.run(params, killed_in=task, night="2026-11-01") for task in (*KILLED_IN, None)]
    return copy, codes, (copy.root / "log").read_text().splitlines()


def test_a_night_that_is_killed_again_and_again_gives_one_entry_each(survived):
    copy, codes, log = survived
    assert codes == [-signal.SIGKILL] * len(KILLED_IN) + [0], log[-30:]
    (kept,) = nights_in_mlflow(copy)
    assert kept.info.status == "FINISHED"
    assert len(json.loads(kept.data.tags["reviews_opened"])) == 2
    with sqlite3.connect(copy.machinery.state / "reviews.db") as store:
        assert store.execute("select what, count(*) from review_trail group by what").fetchall() == [("opened", 2)]
    computed = Counter(line.rpartition(" - ")[2] for line in log if line.endswith(": computed"))
    assert computed == {f"{stage}: computed": 1 for stage in ("validate", "extract")} | {
        f"{stage}: computed": 2 for stage in ("diagnose", "visualize", "review")
    }


def test_a_killed_night_is_what_it_would_have_been_undisturbed(survived, story):
    copy = survived[0]
    undisturbed = {one.run.name: read_json(one.run / "news.json") for one in story.nights["first"].classes}
    for name, news in undisturbed.items():
        assert (
            read_json(copy.params.runs / name / "news.json")["news"]["new"] == news["news"]["new"]
            or news["asked"]["date"] != "2026-11-01"
        )
    assert len(list(copy.params.runs.glob("nightly-*/visualize/*/*.png"))) == story.pictures["first"]


def test_the_server_shows_the_night(story):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as asked:
        found = [run for run in asked.read_flow_runs() if run.parameters.get("runs") == str(story.project.params.runs)]
    assert {run.name for run in found} == {f"nightly {NAME}@champion"}
    assert {run.state.name for run in found} == {"Completed"}
    assert len(found) == len(story.nights)
