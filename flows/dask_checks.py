"""Whether Dask workers can do our work: the same code and libraries, the same files, a way to Prefect."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import distributed
from prefect.client.orchestration import get_client

from neuroinspect.dataset import data_root
from neuroinspect.errors import OutsideError
from neuroinspect.settings import Params

_LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "numpy",
    "pillow",
    "prefect",
    "prefect-dask",
    "distributed",
)
_WAY_OUT = (
    "make one environment on every machine, start its workers again, then the same command: what is finished is kept"
)
log = logging.getLogger(__name__)


def prefect_url() -> str:
    """Where Prefect's API is, also where it is a temporary server of this process."""
    with get_client(sync_client=True) as client:
        return str(client.api_url)


def refuse_unfit_workers(client: distributed.Client, params: Params, run: str) -> None:
    """Ask every worker before it is given work.

    Raises:
        OutsideError: a worker has another Python, library or code than this process, does not see the run folder, the pictures
            or the weights, or does not reach Prefect's server.
    """
    found: Any = client.get_versions(packages=list(_LIBRARIES))
    own = _versions(found["client"])
    for worker, theirs in found["workers"].items():
        refuse_others(worker, own, _versions(theirs))
    look = _looker([Path(run), data_root(params.data), *_files(params)], prefect_url())
    here = look()
    for worker, there in client.run(look, on_error="return").items():
        if isinstance(there, Exception):
            raise OutsideError(f"the Dask worker {worker} cannot run our code ({there}); {_WAY_OUT}") from there
        refuse_unfit(worker, here, there)


def _files(params: Params) -> list[Path]:
    return [path for path in (params.model.weights, params.model.python_path) if path is not None]


def _versions(record: Mapping[str, Any]) -> dict[str, str]:
    packages = record["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"python": python, **{name: packages.get(name) or "none" for name in _LIBRARIES}}


def refuse_others(worker: str, own: Mapping[str, str], theirs: Mapping[str, str]) -> None:
    """Refuse a worker whose versions are not ours.

    Raises:
        OutsideError: names each that is another.
    """
    other = [f"{name} {theirs[name]} (here {own[name]})" for name in own if theirs[name] != own[name]]
    if other:
        raise OutsideError(f"the Dask worker {worker} has {', '.join(other)}; {_WAY_OUT}")


def refuse_unfit(worker: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Refuse a worker by what it and this process answered; another processor is only said.

    Raises:
        OutsideError: it lacks code, files or the server.
    """
    if there["error"] is not None:
        raise OutsideError(f"the Dask worker {worker} cannot import our code ({there['error']}); {_WAY_OUT}")
    if there["code"] != here["code"]:
        raise OutsideError(
            f"the Dask worker {worker} has other code of neuroinspect or flows than the process that runs the flow; {_WAY_OUT}"
        )
    if there["missing"]:
        raise OutsideError(
            f"the Dask worker {worker} does not see {', '.join(there['missing'])}; run folder, pictures and weights have to lie "
            "at the same path on every machine, on a mount they share"
        )
    if there["unreachable"] is not None:
        raise OutsideError(
            f"the Dask worker {worker} does not reach Prefect's server ({there['unreachable']}); name one that every machine "
            "reaches with NEUROINSPECT_PREFECT_URL"
        )
    if there["machine"] != here["machine"]:
        log.warning(
            "the Dask worker %s computes with %s, this process with %s: its pictures can differ from those of one machine alone",
            worker,
            there["machine"],
            here["machine"],
        )


def _looker(paths: Sequence[Path], url: str) -> Callable[[], dict[str, Any]]:
    """What a worker is asked, and this process too. It is sent as it stands here: a worker may not have our code at all."""

    def look() -> dict[str, Any]:
        import hashlib
        import importlib.util
        from pathlib import Path

        answer: dict[str, Any] = {"error": None, "code": None, "missing": [], "unreachable": None, "machine": None}
        try:
            import httpx
            import torch

            digest = hashlib.sha256()
            for name in ("neuroinspect", "flows"):
                spec = importlib.util.find_spec(name)
                if spec is None or spec.origin is None:
                    raise ModuleNotFoundError(f"No module named {name!r}")
                folder = Path(spec.origin).parent
                for file in sorted(folder.rglob("*.py")):
                    digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
            import flows.tasks  # noqa: F401

            capability = torch.backends.cpu.get_cpu_capability()
            answer["machine"] = (
                torch.cuda.get_device_name() if torch.cuda.is_available() else f"{capability} on the CPU"
            )
        except Exception as error:  # noqa: BLE001 (whatever a broken environment raises is the answer)
            return {**answer, "error": f"{type(error).__name__}: {error}"}
        answer["code"] = digest.hexdigest()
        answer["missing"] = [path for path in names if not Path(path).exists()]
        try:
            httpx.get(f"{url}/health", timeout=30)
        except httpx.HTTPError as error:
            answer["unreachable"] = f"{url}: {error or type(error).__name__}"
        return answer

    names = [str(path) for path in paths]
    return look
