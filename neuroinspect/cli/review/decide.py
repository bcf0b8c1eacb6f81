"""`neuroinspect review decide`."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from neuroinspect.artifacts import RunFolder
from neuroinspect.assembly import server_outbox, tell_webhook
from neuroinspect.chain import with_resolved_model
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
from neuroinspect.cli.review.asked import Asked, ReviewId, asked_by_id, asked_by_run, open_in_store
from neuroinspect.cli.review.standing import speaker, told
from neuroinspect.cli.screen import session
from neuroinspect.errors import ReviewError, SettingsError
from neuroinspect.gate import refuse_outdated, take_decision
from neuroinspect.review import Decision, decide, selection

Replace = Annotated[bool, typer.Option("--replace", help="take the place of an earlier decision")]


def add_command(app: typer.Typer) -> None:
    """Add `decide`."""
    app.command("decide")(decide_)


def decide_(
    neurons: Annotated[str | None, typer.Option(metavar="3,17", help="candidates to edit")] = None,
    spurious: Annotated[bool, typer.Option("--spurious", help="edit those with the verdict spurious")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="edit nothing; --note says why")] = False,
    strength: Annotated[
        float, typer.Option(help="how far to go towards the edit: above 0, at most 1, the edit in full")
    ] = 1.0,
    note: Annotated[str, typer.Option(help="why, in your own words")] = "",
    by: Annotated[str | None, typer.Option(help="who decides; your user name if left out")] = None,
    replace: Replace = False,
    identifier: ReviewId = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Answer the review: name the neurons to edit, or reject. Nothing is stored where a rule refuses the answer."""
    with session(quiet=quiet, as_json=as_json) as screen:
        if sum((neurons is not None, spurious, reject)) > 1:
            raise SettingsError("--neurons, --spurious and --reject are three answers; give one of them")
        machinery, who = read_machinery(params_file), speaker(by)
        asked = _asked(params_file, run_name, out, identifier)
        chosen = _called_spurious(asked) if spurious else _numbers(neurons)
        decision = decide(
            asked.request,
            verdict="rejected" if reject else "approved",
            neurons={asked.request.class_name: chosen},
            by=who,
            strength=strength,
            note=note,
        )
        _take(asked, decision, replace=replace)
        tell_webhook(machinery)
        started = None
        outbox = None if asked.store is None else server_outbox(machinery, asked.store)
        if outbox is not None:
            order = outbox.push(asked.request.id)
            started = None if order is None else order.started
        following = command("run", params_file, run_name, out if identifier is None else _place(asked))
        screen.finish(
            {**decision.record(), "edit_run": started},
            told(decision),
            f"next     go on: {following}" if started is None else f"started  as Prefect run {started}",
        )


def _asked(params_file: Path, run_name: str, out: Path | None, identifier: str | None) -> Asked:
    if identifier is not None:
        return asked_by_id(params_file, identifier, out=out)
    params = read_params(params_file)
    folder = run_folder(params, run_name, out)
    return asked_by_run(folder, with_resolved_model(params, stage_tools(params_file), run=folder), params_file)


def _take(asked: Asked, decision: Decision, *, replace: bool) -> None:
    """Take the decision in store and run folder, unless a rule refuses it."""
    with nullcontext() if asked.run is None else asked.run.lock():
        refuse_outdated(asked.request, run=asked.run, params=asked.params, stored=asked.stored, replace=replace)
        refused = asked.stored is not None and asked.stored.decision is not None and not replace
        if asked.run is not None and asked.params is not None and not refused and not _is_noted(asked, asked.run):
            open_in_store(asked, asked.params)  # the edit goes on with these settings
        if asked.run is not None:
            take_decision(asked.run, decision, store=asked.store, params=asked.params, replace=replace)
        elif asked.store is not None:  # decided or expired: the store says so
            asked.store.decide(decision.record(), replace=replace)


def _is_noted(asked: Asked, run: RunFolder) -> bool:
    """Whether the store knows that this run folder asks."""
    return asked.stored is not None and run.root.resolve() in {known.root for known in asked.stored.runs}


def _called_spurious(asked: Asked) -> list[int]:
    judgements = {} if asked.store is None else asked.store.judgements(asked.request.id)
    chosen = selection(judgements.values())
    if not chosen:
        raise ReviewError(
            "no neuron of this review has the verdict spurious; give one with `neuroinspect review judge NEURON spurious`, or "
            "name them with --neurons"
        )
    return chosen


def _place(asked: Asked) -> Path | None:
    return None if asked.run is None else asked.run.root


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in (text or "").split(",") if part.strip()]
    except ValueError as error:
        raise ReviewError(f"--neurons {text}: expected numbers with commas between them, such as 3,17") from error
