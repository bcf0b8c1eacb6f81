"""Shards on Dask workers: the same bytes as one process makes, also where a worker is killed; and what is refused."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.chain import run_stage_alone
from neuroinspect.errors import MissingToolError, OutsideError, SettingsError
from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params, load_params
from tests.flows import served
from tests.flows.killable import Killable, dying, eventually
from tests.tiny import make_project

# Not imported here: Prefect reads the address of the tests' server when it is.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("prefect_dask") is None, reason="needs Dask: pip install 'neuroinspect[dask]'"
)

_ROOT = Path(__file__).parents[2]
_STAGES = ("validate", "extract", "diagnose", "visualize")


def sharded(folder: Path) -> Params:
    """Params of a project whose pictures and neurons come in several shards."""
    params = load_params(folder / "params.yaml")
    visualize = params.visualize.model_copy(update={"neurons": 3, "shard_size": 1})
    extract = params.extract.model_copy(update={"shard_size": 40, "batch_size": 8})
    return params.model_copy(update={"visualize": visualize, "extract": extract})


def contents(run: RunFolder) -> dict[str, bytes]:
    files = (path for stage in _STAGES for path in run.stage(stage).rglob("*") if path.is_file())
    return {str(path.relative_to(run.root)): path.read_bytes() for path in files if path.name != "run.json"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """A project, and what one process leaves of it with one thread."""
    folder = tmp_path_factory.mktemp("dask") / "project"
    make_project(folder)
    params, run = sharded(folder), RunFolder(folder / "runs" / "alone")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for stage in _STAGES:
        run_stage_alone(stage, run, params)
    torch.set_num_threads(before)
    return folder, contents(run)


def debugged(run: RunFolder, params: Params, *, progress: Any = lambda *_: None, **machinery: Any) -> Any:
    """The debug flow over Dask."""
    from flows.debug import debug
    from flows.surroundings import surrounded_by

    state = params.runs.parent / "state"
    with surrounded_by(Machinery(state=state, runner="dask", threads=1, **machinery), progress):
        return debug(params, str(run.root))


def test_a_killed_worker_costs_one_shard_and_changes_no_byte(prefect_server, alone, tmp_path, monkeypatch):
    folder, expected = alone
    params = sharded(folder).model_copy(update={"runs": tmp_path / "runs"})  # with a cache of its own
    run, order = RunFolder(tmp_path / "runs" / "killed"), tmp_path / "die_in"
    for name, value in dying(order, tmp_path).items():
        monkeypatch.setenv(name, value)
    drawn: dict[Path, tuple[int, int]] = {}

    def kill_after_the_first_picture(task: str, done: int, total: int) -> None:
        if task == "visualize" and done == 1 < total and not drawn:
            (partial,) = (run.root / ".partial").glob("visualize-*")
            for record in (partial / "shards").glob("*.json"):
                pictures = [partial / line["picture"] for line in read_json(record)["illusions"]]
                drawn.update({path.relative_to(partial): written(path) for path in pictures})
            order.write_text("draw_shard")

    environment, children = dict(os.environ), started()
    found = debugged(run, params, progress=kill_after_the_first_picture, workers=2)

    assert found.status == "waiting"
    assert not order.exists()  # somebody died as it was ordered
    assert contents(run) == expected
    assert len(drawn) >= 1
    assert {path: written(run.stage("visualize") / path) for path in drawn} == drawn  # none was drawn again
    assert not list(run.root.rglob("*.tmp"))
    assert dict(os.environ) == environment
    assert started() <= children

    runs = served.task_runs(run, until=lambda found: all(one.state.is_completed() for one in found))
    names = [one.name.partition(" ")[0] for one in runs]
    assert (names.count("draw_shard"), names.count("extract_shard")) == (len(expected_neurons(expected)), 2 + 2 + 2)
    said = served.messages(run, until=lambda found: any("neurons" in one for one in found))
    workers = {one.rpartition(" ")[2] for one in said if " on " in one and "process" in one}
    assert workers
    assert str(os.getpid()) not in workers


def started() -> set[psutil.Process]:
    """Processes below this one that Python spawned, as Dask lets it; servers of the tests are none."""
    found = psutil.Process().children(recursive=True)
    return {one for one in found if "spawn_main" in " ".join(one.cmdline())}


def written(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def expected_neurons(expected: dict[str, bytes]) -> list[str]:
    return [name for name in expected if name.startswith("visualize/fish/") and name.endswith(".mask.png")]


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[Machinery]:
    """A Dask scheduler of its own without workers, as the machinery of a flow names it."""
    folder = tmp_path_factory.mktemp("scheduler")
    file = folder / "scheduler.json"
    words = ["-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    process = Killable("scheduler", [*words, "--scheduler-file", str(file)], folder=folder, env=bare())
    process.start()
    try:
        eventually(lambda: file.exists() and file.stat().st_size, process)
        yield Machinery(state=folder, runner="dask", dask_address=read_json(file)["address"])
    finally:
        process.kill_with_children()


def bare() -> dict[str, str]:
    """The environment of another machine: it has our code, and no setting of Prefect or of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NEUROINSPECT_"))}
    return {**clean, "PYTHONPATH": str(_ROOT)}


