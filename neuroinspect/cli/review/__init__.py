"""`neuroinspect review`: look at the neurons that were found, judge them, and decide which to edit."""

import typer

from neuroinspect.cli.review import decide, import_file, judge, list_all, serve, show, token, watch

app = typer.Typer(
    help="Look at the neurons that were found, judge them, and decide which to edit.", no_args_is_help=True
)
list_all.add_command(app)
show.add_command(app)
judge.add_commands(app)
decide.add_command(app)
watch.add_commands(app)
serve.add_command(app)
app.add_typer(token.app, name="token")
import_file.add_command(app)
