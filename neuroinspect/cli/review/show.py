"""`neuroinspect review show`."""

import dataclasses
from pathlib import Path

import typer
from rich.table import Table

from neuroinspect.artifacts import RunFolder, read_json, read_table
from neuroinspect.assembly import plain_tools
from neuroinspect.chain import run_stage_alone, with_resolved_model
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
)
from neuroinspect.cli.review.asked import SHOWN, Asked, ReviewId, asked_by_id, asked_by_run, open_in_store
from neuroinspect.cli.review.standing import told_or_asked
from neuroinspect.cli.screen import Screen, as_shown, session, table_of
from neuroinspect.gate import settle_review
from neuroinspect.nightly import new_when_asked
from neuroinspect.ports import Tools
from neuroinspect.review import Decision, NeuronJudgement

_SETS = 3


def add_command(app: typer.Typer) -> None:
    """Add `show`."""
    app.command("show")(show)


def show(
    identifier: ReviewId = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show the candidates, what was said of them, and the decision where there is one."""
    with session(quiet=quiet, as_json=as_json) as screen:
        if identifier is None:
            asked, decision = _open(params_file, run_name, out, screen)
            how = command("review decide", params_file, run_name, out)
        else:
            asked = asked_by_id(params_file, identifier, out=out)
            decision = None if asked.stored is None else asked.stored.decision
            how = f"{command('review decide', params_file, DEFAULT_RUN, None)} --id {asked.request.id[:SHOWN]}"
        judgements = {} if asked.store is None else asked.store.judgements(asked.request.id)
        page = None if asked.store is None else read_machinery(params_file).page_of(asked.request.id)
        lines = [] if asked.run is None else [f"pictures {as_shown(str(asked.run.stage('visualize')))}"]
        new = () if asked.run is None else new_when_asked(asked.run, asked.request.id)
        lines += [f"new      {', '.join(map(str, new))}: these made a night ask"] if new else []
        lines += [told_or_asked(decision, asked.stored, how=how)]
        if decision is None:
            lines += _suggested(asked.run)
            lines += [_help_to_choose(params_file, run_name, out)] if identifier is None else []
        lines += [] if page is None else [f"page     {page}, while this runs: neuroinspect review serve"]
        screen.finish(
            {
                "request": asked.request.record(),
                "decision": None if decision is None else decision.record(),
                "status": None if asked.stored is None else asked.stored.status,
                "judgements": [one.model_dump(mode="json") for one in judgements.values()],
                "page": page,
            },
            _candidates(asked, judgements),
            "\n".join(lines),
        )


def _open(params_file: Path, run_name: str, out: Path | None, screen: Screen) -> tuple[Asked, Decision | None]:
    """The question that a run folder asks now, in folder and store, and the decision that stands."""
    machinery = read_machinery(params_file)
    tools, given = plain_tools(machinery), read_params(params_file)
    folder = run_folder(given, run_name, out)
    run_stage_alone("review", folder, given, tools=tools, progress=screen.progress)
    params = with_resolved_model(given, tools, run=folder)
    asked = asked_by_run(folder, params, params_file)
    open_in_store(asked, params)
    with folder.lock():
        decision = settle_review(folder, params, tools=Tools(reviews=asked.store))
    stored = None if asked.store is None else asked.store.review(asked.request.id)
    return dataclasses.replace(asked, stored=stored), decision


def _candidates(asked: Asked, judgements: dict[int, NeuronJudgement]) -> Table:
    title = f"class {as_shown(asked.request.class_name)}, review {asked.request.id[:SHOWN]}"
    figures, words = _known(asked.run)
    rows = []
    for candidate in asked.request.candidates:
        neuron, said = candidate.neuron, judgements.get(candidate.neuron)
        weight, ratio, gap = figures.get(neuron, ("", "", ""))
        rows.append(
            {
                "neuron": str(neuron),
                "word": as_shown(words.get(neuron, "")),
                "direction": candidate.direction,
                "votes": f"{candidate.vote_share:.0%}",
                "weight": weight,
                "ratio": ratio,
                "gap": gap,
                "verdict": "" if said is None else said.verdict or "",
                "note": "" if said is None else as_shown(said.note),
            }
        )
    return table_of(rows, long={"word", "note"}, title=title)


def _known(run: RunFolder | None) -> tuple[dict[int, tuple[str, str, str]], dict[int, str]]:
    """What a run folder knows of its neurons: weight, probability ratio and activation gap, and words; nothing without one."""
    if run is None:
        return {}, {}
    table = read_table(run.require("diagnose") / "neurons.parquet")
    named = (table[name] for name in ("neuron", "weight", "probability_ratio", "activation_gap"))
    figures = {
        int(neuron): (f"{weight:+.3f}", f"{ratio:.2f}", f"{gap:+.3f}")
        for neuron, weight, ratio, gap in zip(*named, strict=True)
    }
    return figures, _words(run.stage("visualize") / "names.parquet")


def _words(path: Path) -> dict[int, str]:
    """Neuron to the word that tells best when it fires; none without a text guide."""
    names = read_table(path).dropna(subset=["text_name"]) if path.exists() else None
    return {} if names is None else dict(zip(names["neuron"], names["text_name"], strict=True))


def _suggested(run: RunFolder | None) -> list[str]:
    """The first sets that `suggest` found for this very diagnosis."""
    path = None if run is None else run.stage("suggest") / "suggest.json"
    if run is None or path is None or not path.exists():
        return []
    record, diagnosis = read_json(path), run.stage_record("diagnose")
    if diagnosis is None or record["diagnose"] != diagnosis["inputs_hash"]:
        return []
    before = record["original"]["worst_class"]
    return [
        f"suggested, by `suggest`: neurons {', '.join(map(str, one['neurons']))} ({one['kind']}): worst class "
        f"{before:.1%} to {one['worst_class']:.1%} on halves of the select split"
        for one in record["sets"][:_SETS]
        if one["eligible"]
    ]


def _help_to_choose(params_file: Path, run_name: str, out: Path | None) -> str:
    tried, family = (command(name, params_file, run_name, out) for name in ("suggest", "family NEURON"))
    return f"to help you choose: {tried} tries edits of them, {family} shows who carries the same cue; neither decides"
