"""`neuroinspect review import`."""

from pathlib import Path
from typing import Annotated

import typer

from neuroinspect.chain import run_stage_alone
from neuroinspect.cli.decision_file import RULE, imported, read_decision_file
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
from neuroinspect.cli.review.decide import Replace
from neuroinspect.cli.review.standing import told
from neuroinspect.cli.screen import session
from neuroinspect.stages.review import read_decision, read_request, save_decision


def add_command(app: typer.Typer) -> None:
    """Add `import`."""
    app.command("import")(import_)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON with class, neurons or reject, by and note")],
    replace: Replace = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Answer the review of a run folder from a file; the decision is marked unverified, and no store hears of it."""
    with session(quiet=quiet, as_json=as_json) as screen:
        given, params = read_decision_file(file), read_params(params_file)
        folder = run_folder(params, run_name, out)
        run_stage_alone("review", folder, params, tools=stage_tools(params_file), progress=screen.progress)
        with folder.lock():
            decision, standing = imported(given, read_request(folder), file=file.name), read_decision(folder)
            again = standing is not None and standing.unverified and (standing.rule or "").startswith(RULE)
            save_decision(folder, decision, replace=replace or again)
        screen.finish(decision.record(), told(decision))
