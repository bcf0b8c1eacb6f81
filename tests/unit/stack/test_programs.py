"""What the stack runs: words without secrets, one GPU for each worker, and what each program may know."""

import pytest

from neuroinspect.machinery import Machinery
from neuroinspect.stack.programs import programs, shared_environment

PORTS = {"prefect": 4200, "mlflow": 5000, "page": 8321}


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def machinery(tmp_path) -> Machinery:
    return Machinery(
        state=tmp_path,
        prefect_url="http://127.0.0.1:4200/api",
        mlflow_url="http://127.0.0.1:5000",
        page_url="http://127.0.0.1:8321",
    )


def made(machinery, tmp_path, workers=1):
    return {one.name: one for one in programs(machinery, PORTS, tmp_path / "params.yaml", workers)}


def test_servers_come_first_and_listen_on_this_machine_alone(machinery, tmp_path):
    found = made(machinery, tmp_path, workers=2)
    assert list(found) == ["prefect", "mlflow", "page", "worker-0", "worker-1", "worker-quick"]
    assert [one.is_worker for one in found.values()] == [False, False, False, True, True, True]
    assert found["mlflow"].address == "http://127.0.0.1:5000"
    assert all("127.0.0.1" in found[name].words for name in ("prefect", "mlflow"))
    assert "--host" not in found["page"].words  # its default is loopback


def test_without_a_gpu_a_worker_sees_what_there_is(machinery, tmp_path):
    assert made(machinery, tmp_path)["worker-0"].environment == {}


def test_what_takes_seconds_has_a_worker_of_its_own_which_sees_no_gpu(machinery, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    found = made(machinery, tmp_path, workers=2)
    queues = {name: one.words[one.words.index("--work-queue") + 1] for name, one in found.items() if one.is_worker}
    assert queues == {"worker-0": "gpu", "worker-1": "gpu", "worker-quick": "default"}
    assert found["worker-quick"].environment == {"CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, ["0", "1", "0"]), ("3, MIG-7", ["3", "MIG-7", "3"]), ("3,7,99,5", ["3", "7", "3"])],  # CUDA knows no 99
)
def test_each_worker_has_one_gpu_of_those_we_may_see(machinery, tmp_path, monkeypatch, visible, expected):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = made(machinery, tmp_path, workers=3)
    assert [found[f"worker-{number}"].environment["CUDA_VISIBLE_DEVICES"] for number in range(3)] == expected


def test_a_password_of_a_database_is_known_to_its_server_alone_and_stands_in_no_command(
    machinery, tmp_path, monkeypatch
):
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://me:hush@host/prefect")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql+psycopg2://me:hush@host/mlflow")
    environment = shared_environment(machinery)
    knows = {
        one.name: {name for name, value in environment.items() if "hush" in value and name not in one.without}
        for one in made(machinery, tmp_path).values()
    }
    assert knows == {
        "prefect": {"PREFECT_SERVER_DATABASE_CONNECTION_URL"},
        "mlflow": {"MLFLOW_BACKEND_STORE_URI"},
        "page": set(),
        "worker-0": set(),
        "worker-quick": set(),
    }
    assert not any("hush" in word for one in made(machinery, tmp_path).values() for word in one.words)


def test_programs_find_the_servers_of_the_stack_whatever_this_process_was_told(machinery, tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")
    monkeypatch.setenv("NEUROINSPECT_STATE", "relative")
    environment = shared_environment(machinery)
    assert environment["PREFECT_API_URL"] == environment["NEUROINSPECT_PREFECT_URL"] == "http://127.0.0.1:4200/api"
    assert environment["NEUROINSPECT_STATE"] == str(tmp_path)
    assert environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith(".filesystem")
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
