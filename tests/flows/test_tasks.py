import pytest

from neuroinspect.artifacts import STAGES
from neuroinspect.errors import (
    ArtifactError,
    DataCheckError,
    DataError,
    ModelSpecError,
    OutsideError,
    ReviewError,
    RunFolderError,
    SettingsError,
    StageOrderError,
)
from neuroinspect.machinery import Machinery


def tries_of(error: Exception, tmp_path, monkeypatch) -> int:
    """How often a task of ours is tried that always fails so."""
    from prefect import flow

    from flows import tasks
    from flows.surroundings import surrounded_by

    monkeypatch.setattr(tasks, "RETRY_DELAYS", [0.0])
    tries = []

    @tasks.step("failing")
    def failing() -> None:
        tries.append(1)
        raise error

    @flow(name="failing")
    def run_it() -> None:
        tasks.do(failing)

    machinery = Machinery(state=tmp_path, task_retries=2)
    with surrounded_by(machinery, lambda *_: None), pytest.raises(type(error)) as caught:
        run_it()
    assert caught.value is error
    return len(tries)


@pytest.mark.parametrize("kind", [OutsideError, ConnectionResetError, RunFolderError, TimeoutError])
def test_what_failed_outside_is_tried_again(prefect_server, tmp_path, monkeypatch, kind):
    assert tries_of(kind("no answer"), tmp_path, monkeypatch) == 3


@pytest.mark.parametrize(
    "kind",
    [
        SettingsError,
        ModelSpecError,
        DataError,
        DataCheckError,
        ReviewError,
        StageOrderError,
        ArtifactError,
        ZeroDivisionError,
    ],
)
def test_what_would_fail_again_is_not_tried_again(prefect_server, tmp_path, monkeypatch, kind):
    assert tries_of(kind("wrong input"), tmp_path, monkeypatch) == 1


def test_each_stage_word_is_a_task_with_retries_and_without_a_cache(prefect_server):
    from prefect.cache_policies import NO_CACHE

    from flows import tasks

    words = [getattr(tasks, word) for word in STAGES]
    assert tuple(task.name for task in words) == STAGES
    for task in words:
        assert (task.cache_policy, task.persist_result, task.retry_condition_fn) == (NO_CACHE, False, tasks.may_pass)


def test_tasks_take_retries_and_time_from_the_machinery(prefect_server, tmp_path):
    from flows import tasks
    from flows.surroundings import surrounded_by

    with surrounded_by(Machinery(state=tmp_path, task_retries=7, task_timeout=5.0), lambda *_: None):
        task = tasks.configured(tasks.extract)
    assert (task.retries, task.timeout_seconds, task.name) == (7, 5.0, "extract")
    assert {"neuroinspect", "gpu"} <= task.tags


def test_on_a_worker_the_environment_says_where_the_tools_run(prefect_server, tmp_path, monkeypatch):
    from flows.surroundings import surroundings

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEUROINSPECT_WORKERS", "3")
    assert surroundings().machinery.workers == 3
    assert surroundings().machinery.state == tmp_path / ".neuroinspect"
