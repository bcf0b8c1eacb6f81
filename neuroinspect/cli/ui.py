"""`neuroinspect ui`: how to open what a run left, in each tool."""

import shlex
import sys
from pathlib import Path

import typer

from neuroinspect.assembly import pipeline_is_installed
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
        }
        servers: dict[str, str | None] = {}
        if pipeline_is_installed():
            servers = {"prefect": prefect_server(machinery), "mlflow": mlflow_server(machinery)}
            places |= {
                "prefect": prefect_address(machinery),
                "mlflow": mlflow_address(machinery),
                "reviews": command("review list", params_file, DEFAULT_RUN, None),
            }
        starts = {name: line for name, line in servers.items() if line is not None}
        lines = []
        for name, place in places.items():
            lines.append(f"{name:<12} {place}{', while this runs:' if name in starts else ''}")
            lines += [f"{'':<12} {starts[name]}"] if name in starts else []
        screen.finish({**places, "start": starts}, *lines)


def prefect_address(machinery: Machinery) -> str:
    """Where Prefect's page is, or will be."""
    if machinery.prefect_url is None:
        return f"http://127.0.0.1:{_PREFECT_PORT}"
    return machinery.prefect_url.removesuffix("/").removesuffix("/api")


def mlflow_address(machinery: Machinery) -> str:
    """Where MLflow's page is, or will be."""
    return machinery.mlflow_url or f"http://127.0.0.1:{_MLFLOW_PORT}"


def prefect_server(machinery: Machinery) -> str | None:
    """The command that serves what the temporary servers kept; None where a server is configured."""
    if machinery.prefect_url is not None:
        return None
    words = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(_PREFECT_PORT)]
    return _line(words, machinery, "PREFECT_HOME", "PREFECT_SERVER_ANALYTICS_ENABLED")


def mlflow_server(machinery: Machinery) -> str | None:
    """The command that serves the local database; None where a server is configured."""
    if machinery.mlflow_url is not None:
        return None
    words = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(_MLFLOW_PORT), "--workers", "1"]
    words += ["--backend-store-uri", machinery.mlflow_store, "--artifacts-destination", str(machinery.mlflow_artifacts)]
    return _line(words, machinery, "MLFLOW_DISABLE_TELEMETRY")


def _line(words: list[str], machinery: Machinery, *variables: str) -> str:
    """A command for a shell, with the variables its tool needs; by its full path where it lies beside this Python."""
    beside = Path(sys.executable).with_name(words[0])
    program = str(beside) if beside.exists() else words[0]
    environment = machinery.environment()
    given = [f"{name}={shlex.quote(environment[name])}" for name in variables if name in environment]
    return " ".join([*given, shlex.join([program, *words[1:]])])


def _page(path: Path) -> str:
    return path.resolve().as_uri() if path.exists() else f"not there yet; {path.name} is written by a run"
