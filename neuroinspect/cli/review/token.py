"""`neuroinspect review token add | list | revoke`: who may review from other machines."""

from typing import Annotated

import typer
from rich.table import Table

from neuroinspect.assembly import reviewers
from neuroinspect.cli.options import DEFAULT_PARAMS, Json, ParamsFile, Quiet, read_machinery
from neuroinspect.cli.screen import as_shown, session

Name = Annotated[str, typer.Argument(metavar="NAME", help="of the reviewer, as the trail shows it")]

app = typer.Typer(
    help="Tokens of the reviewers, who log in with them where the page asks for it.", no_args_is_help=True
)


@app.command("add")
def add(name: Name, params_file: ParamsFile = DEFAULT_PARAMS, quiet: Quiet = False, as_json: Json = False) -> None:
    """Give a reviewer a token. It is shown this once and kept nowhere but as a hash."""
    with session(quiet=quiet, as_json=as_json) as screen:
        token = reviewers(read_machinery(params_file)).add(name)
        screen.finish(
            {"name": name, "token": token},
            token,
            f"This is the token of {name}. Hand it over in private: it is not shown again, and `token revoke` ends it.",
        )


@app.command("list")
def list_(params_file: ParamsFile = DEFAULT_PARAMS, quiet: Quiet = False, as_json: Json = False) -> None:
    """List who holds or held a token."""
    with session(quiet=quiet, as_json=as_json) as screen:
        table, known = (
            Table("reviewer", "since (UTC)", "revoked (UTC)"),
            reviewers(read_machinery(params_file)).listed(),
        )
        for one in known:
            ended = "" if one.revoked_at is None else f"{one.revoked_at:%Y-%m-%d %H:%M}"
            table.add_row(as_shown(one.name), f"{one.added_at:%Y-%m-%d %H:%M}", ended)
        records = [{"name": one.name, "added_at": one.added_at, "revoked_at": one.revoked_at} for one in known]
        screen.finish(
            {"reviewers": records}, table if known else "nobody has a token; `neuroinspect review token add NAME`"
        )


@app.command("revoke")
def revoke(name: Name, params_file: ParamsFile = DEFAULT_PARAMS, quiet: Quiet = False, as_json: Json = False) -> None:
    """Let a reviewer's token open nothing from now on; what they decided stays."""
    with session(quiet=quiet, as_json=as_json) as screen:
        reviewers(read_machinery(params_file)).revoke(name)
        screen.finish({"revoked": name}, f"revoked  the token of {name}")
