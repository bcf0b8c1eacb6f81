"""A model's way through a team's servers: debugged, reviewed, edited, promoted, served, and taken back."""

import getpass
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from neuroinspect.artifacts import read_json, read_tensors
from tests.team.running import RunningStack, running_stack, wait
from tests.team.whole_way import NAME, POLICY, SECONDS, WholeWay

DRIVERS = {"prefect": "asyncpg", "mlflow": "psycopg2", "reviews": "psycopg"}
ROWS = {
    "prefect": ["flow_run"],
    "mlflow": ["runs", "model_versions"],
    "reviews": ["review", "review_trail", "promotion"],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Iterator[dict[str, sa.URL]]:
    """What each server keeps its data in; empty: SQLite below the state folder."""
    if request.param == "sqlite":
        yield {}
        return
    from tests.postgres import another

    postgres = request.getfixturevalue("postgres")
    with ExitStack() as stack:
        yield {name: stack.enter_context(another(postgres)) for name in DRIVERS}


@pytest.fixture
def way(request: pytest.FixtureRequest, databases: dict[str, sa.URL], tmp_path: Path) -> Iterator[WholeWay]:
    if not databases:
        yield WholeWay(request.getfixturevalue("stack"))
        return
    urls = {
        name: url.set(drivername=f"postgresql+{DRIVERS[name]}").render_as_string(hide_password=False)
        for name, url in databases.items()
    }
    environment = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": urls["prefect"],
        "MLFLOW_BACKEND_STORE_URI": urls["mlflow"],
        "NEUROINSPECT_REVIEW_URL": urls["reviews"],
    }
    with running_stack(tmp_path / "project", environment) as stack:
        yield WholeWay(stack)


def test_a_model_goes_the_whole_way(way, databases):
    policy = way.stack.project / "mlflow" / "promotion.yaml"
    policy.parent.mkdir(exist_ok=True)
    policy.write_text(yaml.safe_dump(POLICY))
    try:
        _begins_untouched(way)
        review = _is_debugged(way)
        neurons = _is_reviewed(way, review)
        candidate = _is_edited(way, review, neurons)
        _is_promoted(way, candidate)
        _serves_and_goes_back(way, candidate)
    finally:
        policy.unlink()
    way.stack.wait_until_healthy()
    assert way.aliases() == {"champion": 1, "candidate": candidate}  # nothing is before the untouched model
    _lies_in(way.stack, databases)


def _begins_untouched(way: WholeWay) -> None:
    kept = way.command("register", "--run", "whole")

    assert (kept["model"], kept["version"], kept["first"]) == (NAME, 1, True)
    assert way.aliases() == {"champion": 1}


def _is_debugged(way: WholeWay) -> str:
    """By the deployment, as somebody starts it on Prefect's page; the id of the question it asks."""
    parameters = {"params": way.params.model_dump(mode="json", by_alias=True), "run": str(way.run.root)}
    ended = way.flow_run("debug/debug", parameters)

    assert ended["state_name"] == "Completed", ended["state"]["message"]
    assert ended["name"] == "debug scene_net whole"
    request = read_json(way.run.stage("review") / "request.json")
    with way.page() as page:
        waiting = {one["id"]: one for one in page.get("/api/reviews").raise_for_status().json()["pending"]}
    review = str(request["id"])
    assert waiting[review]["class_name"] == "fish"
    return review


def _is_reviewed(way: WholeWay, review: str) -> list[int]:
    with way.page() as page:
        asked = page.get(f"/api/reviews/{review}").raise_for_status().json()["asked"]
        neurons = [one["neuron"] for one in asked if one["direction"] != "excessive"][:2]
        for neuron in neurons:
            said = page.put(
                f"/api/reviews/{review}/verdicts/{neuron}", json={"verdict": "spurious", "note": "the water"}
            )
            assert said.is_success, said.text
        answer = {"verdict": "approved", "neurons": neurons, "note": "they see the water"}
        decided = page.post(f"/api/reviews/{review}/decision", json=answer)
        assert decided.is_success, decided.text
        late = page.post(f"/api/reviews/{review}/decision", json={"verdict": "rejected", "note": "it is no cue"})
    assert (decided.json()["by"], late.status_code) == (getpass.getuser(), 409)
    return neurons


