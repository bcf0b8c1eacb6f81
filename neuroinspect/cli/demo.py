"""`neuroinspect demo`: debug a classifier with a planted flaw; `demo-data`: its pictures alone."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from neuroinspect.artifacts import RunFolder, write_bytes
from neuroinspect.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RUN,
    Flow,
    Json,
    Overrides,
    Quiet,
    ReviewMode,
    override,
    read_machinery,
)
from neuroinspect.cli.run import following, page_command, run_all, show_result
from neuroinspect.cli.screen import session
from neuroinspect.errors import SettingsError
from neuroinspect.settings import Params


def add_command(app: typer.Typer) -> None:
    """Add `demo` and `demo-data`."""
    app.command("demo")(demo)
    app.command("demo-data")(demo_data)


def demo_data(
    folder: Annotated[Path, typer.Argument(help="where to draw; what is there whole is kept")] = Path("data"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw the pictures of the default scenario and their table: the data that params.yaml of the repository names."""
    with session(quiet=quiet, as_json=as_json) as screen:
        from neuroinspect.demo.data import draw_demo_data

        made = draw_demo_data(folder.resolve(), progress=screen.progress)
        screen.finish(
            {"table": made.table, "splits": made.splits, "drawn": made.drawn},
            f"{'drew' if made.drawn else 'kept'}     {sum(made.splits.values())} pictures in {folder}",
        )


def demo(
    scenario: Annotated[
        str, typer.Option(metavar="OBJECT+BACKGROUND", help="the class, and its planted cue")
    ] = "fish+forest",
    seed: Annotated[int, typer.Option(min=0, help="of the pictures and everything drawn by chance")] = 2,
    out: Annotated[Path, typer.Option("--out", help="folder for data, model and run")] = Path(".neuroinspect/demo"),
    review: ReviewMode = None,
    cue_rate: Annotated[
        float, typer.Option(min=0, max=1, help="part of the class's training pictures that show the cue")
    ] = 1.0,
    clean: Annotated[bool, typer.Option("--clean", help="plant no cue")] = False,
    flow: Flow = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw pictures in which one class always shows the same background, train on them, and find out."""
    with session(quiet=quiet, as_json=as_json) as screen:
        from neuroinspect.demo.scenario import make_scenario

        object_name, plus, background = scenario.partition("+")
        if not plus:
            raise SettingsError(f"--scenario {scenario}: expected OBJECT+BACKGROUND, such as fish+forest")
        made = make_scenario(
            out.resolve(),
            object_name=object_name,
            background=background,
            seed=seed,
            cue_rate=cue_rate,
            clean=clean,
            progress=screen.progress,
        )
        params = override(made, overrides or ())
        params_file = out / DEFAULT_PARAMS
        write_params(params_file, params)
        run = RunFolder(params.runs / DEFAULT_RUN)
        machinery = read_machinery(params_file)
        result = run_all(run, params, machinery, flow=flow, auto_review=review is not None, screen=screen)
        commands = following(params_file, DEFAULT_RUN, None) | page_command(params_file, machinery, flow=flow)
        show_result(screen, result, commands=commands)


def write_params(path: Path, params: Params) -> None:
    """Write a params file; paths below its folder become relative, so the folder can be moved.

    Raises:
        RunFolderError: the file cannot be written.
    """
    folder = path.resolve().parent

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, tuple):
            return [plain(inner) for inner in value]
        if isinstance(value, Path):
            return str(value.relative_to(folder)) if value.is_relative_to(folder) else str(value)
        return value

    values = plain(params.model_dump(by_alias=True, exclude_defaults=True))
    write_bytes(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
