"""`neuroinspect suggest | family`: what may help a person to choose neurons. Neither decides anything."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from neuroinspect.artifacts import read_json, read_table
from neuroinspect.chain import run_stage_alone
from neuroinspect.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RUN,
    Json,
    OutFolder,
    Overrides,
    ParamsFile,
    Quiet,
    RunName,
    command,
    read_params,
    run_folder,
    stage_tools,
)
from neuroinspect.cli.screen import session
from neuroinspect.judging.titles import title_of
from neuroinspect.masking import cue_correlation, neuron_family
from neuroinspect.stages.edit import read_split

_SHOWN = 12  # sets on the screen; --json has them all
INFORMS = "This informs and decides nothing: look at the pictures, and choose what is no part of the class."


def add_commands(app: typer.Typer) -> None:
    """Add `suggest` and `family`."""
    app.command("suggest")(suggest)
    app.command("family")(family)


def suggest(
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Try the edit for candidates, their families and a union of them, on the select split alone; a person decides."""
    with session(quiet=quiet, as_json=as_json) as screen:
        params = read_params(params_file, overrides)
        folder = run_folder(params, run_name, out)
        result = run_stage_alone("suggest", folder, params, tools=stage_tools(params_file), progress=screen.progress)
        record = read_json(result.folder / "suggest.json")
        screen.finish(
            record,
            _sets(record),
            "Figures are means over halves of the select split: one half chose, the other judged. AUROC gain is that of the "
            "class above the median of as many random neurons. Eligible: the average stays close to the original.",
            f"{INFORMS}\nnext     decide: {command('review decide', params_file, run_name, out)} --neurons 3,17 --note WHY",
        )


def family(
    neurons: Annotated[list[int], typer.Argument(metavar="NEURON...", help="neurons that carry the cue")],
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show the other neurons that carry the same cue as those you name."""
    with session(quiet=quiet, as_json=as_json) as screen:
        folder = run_folder(read_params(params_file), run_name, out)
        features, labels = read_split(folder, "select")
        found = neuron_family(features, neurons, labels=labels)
        correlation = cue_correlation(features, neurons, labels=labels)
        ranked = folder.stage("diagnose") / "neurons.parquet"
        votes = read_table(ranked).set_index("neuron")["vote_share"].to_dict() if ranked.exists() else {}
        rows = [
            {"neuron": neuron, "correlation": float(correlation[neuron]), "vote_share": votes.get(neuron)}
            for neuron in found
        ]
        named = ", ".join(map(str, sorted(set(neurons))))
        table = Table("neuron", "correlation", "candidate", title=f"neurons that fire where {named} say the cue shows")
        for row in rows:
            share = row["vote_share"]
            table.add_row(
                str(row["neuron"]), f"{row['correlation']:.2f}", "" if share is None else f"yes, vote share {share:.0%}"
            )
        shown = table if rows else f"no other neuron stands out: {named} carry their cue alone"
        screen.finish({"neurons": sorted(set(neurons)), "family": rows}, shown, INFORMS)


def _sets(record: Mapping[str, Any]) -> Table:
    table = Table("neurons", "kind", "worst class", "average", "AUROC gain over placebo", "eligible")
    for name in ("worst class", "average", "AUROC gain over placebo"):
        next(column for column in table.columns if column.header == name).justify = "right"
    table.title = f"{title_of(record['method'])} for class {record['class']}, on halves of the select split"
    original = record["original"]
    table.add_row("none", "original", f"{original['worst_class']:.1%}", f"{original['average']:.1%}", "", "")
    for one in record["sets"][:_SHOWN]:
        gain = one["auroc_gain"]
        table.add_row(
            ", ".join(map(str, one["neurons"])),
            one["kind"],
            f"{one['worst_class']:.1%}",
            f"{one['average']:.1%}",
            "" if gain is None else f"{gain:+.3f}",
            "yes" if one["eligible"] else "no",
        )
    more = len(record["sets"]) - _SHOWN
    if more > 0 or record["refused"]:
        left = [f"{more} more sets in --json"] if more > 0 else []
        left += [f"{len(record['refused'])} sets refused"] if record["refused"] else []
        table.caption = "; ".join(left)
    return table
