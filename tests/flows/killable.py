"""A Prefect server, a worker and a page as processes of their own, to be killed with the signal that cannot be caught."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from neuroinspect.machinery import Machinery
from neuroinspect.stack.ports import choose_ports

_ROOT = Path(__file__).parents[2]
_DYING = Path(__file__).parent / "dying"
_SECONDS = 240  # no wait of a test that passes comes near it
_POOL = "gpu"
_FORGET = "from tests.flows.killable import forget; forget()"
T = TypeVar("T")


class Killable:
    """A process that can be started again after it was killed; what it says is added to its log."""

    def __init__(self, name: str, words: list[str], *, folder: Path, env: Mapping[str, str]) -> None:
        self.log = folder / f"{name}.log"
        self._words = words
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        assert self._process is None or self._process.poll() is not None
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *self._words], env=self._env, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill it; one that is dead already stays so."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def kill_with_children(self) -> None:
        """Kill it, and what it has started."""
        alive = self._process is not None and self._process.poll() is None
        children = psutil.Process(self._process.pid).children(recursive=True) if alive and self._process else []
        self.kill()
        for child in children:
            child.kill()

    def wait_until_killed(self) -> None:
        """Wait until somebody has killed it."""
        assert self._process is not None
        assert self._process.wait(_SECONDS) == -signal.SIGKILL, self.said()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


class Machines:
    """What stands between a request and its edit.

    Args:
        folder: of the server's database and of the logs.
        params: the params file of a project; the tools keep what they have beside it.
    """

    def __init__(self, folder: Path, params: Path) -> None:
        port = choose_ports({"server": 0})["server"]
        self._url = f"http://127.0.0.1:{port}/api"
        self._die_in = folder / "die_in"
        self.machinery = Machinery(state=params.parent / ".neuroinspect", prefect_url=self._url)
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NEUROINSPECT_"))
        }
        env = {
            **clean,
            **self.machinery.environment(),
            "PREFECT_HOME": str(folder),
            "PREFECT_WORKER_QUERY_SECONDS": "0.5",
            "NEUROINSPECT_STATE": str(self.machinery.state),
            "NEUROINSPECT_PREFECT_URL": self._url,
            "NEUROINSPECT_RUN_LOST_AFTER": "3",
            **dying(self._die_in, params.parent),
        }
        serve = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        work = ["-m", "prefect", "worker", "start", "--pool", _POOL, "--limit", "1"]
        page = ["-m", "neuroinspect", "review", "serve", "--port", "0", "--params", str(params)]
        self.server = Killable("server", serve, folder=folder, env=env)
        self.worker = Killable("worker", work, folder=folder, env=env)
        self.page = Killable("page", page, folder=folder, env=env)
        self.forgetful_page = Killable("forgetful page", ["-c", _FORGET], folder=folder, env=env)

    def start_server(self) -> None:
        """Start the server, and wait until it answers."""
        self.server.start()
        self.wait_for_server()

    def wait_for_server(self) -> None:
        """Wait until the server answers."""
        eventually(self._healthy, self.server)

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self._url}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def die_in(self, task: str, *others: str) -> None:
        """Let the next process that comes to a task die in it, and `worker` with it."""
        self._die_in.write_text(" ".join([task, *others]))

    def wait_until_dead(self) -> None:
        """Wait until the process that was to die has come to its task."""
        eventually(lambda: not self._die_in.exists(), self.worker, self.page)

    def end(self) -> None:
        """Leave no process behind."""
        for one in (self.page, self.forgetful_page, self.worker, self.server):
            one.kill_with_children()

    def deploy(self, entrypoint: str) -> None:
        """Make the deployment edit/edit, and the pool that works on it."""
        self._post("work_pools/", {"name": _POOL, "type": "process"})
        flow = self._post("flows/", {"name": "edit"})
        made = {"name": "edit", "flow_id": flow["id"], "entrypoint": entrypoint, "work_pool_name": _POOL}
        # Without a command of its own a worker starts two more processes first, which only find out what to start.
        command = {"job_variables": {"command": f"{sys.executable} -m prefect.engine"}}
        self._post("deployments/", {**made, **command})

    def flow_runs(self) -> list[tuple[str, str]]:
        """Identifier and state of each flow run, the oldest first."""
        found = self._post("flow_runs/filter", {})
        return [(one["id"], one["state"]["name"]) for one in sorted(found, key=lambda one: str(one["created"]))]

    def _post(self, path: str, given: Mapping[str, Any]) -> Any:
        answer = httpx.post(f"{self._url}/{path}", json=given, timeout=60)
        assert answer.status_code < 300, answer.text
        return answer.json()


def dying(die_in: Path, project: Path) -> dict[str, str]:
    """The environment of processes that die in the task which a file names, when they write to a project."""
    path = os.pathsep.join([str(_DYING), str(_ROOT)])
    return {"PYTHONPATH": path, "DIE_IN": str(die_in), "DIE_IN_PROJECT": str(project)}


def forget() -> None:
    """What a page does for the orders, but it is killed between the start of an edit and the note of it."""
    from neuroinspect.adapters.sql_reviews import SqlReviews
    from neuroinspect.assembly import outbox
    from neuroinspect.machinery import load_machinery

    class Forgetful(SqlReviews):
        def mark_started(self, key: str, started: str, *, lost: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    machinery = load_machinery(Path.cwd())
    outbox(machinery, Forgetful(machinery.review_store)).run_forever()


def eventually(read: Callable[[], T], *logs: Killable) -> T:
    """Wait until something is so; otherwise the logs say why not."""
    deadline = time.monotonic() + _SECONDS
    while not (found := read()):
        assert time.monotonic() < deadline, "\n".join(one.said() for one in logs)
        time.sleep(0.05)
    return found
