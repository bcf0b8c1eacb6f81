"""What flow runs and task runs are called."""

from types import SimpleNamespace

import pytest

from flows import naming
from neuroinspect.artifacts import write_json


@pytest.fixture
def run(tmp_path) -> str:
    """A run folder that is about a class whose name has more than one line."""
    write_json(tmp_path / "birds" / "diagnose" / "stage.json", {"summary": {"class": "snow\n owl"}})
    return str(tmp_path / "birds")


def flow_name(monkeypatch, flow: str, run: str, **settings) -> str:
    params = {"model": {"spec": "models:/birds@champion"}, **settings}
    monkeypatch.setattr(naming, "flow_run", SimpleNamespace(parameters={"params": params, "run": run}, flow_name=flow))
    return naming.flow_run_name()


def test_a_flow_run_is_called_by_flow_model_folder_and_class(monkeypatch, run):
    assert flow_name(monkeypatch, "edit", run) == "edit birds@champion birds (snow owl)"
    assert flow_name(monkeypatch, "edit", run, diagnose={"target": "wren"}) == "edit birds@champion birds (wren)"


def test_a_debug_flow_does_not_take_the_class_of_an_earlier_one_for_its_own(monkeypatch, run):
    assert flow_name(monkeypatch, "debug", run) == "debug birds@champion birds"
    assert flow_name(monkeypatch, "debug", run, diagnose={"target": "wren"}) == "debug birds@champion birds (wren)"


@pytest.mark.parametrize(
    ("task", "shard", "name"),
    [
        ("visualize", None, "visualize snow owl"),
        ("draw_shard", SimpleNamespace(start=8, stop=16), "draw_shard snow owl 8-15"),
        ("extract_shard", SimpleNamespace(split="judge", start=0, stop=512), "extract_shard judge 0-511"),
        ("extract", None, "extract"),
        ("diagnose", None, "diagnose"),
    ],
)
def test_a_task_run_is_called_by_task_class_and_shard(run, task, shard, name):
    given = {"params": {"model": {"spec": "a.b:c"}}, "run": run} | ({} if shard is None else {"shard": shard})
    assert naming.task_run_name(task)(given) == name


@pytest.mark.parametrize("record", ["no JSON", "{}", '{"summary": []}', "[]"])
def test_no_name_fails_a_run(tmp_path, record):
    (tmp_path / "diagnose").mkdir()
    (tmp_path / "diagnose" / "stage.json").write_text(record)
    assert naming.task_run_name("edit")({"params": object(), "run": str(tmp_path)}) == "edit"
    assert naming.task_run_name("lineage")({}) == "lineage"


def test_a_name_stays_short(tmp_path):
    write_json(tmp_path / "diagnose" / "stage.json", {"summary": {"class": "x" * 500}})
    assert naming.task_run_name("edit")({"run": str(tmp_path)}) == f"edit {'x' * 60}..."
