"""`neuroinspect ui`: how to open what a run left, in each tool."""

import shlex
import sys
from pathlib import Path

import typer

from neuroinspect.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RUN,
    Json,
    OutFolder,
    ParamsFile,
    Quiet,
    RunName,
    command,
    read_machinery,
    read_params,
    run_folder,
)
from neuroinspect.cli.screen import session
from neuroinspect.machinery import Machinery

_PREFECT_PORT, _MLFLOW_PORT = 4200, 5000


def add_command(app: typer.Typer) -> None:
    """Add `ui`."""
    app.command("ui")(ui)


def ui(
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say how to open the report, the data checks, Prefect, MLflow and the reviews; nothing is started."""
    with session(quiet=quiet, as_json=as_json) as screen:
        machinery = read_machinery(params_file)
        run = run_folder(read_params(params_file), run_name, out)
        places = {
            "report": _page(run.stage("report") / "report.html"),
            "data checks": _page(run.root / "checks" / "data_docs" / "index.html"),
            "prefect": prefect_place(machinery),
            "mlflow": mlflow_place(machinery),
            "reviews": command("review list", params_file, DEFAULT_RUN, None),
        }
        screen.finish(places, *(f"{name:<12} {place}" for name, place in places.items()))


def prefect_place(machinery: Machinery) -> str:
    """Address of the configured Prefect server, or how to start one on what the temporary servers kept."""
    if machinery.prefect_url is not None:
        return machinery.prefect_url.removesuffix("/").removesuffix("/api")
    words = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(_PREFECT_PORT)]
    return f"{_line(words, machinery, 'PREFECT_')}   then http://127.0.0.1:{_PREFECT_PORT}"


def mlflow_place(machinery: Machinery) -> str:
    """Address of the configured MLflow server, or how to start one on the local database."""
    if machinery.mlflow_url is not None:
        return machinery.mlflow_url
    words = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(_MLFLOW_PORT), "--workers", "1"]
    words += ["--backend-store-uri", machinery.mlflow_store, "--artifacts-destination", str(machinery.mlflow_artifacts)]
    return f"{_line(words, machinery, 'MLFLOW_')}   then http://127.0.0.1:{_MLFLOW_PORT}"


def _line(words: list[str], machinery: Machinery, prefix: str) -> str:
    """A command for a shell, with the variables its tool needs; by its full path where it is not on the PATH."""
    beside = Path(sys.executable).with_name(words[0])
    program = str(beside) if beside.exists() else words[0]
    variables = [
        f"{name}={shlex.quote(value)}" for name, value in machinery.environment().items() if name.startswith(prefix)
    ]
    return " ".join([*variables, shlex.join([program, *words[1:]])])


def _page(path: Path) -> str:
    return path.resolve().as_uri() if path.exists() else f"not there yet; {path.name} is written by a run"
