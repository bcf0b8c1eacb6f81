"""`neuroinspect plan`: what a run will cost."""

from dataclasses import asdict

import typer
from rich.table import Table

from neuroinspect.cli.options import DEFAULT_PARAMS, Json, Overrides, ParamsFile, Quiet, read_loadable_params
from neuroinspect.cli.screen import session


def add_command(app: typer.Typer) -> None:
    """Add `plan`."""
    app.command("plan")(plan)


def plan(
    params_file: ParamsFile = DEFAULT_PARAMS, overrides: Overrides = None, quiet: Quiet = False, as_json: Json = False
) -> None:
    """Estimate time and memory of each stage from a few timed steps; nothing is written."""
    with session(quiet=quiet, as_json=as_json) as screen:
        from neuroinspect.plan import plan_stages

        stages = plan_stages(read_loadable_params(params_file, overrides), progress=screen.progress)
        table = Table("stage", "time", "memory", "timed on this machine")
        for stage in stages:
            table.add_row(stage.stage, _duration(stage.seconds), f"{stage.memory_mb:.0f} MB", stage.basis)
        total = sum(stage.seconds for stage in stages)
        screen.finish(
            {"stages": [asdict(stage) for stage in stages], "seconds": total},
            table,
            f"about {_duration(total)} in all; evaluate and report take seconds more",
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
