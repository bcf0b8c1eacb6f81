"""One finished run for all tests of MLflow, and one store that has taken it."""

import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuroinspect.adapters.mlflow_store import open_client
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import run_chain
from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params, load_params
from tests.adapters.mlflow_runs import attempt
from tests.tiny import make_project


@dataclass(frozen=True)
class Finished:
    run: Path
    params: Params


@pytest.fixture(scope="session", autouse=True)
def _quiet_mlflow():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in Machinery().environment().items():
            if name.startswith("MLFLOW_"):
                patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    """A run that recommends an edit."""
    params = load_params(make_project(tmp_path_factory.mktemp("finished") / "project"))
    run = RunFolder(params.runs / "fish")
    assert run_chain(run, params, auto_review=True).status == "done"
    return Finished(run.root, params)


@pytest.fixture(scope="session")
def forkyard(_quiet_mlflow) -> Iterator[Executor]:
    """A process in which nothing has happened but imports; what is called there may fork."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        yield process


@pytest.fixture(scope="session")
def new_store(forkyard, tmp_path_factory) -> Callable[[Path], Machinery]:
    """Makes an empty store in a folder: a copy of one whose making was killed and began again."""
    made = tmp_path_factory.mktemp("empty")
    codes = forkyard.submit(attempt, open_client, (Machinery(state=made),), made, [30]).result()
    assert codes == [-signal.SIGKILL, 0]

    def copied(state: Path) -> Machinery:
        shutil.copytree(made / "mlflow", state / "mlflow")
        return Machinery(state=state)

    return copied
