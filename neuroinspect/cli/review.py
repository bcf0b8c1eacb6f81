"""`neuroinspect review show | decide`."""

import getpass
from typing import Annotated

import typer
from rich.table import Table

from neuroinspect.artifacts import RunFolder, read_table
from neuroinspect.chain import run_stage_alone
from neuroinspect.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RUN,
    Json,
    OutFolder,
    ParamsFile,
    Quiet,
    RunName,
    command,
    read_params,
    run_folder,
)
from neuroinspect.cli.screen import session
from neuroinspect.errors import ReviewError
from neuroinspect.review import Decision, ReviewRequest, decide
from neuroinspect.stages.review import read_decision, read_request, save_decision

app = typer.Typer(help="Look at the neurons that were found, and decide which to edit.", no_args_is_help=True)


@app.command("show")
def show(
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show the candidates, and the decision where there is one."""
    with session(quiet=quiet, as_json=as_json) as screen:
        params = read_params(params_file)
        folder = run_folder(params, run_name, out)
        run_stage_alone("review", folder, params, progress=screen.progress)
        request, decision = read_request(folder), read_decision(folder)
        screen.finish(
            {"request": request.record(), "decision": None if decision is None else decision.record()},
            _candidates(folder, request),
            _standing(decision, command("review decide", params_file, run_name, out)),
        )


@app.command("decide")
def decide_(
    neurons: Annotated[str | None, typer.Option(metavar="3,17", help="candidates to edit")] = None,
    reject: Annotated[bool, typer.Option("--reject", help="edit nothing")] = False,
    note: Annotated[str, typer.Option(help="why, in your own words")] = "",
    by: Annotated[str | None, typer.Option(help="who decides; your user name if left out")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="take the place of an earlier decision")] = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Answer the review: name the neurons to edit, or reject."""
    with session(quiet=quiet, as_json=as_json) as screen:
        folder = run_folder(read_params(params_file), run_name, out)
        with folder.lock():
            request = read_request(folder)
            decision = decide(
                request,
                verdict="rejected" if reject else "approved",
                neurons={request.class_name: _numbers(neurons)},
                by=by or _user(),
                note=note,
            )
            save_decision(folder, decision, replace=replace)
        screen.finish(
            decision.record(), _standing(decision, ""), f"next     go on: {command('run', params_file, run_name, out)}"
        )


def _candidates(run: RunFolder, request: ReviewRequest) -> Table:
    neurons = read_table(run.require("diagnose") / "neurons.parquet").set_index("neuron")
    illusions = run.stage("visualize") / "illusions.parquet"
    drawn: dict[int, str] = {}
    if illusions.exists():
        pictures = read_table(illusions)
        drawn = dict(zip(pictures["neuron"], pictures["picture"], strict=True))
    table = Table("neuron", "direction", "vote share", "weight", "ratio", "activation gap", "picture")
    table.title = f"class {request.class_name}: pictures in {run.stage('visualize')}"
    for candidate in request.candidates:
        row = neurons.loc[candidate.neuron]
        table.add_row(
            str(candidate.neuron),
            candidate.direction,
            f"{candidate.vote_share:.0%}",
            f"{row['weight']:+.3f}",
            f"{row['probability_ratio']:.2f}",
            f"{row['activation_gap']:+.3f}",
            drawn.get(candidate.neuron, ""),
        )
    return table


def _standing(decision: Decision | None, how: str) -> str:
    if decision is None:
        return f"no decision yet; decide: {how} --neurons 3,17 --note WHY, or --reject"
    named = ", ".join(str(neuron) for given in decision.neurons.values() for neuron in given)
    text = f"{decision.verdict} by {decision.by}{f': neurons {named}' if named else ''}"
    return f"{text} ({decision.rule}; unverified)" if decision.rule else text


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in (text or "").split(",") if part.strip()]
    except ValueError as error:
        raise ReviewError(f"--neurons {text}: expected numbers with commas between them, such as 3,17") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise ReviewError("this machine has no name for you; give --by NAME") from error
