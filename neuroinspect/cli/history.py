"""`neuroinspect history`: the worst class over the nights."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from neuroinspect.artifacts import write_bytes
from neuroinspect.assembly import night_history, registered_name
from neuroinspect.cli.options import DEFAULT_PARAMS, Json, ParamsFile, Quiet, read_machinery, read_params
from neuroinspect.cli.screen import as_shown, session, table_of
from neuroinspect.nightly import nightly_params

_SHOWN = 10  # nights on the screen; --json has them all


def add_command(app: typer.Typer) -> None:
    """Add `history`."""
    app.command("history")(history)


def history(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="of the registry; left out: the one that nights debug, `nightly.model` of the params file, or its `model`",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="where to write the plot, an SVG file")] = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show the accuracy of the worst class over the nights; --out plots it, with marks where the model or the data changed."""
    with session(quiet=quiet, as_json=as_json) as screen:
        kept = night_history(read_machinery(params_file))
        # Loaded here: it is slow, and only this command needs it.
        from neuroinspect.report.history import history_plot

        if model is None:
            model = registered_name(nightly_params(read_params(params_file)))
        points = kept.points(model)
        if out is not None:
            write_bytes(out, history_plot(points, name=model).encode())
        rows = [
            {
                "night": f"{point.at:%Y-%m-%d}",
                "model": as_shown(point.model),
                "data": as_shown(point.data),
                "worst class": as_shown(point.worst_class),
                "accuracy": f"{point.worst:.1%} ({point.low:.1%} to {point.high:.1%})",
                "average": f"{point.average:.1%}",
            }
            for point in points
        ]
        title = f"the last of {len(points)} nights of {as_shown(model)}, judge split"
        screen.finish(
            {"model": model, "plot": out, "nights": [asdict(point) for point in points]},
            table_of(rows[-_SHOWN:], long=("worst class",), title=title),
            *([] if out is None else [f"plot     {out}"]),
        )
