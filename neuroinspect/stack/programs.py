"""What the stack runs: for each program its words, its environment, and where it answers."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from neuroinspect.devices import visible_gpus
from neuroinspect.machinery import Machinery
from neuroinspect.stack.leases import FILES
from neuroinspect.stack.ports import HOST

POOL: Final = "neuroinspect"
"""The work pool of the workers; flows/deployments.py makes it."""
QUEUE: Final = "gpu"
"""Its queue of the runs that may take hours; each worker of it has one at a time."""
QUICK_QUEUE: Final = "default"
"""Its queue of what takes seconds and needs no GPU, such as a promotion: a worker of its own keeps it from waiting."""
QUICK_RUNS: Final = 2
"""How many runs of the quick queue its worker has at a time."""
SERVERS: Final = ("prefect", "mlflow", "page")
_PREFECT_DATABASE: Final = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
_MLFLOW_DATABASE: Final = ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_STORE_URI")


@dataclass(frozen=True, slots=True)
class Program:
    """One program of the stack.

    Attributes:
        name: also of its log.
        words: the command. Secrets never stand in it: everybody on the machine may read it.
        address: where it is opened, or asked; None for a worker.
        environment: beside what all programs have.
        without: variables of another program, which hold its passwords.
        patience: seconds it may take to end.
    """

    name: str
    words: tuple[str, ...]
    address: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    patience: int = 20

    @property
    def is_worker(self) -> bool:
        """Whether it is started once the deployments are there."""
        return self.name.startswith("worker-")


def programs(machinery: Machinery, ports: Mapping[str, int], params: Path, workers: int) -> list[Program]:
    """All programs, in the order in which they are started.

    Args:
        machinery: where everything is kept.
        ports: of prefect, mlflow and page.
        params: the params file.
        workers: how many for the queue `gpu`; each has one GPU where there are any.
    """
    python, artifacts = (sys.executable, "-m"), str(machinery.mlflow_artifacts)
    mlflow = ("mlflow", "server", "--host", HOST, "--port", str(ports["mlflow"]), "--workers", "1")
    # Clients on this machine write the artifacts themselves, so that runs can be read when no server runs as well.
    own_artifacts = ("--no-serve-artifacts", "--default-artifact-root", artifacts)
    prefect = ("prefect", "server", "start", "--host", HOST, "--port", str(ports["prefect"]))
    page = ("neuroinspect", "review", "serve", "--port", str(ports["page"]), "--params", str(params))
    worker = (*python, *worker_words(QUEUE, 1), "--name")
    quick = (*python, *worker_words(QUICK_QUEUE, QUICK_RUNS), "--name", "worker-quick")
    databases = _PREFECT_DATABASE + _MLFLOW_DATABASE
    return [
        Program("prefect", python + prefect, address(ports["prefect"]), without=_MLFLOW_DATABASE),
        Program("mlflow", (*python, *mlflow, *own_artifacts), address(ports["mlflow"]), without=_PREFECT_DATABASE),
        Program("page", python + page, address(ports["page"]), without=databases),
        *(
            Program(name, (*worker, name), environment=_device(index), without=databases, patience=30)
            for index, name in enumerate(f"worker-{number}" for number in range(workers))
        ),
        # It sees no GPU, so that none of its runs takes memory there.
        Program("worker-quick", quick, environment={"CUDA_VISIBLE_DEVICES": ""}, without=databases, patience=30),
    ]


def worker_words(queue: str, runs: int) -> tuple[str, ...]:
    """The command of a worker, without its name.

    Args:
        queue: of which it takes runs.
        runs: how many it may have at the same time.
    """
    kind = ("--pool", POOL, "--work-queue", queue, "--type", "process")
    return ("prefect", "worker", "start", *kind, "--limit", str(runs))


def address(port: int) -> str:
    """Of a server of the stack."""
    return f"http://{HOST}:{port}"


def shared_environment(machinery: Machinery) -> dict[str, str]:
    """What all programs have: what this process has, our settings, and databases named for Prefect and MLflow.

    Args:
        machinery: with the addresses of the stack.
    """
    own = {
        # A limit that is held must neither be lost nor kept for good when the server starts anew; in memory it is.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": FILES,
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # MLflow would keep a process for jobs of an assistant that we do not use.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{machinery.state / 'mlflow' / 'mlflow.db'}",
        "PYTHONUNBUFFERED": "1",
        **machinery.environment(),
    }
    addresses = {
        "NEUROINSPECT_STATE": str(machinery.state),
        "NEUROINSPECT_PREFECT_URL": machinery.prefect_url or "",
        "NEUROINSPECT_MLFLOW_URL": machinery.mlflow_url or "",
        "NEUROINSPECT_PAGE_URL": machinery.page_url or "",
        "PREFECT_API_URL": machinery.prefect_url or "",
        "MLFLOW_TRACKING_URI": machinery.mlflow_url or "",
    }
    return {**own, **os.environ, **addresses}


def _device(index: int) -> dict[str, str]:
    """The one GPU a worker sees; of those that this process may see."""
    gpus = visible_gpus()
    return {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {}
