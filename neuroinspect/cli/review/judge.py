"""`neuroinspect review judge | undo`: what a reviewer thinks of single neurons, before the decision."""

from typing import Annotated, Any, Final, Literal

import typer

from neuroinspect.cli.options import DEFAULT_PARAMS, DEFAULT_RUN, Json, OutFolder, ParamsFile, Quiet, RunName
from neuroinspect.cli.review.asked import ReviewId, asked_in_store
from neuroinspect.cli.review.standing import speaker
from neuroinspect.cli.screen import session
from neuroinspect.review import NeuronJudgement, ReviewBook, ReviewRequest, judge, selection

By = Annotated[str | None, typer.Option("--by", help="who says so; your user name if left out")]
_SAID: Final = {None: "no verdict", "spurious": "spurious", "core": "core", "unclear": "unclear"}


def add_commands(app: typer.Typer) -> None:
    """Add `judge` and `undo`."""
    app.command("judge")(judge_)
    app.command("undo")(undo)


def judge_(
    neuron: Annotated[int, typer.Argument(metavar="NEURON", help="a candidate of the review")],
    verdict: Annotated[
        Literal["spurious", "core", "unclear", "none"],
        typer.Argument(
            metavar="VERDICT",
            help="spurious: what the class should not rest on; core: part of the class; unclear; none: no verdict",
        ),
    ],
    note: Annotated[str, typer.Option(help="why, in your own words")] = "",
    by: By = None,
    identifier: ReviewId = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what a neuron is. It is kept at once and decides nothing; `decide --spurious` takes those called spurious."""
    with session(quiet=quiet, as_json=as_json) as screen:
        who = speaker(by)
        store, request = asked_in_store(params_file, run_name, out, identifier)
        said = judge(request, neuron=neuron, verdict=None if verdict == "none" else verdict, by=who, note=note)
        screen.finish(*_shown(store, request, store.judge(request.id, said)))


def undo(
    by: By = None,
    identifier: ReviewId = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Take back your last verdict; call it again for the one before."""
    with session(quiet=quiet, as_json=as_json) as screen:
        who = speaker(by)
        store, request = asked_in_store(params_file, run_name, out, identifier)
        kept = store.undo(request.id, by=who)
        if kept is None:
            screen.finish({"judgement": None}, f"nothing of {who} to take back")
        else:
            screen.finish(*_shown(store, request, kept))


def _shown(store: ReviewBook, request: ReviewRequest, kept: NeuronJudgement) -> tuple[dict[str, Any], str]:
    judgements = store.judgements(request.id).values()
    judged = sum(one.verdict is not None for one in judgements)
    total = len(request.candidates)
    spurious = selection(judgements)
    named = f"; spurious: {', '.join(map(str, spurious))}" if spurious else ""
    return (
        {
            "judgement": kept.model_dump(mode="json"),
            "judged": judged,
            "candidates": total,
            "spurious": spurious,
        },
        f"neuron {kept.neuron}: {_SAID[kept.verdict]}{f' ({kept.note})' if kept.note else ''}\n"
        f"judged   {judged} of {total}{named}",
    )
