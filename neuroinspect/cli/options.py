"""The options several commands share, and what they mean."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml

from neuroinspect.artifacts import RunFolder
from neuroinspect.assembly import plain_tools
from neuroinspect.chain import with_resolved_model
from neuroinspect.errors import SettingsError
from neuroinspect.machinery import Machinery, load_machinery
from neuroinspect.ports import Tools
from neuroinspect.settings import Params, anchor, load_params, parse_params

DEFAULT_PARAMS = Path("params.yaml")
DEFAULT_RUN = "run"

ParamsFile = Annotated[Path, typer.Option("--params", help="the params file")]
RunName = Annotated[str, typer.Option("--run", help="name of the run, a folder under `runs` of the params file")]
OutFolder = Annotated[Path | None, typer.Option("--out", help="run folder, in place of --run")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change one setting, e.g. visualize.neurons=4")
]
ReviewMode = Annotated[
    Literal["auto"] | None, typer.Option("--review", help="auto: decide by rule; the decision is marked unverified")
]
Flow = Annotated[
    bool | None,
    typer.Option(
        "--flow/--no-flow",
        help="through Prefect, with MLflow and data checks, or plain stages in this process; flow where it is installed",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="show warnings and errors only")]
Json = Annotated[bool, typer.Option("--json", help="print the result as one JSON object")]


def read_params(path: Path, overrides: Sequence[str] | None = None) -> Params:
    """Load a params file and change single settings.

    Raises:
        SettingsError: the file or a setting does not fit.
    """
    return override(load_params(path), overrides or ())


def read_machinery(params_file: Path) -> Machinery:
    """Addresses of the tools: the environment, and `neuroinspect.env` beside a params file.

    Raises:
        SettingsError: an unknown name or a wrong value.
    """
    return load_machinery(params_file.resolve().parent)


def stage_tools(params_file: Path) -> Tools:
    """What a single stage may use."""
    return plain_tools(read_machinery(params_file))


def read_loadable_params(path: Path, overrides: Sequence[str] | None = None) -> Params:
    """`read_params`, with a model of the registry brought here.

    Raises:
        SettingsError: the file or a setting does not fit.
        ModelSpecError: the registry does not have the model.
    """
    params = read_params(path, overrides)
    return with_resolved_model(params, stage_tools(path))


def override(params: Params, assignments: Sequence[str]) -> Params:
    """Params with settings changed by `section.key=value`; values are YAML, relative paths are meant from here.

    Raises:
        SettingsError: an unknown key, or a value that does not fit.
    """
    if not assignments:
        return params
    values = params.model_dump(by_alias=True)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise SettingsError(f"--set {assignment}: expected KEY=VALUE, for example visualize.illusion.steps=300")
        *sections, name = key.strip().split(".")
        section = values
        for part in sections:
            inner = section.get(part)
            if not isinstance(inner, dict):
                raise SettingsError(f"--set {assignment}: there is no section {part!r}")
            section = inner
        try:
            section[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SettingsError(f"--set {assignment}: the value is not YAML ({error})") from error
    return anchor(parse_params(values, source="--set"), Path.cwd())


def run_folder(params: Params, run: str, out: Path | None) -> RunFolder:
    """The run folder the options name."""
    return RunFolder(out.resolve() if out is not None else params.runs / run)


def command(name: str, params: Path, run: str, out: Path | None) -> str:
    """How to call another command on the same run, as a shell takes it; options at their default are left out."""
    words = ["neuroinspect", *name.split()]
    if params != DEFAULT_PARAMS:
        words += ["--params", str(params)]
    if out is not None:
        words += ["--out", str(out)]
    elif run != DEFAULT_RUN:
        words += ["--run", run]
    return shlex.join(words)
