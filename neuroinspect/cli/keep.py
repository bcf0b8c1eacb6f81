"""`neuroinspect init`, `apply` and `clean`: what comes before a run, what is taken out of it, what is thrown away."""

import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroinspect.artifacts import RunFolder, write_bytes
from neuroinspect.chain import with_resolved_model
from neuroinspect.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RUN,
    Json,
    OutFolder,
    ParamsFile,
    Quiet,
    RunName,
    read_params,
    run_folder,
    stage_tools,
)
from neuroinspect.cli.screen import session
from neuroinspect.errors import SettingsError
from neuroinspect.export import export_edited_model
from neuroinspect.params_template import params_template

What = Literal["partial", "run", "cache"]


def add_init(app: typer.Typer) -> None:
    """Add `init`."""
    app.command("init")(init)


def add_commands(app: typer.Typer) -> None:
    """Add `apply` and `clean`."""
    app.command("apply")(apply)
    app.command("clean")(clean)


def init(
    folder: Annotated[Path, typer.Argument(help="where to write params.yaml")] = Path(),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a commented params.yaml; an existing one is never overwritten."""
    with session(quiet=quiet, as_json=as_json) as screen:
        path = folder / DEFAULT_PARAMS
        if path.exists():
            raise SettingsError(f"{path} is there already and stays as it is; remove it, or choose another folder")
        write_bytes(path, params_template().encode())
        screen.finish(
            {"params": path.resolve()},
            f"wrote    {path}",
            "next     name your model and your pictures in it, then: neuroinspect run",
        )


def apply(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="name of a run, or its folder")] = DEFAULT_RUN,
    out: Annotated[Path, typer.Option("--out", help="file to write")] = Path("model.safetensors"),
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the whole model with the recommended decision layer in it."""
    with session(quiet=quiet, as_json=as_json) as screen:
        params = read_params(params_file)
        named = run_folder(params, run_name, None)
        run = named if named.root.is_dir() else RunFolder(Path(run_name).resolve())
        method = export_edited_model(run, with_resolved_model(params, stage_tools(params_file), run=run), out)
        screen.finish({"model": out.resolve(), "method": method}, f"wrote    {out} (decision layer: {method})")


def clean(
    what: Annotated[
        What,
        typer.Argument(
            help="partial: unfinished stages; run: a whole run; cache: drawn pictures, and what the guide saw"
        ),
    ],
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Remove what a run left behind, after asking."""
    with session(quiet=quiet, as_json=as_json) as screen:
        params = read_params(params_file)
        run, cache = run_folder(params, run_name, out), params.runs.parent / "cache"
        folder = {"partial": run.root / ".partial", "run": run.root, "cache": cache}[what]
        # A folder called cache may hold what is none of ours.
        parts = [cache / "illusions", cache / "embeddings", cache / "drawings"] if what == "cache" else [folder]
        there = [part for part in parts if part.is_dir()]
        shown = " and ".join(map(str, there or parts))
        removed = bool(there) and (yes or typer.confirm(f"Remove {shown}?", err=True))
        if removed and what == "cache":
            for part in there:
                shutil.rmtree(part)
        elif removed:
            _remove(run, folder)
        text = f"removed  {shown}" if removed else f"kept     {shown}" if there else f"nothing  at {shown}"
        screen.finish({"folder": folder, "removed": removed}, text)


def _remove(run: RunFolder, folder: Path) -> None:
    # The lock keeps a run that is being computed from losing its folder.
    with run.lock():
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in {".lock", ".holder"}:
                path.unlink()
    shutil.rmtree(folder)
