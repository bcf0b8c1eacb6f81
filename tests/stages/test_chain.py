"""The chain is killed in every stage, with the signal that cannot be caught, and the same command finishes it."""

import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from neuroinspect.artifacts import STAGES
from neuroinspect.cli import main
from tests.tiny import make_project

# A server that has loaded the package forks each process: seconds of imports are paid once.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["neuroinspect.cli", "neuroinspect.stages.report", "matplotlib.pyplot", "tests.tiny"])


def kill_in_the_middle(stage: str) -> Any:
    """The process dies as it opens the first file of the stage."""
    return lambda event, words: event == "open" and f"/.partial/{stage}-" in str(words[0])


def kill_before_it_is_in_place(stage: str) -> Any:
    """The process dies when the stage is complete, but not yet renamed to its final place."""
    return lambda event, words: event == "os.rename" and Path(str(words[0])).name.startswith(f"{stage}-")


def run_in_a_process(params: Path, log: Path, stage: str | None, moment: Any) -> None:
    """What the child does: `neuroinspect run`, until the moment comes."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stderr.fileno())
    if stage is not None:
        has_come = moment(stage)

        def watch(event: str, words: tuple[Any, ...]) -> None:
            if has_come(event, words):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
    sys.argv = ["neuroinspect", "run", "--no-flow", "--params", str(params), "--review", "auto"]
    main()


def run(params: Path, *, stage: str | None = None, moment: Any = None) -> tuple[int | None, list[str]]:
    """Exit code of `neuroinspect run`, and what it logged."""
    log = params.with_name("log")
    process = PROCESSES.Process(target=run_in_a_process, args=(params, log, stage, moment))
    process.start()
    process.join()
    return process.exitcode, log.read_text().splitlines()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the stages, by its name."""
    files = (path for stage in STAGES for path in (folder / stage).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    exit_code, log = run(make_project(folder / "project"))
    assert exit_code == 0, log
    return folder / "project"


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_in_a_stage_goes_on_where_it_stopped(undisturbed, tmp_path, stage):
    shutil.copytree(undisturbed, tmp_path / "project")
    params = tmp_path / "project" / "params.yaml"
    folder = tmp_path / "project" / "runs" / "run"
    earlier, later = STAGES[: STAGES.index(stage)], STAGES[STAGES.index(stage) :]
    for removed in later:
        shutil.rmtree(folder / removed)

    for moment in (kill_in_the_middle, kill_before_it_is_in_place):
        exit_code, log = run(params, stage=stage, moment=moment)
        assert exit_code == -signal.SIGKILL
        assert [f"{name}: reused" in log for name in earlier] == [True] * len(earlier)
        assert not (folder / stage).exists()

    exit_code, log = run(params)
    assert exit_code == 0
    # The stage was complete when the process died the second time, so it is not computed a third time.
    assert [f"{name}: reused" in log for name in (*earlier, stage)] == [True] * (len(earlier) + 1)
    assert not list((folder / ".partial").iterdir())
    assert contents(folder) == contents(undisturbed / "runs" / "run")