def worker_of(scheduler: Machinery, folder: Path, **environment: str) -> Killable:
    words = [
        "-P",  # what this process stands in is not there
        "-m",
        "dask",
        "worker",
        str(scheduler.dask_address),
        "--nthreads",
        "1",
        "--host",
        "127.0.0.1",
        "--no-dashboard",
    ]
    env = {**bare(), **environment}
    return Killable("worker", [*words, "--no-nanny", "--local-directory", str(folder)], folder=folder, env=env)


def diagnosed(folder: Path, root: Path) -> RunFolder:
    """A run of which only the pictures are missing: that workers extract the same too, the killed one has shown."""
    shutil.copytree(folder / "runs" / "alone", root, ignore=shutil.ignore_patterns("visualize"))
    return RunFolder(root)


def test_workers_of_a_scheduler_draw_the_same_and_tell_prefect(prefect_server, alone, scheduler, tmp_path):
    folder, expected = alone
    params = sharded(folder).model_copy(update={"runs": tmp_path / "runs"})
    run, worker = diagnosed(folder, tmp_path / "runs" / "elsewhere"), worker_of(scheduler, tmp_path)
    worker.start()
    try:
        eventually(lambda: "Registered to" in worker.said(), worker)
        debugged(run, params, dask_address=scheduler.dask_address)
        neurons = len(expected_neurons(expected))
        heard = served.messages(
            run, until=lambda found: sum(" on " in one and "process" in one for one in found) >= neurons
        )
    finally:
        worker.kill_with_children()
    assert contents(run) == expected
    assert {one.rpartition(" ")[2] for one in heard if "neurons 0 to 0 on" in one} == {str(worker.pid)}


def test_a_worker_that_cannot_import_the_code_is_named(prefect_server, alone, scheduler, tmp_path):
    broken = tmp_path / "broken" / "flows"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('half an installation')")
    worker = worker_of(scheduler, tmp_path, PYTHONPATH=str(broken.parent))
    worker.start()
    try:
        eventually(lambda: "Registered to" in worker.said(), worker)
        with pytest.raises(
            OutsideError, match=r"tcp://\S+ cannot import our code .*half an installation.*one environment"
        ):
            asked(scheduler, alone[0])
    finally:
        worker.kill_with_children()


def asked(machinery: Machinery, folder: Path) -> None:
    """Ask for the workers, as the first shards do."""
    from flows.dask_workers import dask_workers

    with dask_workers(machinery) as start:
        start(sharded(folder), str(folder))


def test_a_scheduler_that_does_not_answer_is_named_with_the_way_out(prefect_server, alone, tmp_path, monkeypatch):
    monkeypatch.setattr("flows.dask_workers._SECONDS", 1)
    machinery = Machinery(state=tmp_path, runner="dask", dask_address="tcp://127.0.0.1:9")
    with pytest.raises(OutsideError, match=r"Dask at tcp://127\.0\.0\.1:9 does not answer.*`dask scheduler`"):
        asked(machinery, alone[0])


