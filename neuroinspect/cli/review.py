"""`neuroinspect review show | decide | list | import`."""

import dataclasses
import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from neuroinspect.artifacts import RunFolder, read_table
from neuroinspect.assembly import edit_dispatcher, plain_tools, refuse_missing_tools, review_store
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
    command,
    read_machinery,
    read_params,
    run_folder,
    stage_tools,
)
from neuroinspect.cli.screen import session
from neuroinspect.errors import ReviewError
from neuroinspect.gate import settle_review, take_decision
from neuroinspect.review import Decision, ReviewRequest, decide
from neuroinspect.stages.review import read_decision, read_request, save_decision

if TYPE_CHECKING:
    from neuroinspect.adapters.sql_reviews import StoredReview

Replace = Annotated[bool, typer.Option("--replace", help="take the place of an earlier decision")]

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
        params, machinery = read_params(params_file), read_machinery(params_file)
        folder = run_folder(params, run_name, out)
        tools = dataclasses.replace(plain_tools(machinery), reviews=review_store(machinery))
        run_stage_alone("review", folder, params, tools=tools, progress=screen.progress)
        with folder.lock():
            decision = settle_review(folder, params, tools=tools)
        request = read_request(folder)
        screen.finish(
            {"request": request.record(), "decision": None if decision is None else decision.record()},
            _candidates(folder, request),
            _standing(decision, command("review decide", params_file, run_name, out)),
            _help_to_choose(params_file, run_name, out),
        )


@app.command("decide")
def decide_(
    neurons: Annotated[str | None, typer.Option(metavar="3,17", help="candidates to edit")] = None,
    reject: Annotated[bool, typer.Option("--reject", help="edit nothing")] = False,
    note: Annotated[str, typer.Option(help="why, in your own words")] = "",
    by: Annotated[str | None, typer.Option(help="who decides; your user name if left out")] = None,
    replace: Replace = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Answer the review: name the neurons to edit, or reject."""
    with session(quiet=quiet, as_json=as_json) as screen:
        folder, machinery = run_folder(read_params(params_file), run_name, out), read_machinery(params_file)
        store, started = review_store(machinery), None
        with folder.lock():
            request = read_request(folder)
            decision = decide(
                request,
                verdict="rejected" if reject else "approved",
                neurons={request.class_name: _numbers(neurons)},
                by=by or _user(),
                note=note,
            )
            take_decision(folder, decision, store=store, replace=replace)
        if store is not None and decision.verdict == "approved":
            started = edit_dispatcher(machinery, store).dispatch(request.id)
        following = f"next     go on: {command('run', params_file, run_name, out)}"
        screen.finish(
            {**decision.record(), "edit_run": started},
            _standing(decision, ""),
            following if started is None else f"edit     started as Prefect run {started}",
        )


@app.command("list")
def list_(params_file: ParamsFile = DEFAULT_PARAMS, quiet: Quiet = False, as_json: Json = False) -> None:
    """List the reviews of the store: those that wait, then those that are decided."""
    with session(quiet=quiet, as_json=as_json) as screen:
        read_params(params_file)
        store = review_store(read_machinery(params_file))
        if store is None:
            refuse_missing_tools()
            return
        pending, decided = store.pending(), store.decided()
        table = Table()
        for name in ("request", "class", "candidates", "status", "by", "when", "run"):
            table.add_column(name, overflow="fold")
        for review in (*pending, *decided):
            table.add_row(*_row(review))
        screen.finish(
            {"pending": [_record(review) for review in pending], "decided": [_record(review) for review in decided]},
            table if pending or decided else "no review has been opened yet; `neuroinspect run` opens one",
        )


@app.command("import")
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
        screen.finish(decision.record(), _standing(decision, ""))


def _row(review: "StoredReview") -> tuple[str, ...]:
    request, decision = review.request, review.decision
    when = f"{review.decided_at or review.opened_at:%Y-%m-%d %H:%M} UTC"
    status, by = ("pending", "") if decision is None else (decision.verdict, decision.by)
    if decision is not None and decision.unverified:
        status = f"{status}, unverified"
    return request.id[:12], request.class_name, str(len(request.candidates)), status, by, when, str(review.run)


def _record(review: "StoredReview") -> dict[str, Any]:
    return {
        "request": review.request.record(),
        "run": review.run,
        "opened_at": review.opened_at.isoformat(),
        "decision": None if review.decision is None else review.decision.record(),
        "decided_at": None if review.decided_at is None else review.decided_at.isoformat(),
    }


def _candidates(run: RunFolder, request: ReviewRequest) -> Table:
    neurons = read_table(run.require("diagnose") / "neurons.parquet").set_index("neuron")
    illusions = run.stage("visualize") / "illusions.parquet"
    drawn: dict[int, str] = {}
    if illusions.exists():
        pictures = read_table(illusions)
        drawn = dict(zip(pictures["neuron"], pictures["picture"], strict=True))
    words = _words(run.stage("visualize") / "names.parquet")
    table = Table("neuron", "word", "direction", "vote share", "weight", "ratio", "activation gap", "picture")
    table.title = f"class {request.class_name}: pictures in {run.stage('visualize')}"
    for candidate in request.candidates:
        row = neurons.loc[candidate.neuron]
        table.add_row(
            str(candidate.neuron),
            words.get(candidate.neuron, ""),
            candidate.direction,
            f"{candidate.vote_share:.0%}",
            f"{row['weight']:+.3f}",
            f"{row['probability_ratio']:.2f}",
            f"{row['activation_gap']:+.3f}",
            drawn.get(candidate.neuron, ""),
        )
    return table


def _words(path: Path) -> dict[int, str]:
    """Neuron to the word that tells best when it fires; none without a text guide."""
    names = read_table(path).dropna(subset=["text_name"]) if path.exists() else None
    return {} if names is None else dict(zip(names["neuron"], names["text_name"], strict=True))


def _help_to_choose(params_file: Path, run_name: str, out: Path | None) -> str:
    tried, family = (command(name, params_file, run_name, out) for name in ("suggest", "family NEURON"))
    return f"to help you choose: {tried} tries edits of them, {family} shows who carries the same cue; neither decides"


def _standing(decision: Decision | None, how: str) -> str:
    if decision is None:
        return f"no decision yet; decide: {how} --neurons 3,17 --note WHY, or --reject"
    named = ", ".join(str(neuron) for given in decision.neurons.values() for neuron in given)
    text = f"{decision.verdict} by {decision.by}{f': neurons {named}' if named else ''}"
    remarks = "; ".join([*([decision.rule] if decision.rule else []), *(["unverified"] if decision.unverified else [])])
    return f"{text} ({remarks})" if remarks else text


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
