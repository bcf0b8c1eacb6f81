"""`neuroinspect register`, `promote` and `rollback`: which version of a model serves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from neuroinspect.assembly import plain_tools, promotions, registered_name
from neuroinspect.chain import carry_out, data_version, with_resolved_model
from neuroinspect.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RUN,
    Json,
    OutFolder,
    ParamsFile,
    Quiet,
    RunName,
    read_machinery,
    read_params,
    run_folder,
)
from neuroinspect.cli.review.standing import speaker
from neuroinspect.cli.screen import EXIT_REFUSED, as_shown, session, table_of
from neuroinspect.errors import OutsideError, SettingsError
from neuroinspect.promotion import Judgement, Promotion

ModelName = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="registered model; that of the params file if left out")
]
By = Annotated[str | None, typer.Option("--by", help="who does it; your user name if left out")]
_LONG: Final = {"asked", "came", "bias only", "reason", "by"}


def add_commands(app: typer.Typer) -> None:
    """Add `register`, `promote` and `rollback`."""
    app.command("register")(register)
    app.command("promote")(promote)
    app.command("rollback")(rollback)


def register(
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    by: By = None,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="begin an empty trail with the champion that MLflow has, in place of refusing"),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Put the untouched model of the params file into the registry, and into service where nothing serves yet.

    The run folder says on which data; where it has not looked at them yet, it does. A model that is registered already, as
    models:/NAME@champion, is from then on compared with its edits on these data.
    """
    with session(quiet=quiet, as_json=as_json) as screen:
        machinery, who = read_machinery(params_file), speaker(by)
        desk, tools = promotions(machinery), plain_tools(machinery)
        params = read_params(params_file)
        run = run_folder(params, run_name, out)
        params = with_resolved_model(params, tools)
        with run.lock():
            carry_out("validate", run, params, tools=tools, progress=screen.progress)
            data = data_version(run, params, tools=tools)
        if tools.registry is None:
            raise OutsideError("there is no registry; pip install 'neuroinspect[pipeline]'")
        kept = tools.registry.register_untouched(params, data_version=data, by=who)
        first = desk.begin(kept.name, kept.version, by=who, adopt=adopt)
        trail = desk.trail(kept.name)
        serves = f"version {trail[-1].after}" if trail else "no version"
        begun = first is not None and first.after == int(kept.version)
        role = "it is the champion now" if begun else f"{serves} is the champion"
        screen.finish(
            {"model": kept.name, "version": int(kept.version), "data": data, "first": first is not None},
            f"kept     {kept.uri}, on data {data}; {role}",
        )


def promote(
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="number of the version, or an alias such as candidate")
    ] = None,
    model: ModelName = None,
    by: By = None,
    override: Annotated[
        str | None, typer.Option("--override", metavar="REASON", help="promote although a rule does not hold, and why")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the rules, and change nothing")] = False,
    list_: Annotated[bool, typer.Option("--list", help="show who promoted which version, and what serves")] = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show what every rule of the promotion policy says of a version, and put it into service if all hold.

    Exits with 3 where a rule does not hold and the version is not promoted.
    """
    with session(quiet=quiet, as_json=as_json) as screen:
        if (version is None) != list_:
            raise SettingsError("name the VERSION to promote, or give --list to see the trail")
        desk, name = promotions(read_machinery(params_file)), _name(params_file, model)
        if version is None:
            trail = list(desk.trail(name))
            shown = (
                table_of([_line(entry) for entry in trail], long=_LONG) if trail else f"nothing serves as {name} yet"
            )
            screen.finish({"model": name, "trail": [_record(entry) for entry in trail]}, shown)
            return
        judged = desk.judge(name, version)
        refused = not judged.holds and override is None
        entry = judged.entry
        if not dry_run and not refused:
            entry = desk.promote(judged, by=speaker(by), override=override)
        moved = entry is not None and judged.entry is None
        record = {**judged.record(), "promoted": moved, "entry": None if entry is None else _record(entry)}
        screen.finish(record, *_shown(judged), _told(judged, entry, dry_run=dry_run, moved=moved))
    if refused:
        raise typer.Exit(EXIT_REFUSED)


def rollback(
    model: ModelName = None,
    by: By = None,
    reason: Annotated[str | None, typer.Option("--reason", help="why, for the trail")] = None,
    expected: Annotated[
        int | None,
        typer.Option(
            "--from", metavar="VERSION", help="only where this version serves; said again, it takes no further step"
        ),
    ] = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Put the version before the champion back into service; a second time the one before that."""
    with session(quiet=quiet, as_json=as_json) as screen:
        desk, name = promotions(read_machinery(params_file)), _name(params_file, model)
        entry = desk.rollback(name, by=speaker(by), reason=reason, expected=expected)
        screen.finish(
            {"model": name, **_record(entry)},
            f"back     models:/{name}/{entry.after} is the champion again, in place of version {entry.before}: "
            f"{as_shown(entry.told())}",
        )


def _name(params_file: Path, model: str | None) -> str:
    return model if model is not None else registered_name(read_params(params_file))


def _shown(judged: Judgement) -> Sequence[Table]:
    if not judged.rules:
        return ()
    champion = "nothing" if judged.champion is None else f"version {judged.champion.number}"
    candidate = judged.candidate
    title = f"{as_shown(candidate.name)} version {candidate.number} ({candidate.method}), in place of {champion}"
    rows = [
        {
            "rule": rule.name,
            "asked": as_shown(rule.asked),
            "came": as_shown(rule.came),
            "bias only": as_shown(rule.bias),
            "holds": "yes" if rule.holds else "NO",
        }
        for rule in judged.rules
    ]
    return (table_of(rows, long=_LONG, title=title),)


def _told(judged: Judgement, entry: Promotion | None, *, dry_run: bool, moved: bool) -> str:
    uri = judged.candidate.uri
    if entry is not None and not moved:
        return f"already  {uri} is the champion: {as_shown(entry.told())}"
    if entry is not None:
        against = " against the rules" if entry.kind == "override" else ""
        return f"promoted {uri} is the champion now{against}; `neuroinspect rollback` takes it back"
    broken = f"{len(judged.broken)} of {len(judged.rules)} rules do not hold"
    if not judged.holds:
        return f"refused  {uri}: {broken}; --override REASON promotes it all the same, and is recorded"
    return f"would be promoted: {uri}; all {len(judged.rules)} rules hold" if dry_run else ""


def _line(entry: Promotion) -> dict[str, str]:
    return {
        "number": str(entry.number),
        "when (UTC)": "" if entry.at is None else f"{entry.at:%Y-%m-%d %H:%M}",
        "what": entry.kind,
        "from": "" if entry.before is None else str(entry.before),
        "to": str(entry.after),
        "by": as_shown(entry.by),
        "rules": f"{sum(bool(rule['holds']) for rule in entry.rules)}/{len(entry.rules)}" if entry.rules else "",
        "reason": as_shown(entry.reason or ""),
    }


def _record(entry: Promotion) -> dict[str, Any]:
    return {
        "number": entry.number,
        "kind": entry.kind,
        "from": entry.before,
        "to": entry.after,
        "by": entry.by,
        "at": None if entry.at is None else entry.at.isoformat(),
        "reason": entry.reason,
        "layer": entry.layer,
        "metrics_hash": entry.metrics_hash,
        "rules": [dict(rule) for rule in entry.rules],
    }