def _is_edited(way: WholeWay, review: str, neurons: list[int]) -> int:
    """By the worker, without anybody asking; the version that came of it."""
    from neuroinspect.assembly import needed_review_store

    book = needed_review_store(way.stack.machinery)
    order = wait(lambda: book.edit_order(review), lambda one: one is not None and one.finished_at is not None, SECONDS)
    ended = way.ended(order.started)
    assert ended["state_name"] == "Completed", ended["state"]["message"]
    happened = [entry.what for entry in book.trail(review)]
    assert happened == ["opened", "judged", "judged", "decided", "edited"]

    candidate = way.aliases()["candidate"]
    tags = way.tags(candidate)
    told = {name: tags[name] for name in ("request", "reviewer", "unverified", "parent_version", "class")}
    assert told == {
        "request": review,
        "reviewer": getpass.getuser(),
        "unverified": "false",
        "parent_version": "1",
        "class": "fish",
    }
    assert all(str(neuron) in tags["neurons"] for neuron in neurons)
    version = way.mlflow("model-versions/get", name=NAME, version=candidate)["model_version"]
    parent = way.mlflow("runs/get", run_id=version["run_id"])["run"]
    assert parent["info"]["status"] == "FINISHED"
    names = {metric["key"] for metric in parent["data"]["metrics"]}
    assert {"judge/before/worst_class_accuracy", "judge/after/worst_class_accuracy"} <= names
    return candidate


def _is_promoted(way: WholeWay, candidate: int) -> None:
    shown = way.command("promote", "candidate", "--dry-run")
    assert (shown["version"], shown["holds"], shown["promoted"]) == (candidate, True, False)
    assert {rule["name"] for rule in shown["rules"]} >= {"made_from_champion", "same_data", "person"}
    assert way.aliases()["champion"] == 1

    ended = way.flow_run("promote/promote", {"name": NAME, "version": str(candidate), "by": "Ada L."})
    assert ended["state_name"] == "Completed", ended["state"]["message"]
    assert way.aliases() == {"champion": candidate, "previous": 1, "candidate": candidate}


def _serves_and_goes_back(way: WholeWay, candidate: int) -> None:
    pictures = np.random.default_rng(0).standard_normal((3, 3, 64, 64)).astype(np.float32)
    edited = way.logits(pictures, read_tensors(way.run.stage("edit") / "decision_layer.safetensors"))
    untouched = way.logits(pictures)
    assert np.abs(edited - untouched).max() > 1e-3

    np.testing.assert_allclose(way.served(pictures), edited, atol=1e-5)
    back = way.command("rollback", "--reason", "the answers were too kind to fish")
    assert (back["from"], back["to"]) == (candidate, 1)
    assert way.aliases()["champion"] == 1
    np.testing.assert_allclose(way.served(pictures), untouched, atol=1e-5)

    trail = way.command("promote", "--list")["trail"]
    assert [(entry["kind"], entry["from"], entry["to"]) for entry in trail] == [
        ("first", None, 1),
        ("promote", 1, candidate),
        ("rollback", candidate, 1),
    ]
    assert [entry["by"] for entry in trail[1:]] == ["Ada L.", getpass.getuser()]


def _lies_in(stack: RunningStack, databases: dict[str, sa.URL]) -> None:
    """Everything was kept where it should be, and nowhere else."""
    files = {path.name for path in stack.place.folder.parent.rglob("*.db")}
    if not databases:
        assert {"reviews.db", "mlflow.db", "prefect.db"} <= files
        return
    assert files == set()
    for name, url in databases.items():
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            for table in ROWS[name]:
                assert connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table))), table