def test_a_scheduler_without_workers_is_named_with_the_way_out(prefect_server, alone, scheduler, monkeypatch):
    monkeypatch.setattr("flows.dask_workers._SECONDS", 1)
    with pytest.raises(OutsideError, match=r"or has no worker.*`dask worker tcp://"):
        asked(scheduler, alone[0])


HERE = {"error": None, "code": "abc", "missing": [], "unreachable": None, "machine": "AVX512 on the CPU"}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"code": "abd"}, "other code of neuroinspect or flows"),
        ({"missing": ["/mnt/runs/a"]}, "does not see /mnt/runs/a; .* on a mount they share"),
        ({"unreachable": "http://127.0.0.1:4200/api: refused"}, "does not reach Prefect.*NEUROINSPECT_PREFECT_URL"),
    ],
)
def test_a_worker_that_cannot_do_the_work_is_refused(prefect_server, there, said):
    from flows.dask_checks import refuse_unfit

    with pytest.raises(OutsideError, match=f"tcp://worker:1 .*{said}"):
        refuse_unfit("tcp://worker:1", HERE, {**HERE, **there})


def test_a_worker_with_another_version_is_refused(prefect_server):
    from flows.dask_checks import refuse_others

    own = {"python": "3.11", "torch": "2.15.0", "prefect": "3.8.8"}
    with pytest.raises(
        OutsideError, match=r"tcp://worker:1 has torch 2\.14\.0 \(here 2\.15\.0\); make one environment"
    ):
        refuse_others("tcp://worker:1", own, {**own, "torch": "2.14.0"})


def test_another_processor_is_said_but_not_refused(prefect_server, caplog):
    from flows.dask_checks import refuse_unfit

    refuse_unfit("tcp://worker:1", HERE, {**HERE, "machine": "AVX2 on the CPU"})
    assert "tcp://worker:1 computes with AVX2 on the CPU, this process with AVX512" in caplog.text


def test_no_secret_of_prefect_goes_to_a_worker(prefect_server):
    import cloudpickle
    from prefect.context import serialize_context
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_KEY
    from prefect.settings import temporary_settings as settings

    from flows.dask_workers import around_dask

    url = "postgresql+asyncpg://user:hush-database@host/prefect"
    secrets = {
        PREFECT_API_KEY: "hush-key",
        PREFECT_API_AUTH_STRING: "admin:hush-login",
        PREFECT_API_DATABASE_CONNECTION_URL: url,
    }
    with settings(secrets):
        assert b"hush" in cloudpickle.dumps(serialize_context())
        with around_dask():
            sent = cloudpickle.dumps(serialize_context())
    assert b"hush" not in sent
    assert os.environ["PREFECT_API_URL"].encode() in sent


def test_a_process_for_each_gpu_sees_its_own(prefect_server, alone, monkeypatch):
    from flows.dask_workers import places

    params, machinery = sharded(alone[0]), Machinery(runner="dask", workers=3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    cuda = params.model_copy(update={"device": "cuda"})
    assert places(machinery, cuda) == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert places(machinery, params.model_copy(update={"device": None}))[1] == {"CUDA_VISIBLE_DEVICES": "7"}
    assert places(machinery, params) == [{}, {}, {}]  # device: cpu
    with pytest.raises(SettingsError, match="set device: cuda"):
        places(machinery, params.model_copy(update={"device": "cuda:1"}))


def test_without_dask_the_flow_says_what_to_install(prefect_server, monkeypatch):
    from flows.runner import shard_runner

    monkeypatch.setitem(sys.modules, "prefect_dask.task_runners", None)
    monkeypatch.delitem(sys.modules, "flows.dask_workers", raising=False)
    with (
        pytest.raises(MissingToolError, match=r"pip install 'neuroinspect\[dask\]'"),
        shard_runner(Machinery(runner="dask")),
    ):
        pass
