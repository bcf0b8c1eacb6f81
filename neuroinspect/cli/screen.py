"""What a person, or a script, sees: messages, progress, the last screen, and errors with their exit code."""

import errno
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from neuroinspect.errors import NeuroInspectError, SettingsError
from neuroinspect.review.wording import disguises

EXIT_ERROR, EXIT_SETTINGS, EXIT_REFUSED, EXIT_INTERRUPTED = 1, 2, 3, 130
_DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO}


class Screen:
    """Messages and progress go to stderr; the result of a command goes to stdout, as text or as one JSON object."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self.quiet = quiet
        self.as_json = as_json
        # Names of classes and folders are shown as they are: [b] is a name like any other.
        self.errors = Console(stderr=True, markup=False, emoji=False)
        self.output = Console(markup=False, emoji=False)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.errors,
            transient=True,
            disable=quiet or not self.errors.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def progress(self, task: str, done: int, total: int) -> None:
        """Show how far a task is; the callback every stage takes."""
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total)
        self._bars.update(self._tasks[task], completed=done, total=total, visible=done < total)

    def finish(self, result: Mapping[str, Any], *shown: RenderableType) -> None:
        """Show the result of the command.

        Args:
            result: what `--json` prints.
            shown: what a person sees, one block after the other.
        """
        self._bars.stop()
        self.tell(result, *shown)

    def tell(self, record: Mapping[str, Any], *shown: RenderableType) -> None:
        """Show something while the command goes on; `--json` prints one object for each call."""
        if self.as_json:
            self._print_json(record)
        elif not self.quiet:
            for block in shown:
                self.output.print(block, soft_wrap=isinstance(block, str | Text), highlight=False)

    def fail(self, error: Exception) -> None:
        """Show an error."""
        self._bars.stop()
        self.errors.print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
        if self.as_json:
            self._print_json({"error": str(error), "kind": type(error).__name__})

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show log messages and progress while the context is open."""
        logger = logging.getLogger("neuroinspect")
        handler = _ConsoleHandler(self.errors)
        level = logger.level
        logger.setLevel(logging.WARNING if self.quiet else logging.INFO)
        logger.addHandler(handler)
        try:
            with self._bars:
                yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

    def _print_json(self, result: Mapping[str, Any]) -> None:
        typer.echo(json.dumps(result, ensure_ascii=False, default=str))


def as_shown(text: str) -> str:
    """Text that does nothing to a terminal: names of classes and folders may hold characters that move or colour it."""
    return "".join("\N{REPLACEMENT CHARACTER}" if disguises(letter) else letter for letter in text)


def table_of(rows: Sequence[Mapping[str, str]], *, long: Collection[str], title: str | None = None) -> Table:
    """A table without the columns in which nothing stands; where it gets narrow, the long ones are folded.

    Args:
        rows: heading to text, the same headings in each.
        long: headings of columns that may be folded in the middle of a word.
        title: above it.
    """
    used = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for name in used:
        table.add_column(name, overflow="fold", no_wrap=name not in long)
    for row in rows:
        table.add_row(*(row[name] for name in used))
    return table


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        self._console.print(record.getMessage(), style=style, highlight=False, soft_wrap=True)


@contextmanager
def session(*, quiet: bool = False, as_json: bool = False) -> Iterator[Screen]:
    """One command: its screen, and the one place where errors become messages and exit codes."""
    screen = Screen(quiet=quiet, as_json=as_json)
    try:
        with screen.shown():
            yield screen
    except NeuroInspectError as error:
        screen.fail(error)
        raise typer.Exit(EXIT_SETTINGS if isinstance(error, SettingsError) else EXIT_ERROR) from error
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        screen.fail(error)
        raise typer.Exit(EXIT_ERROR) from error
    except typer.Abort as error:
        refused = SettingsError("the question was not answered, so nothing was done; answer it, or give --yes")
        screen.fail(refused)
        raise typer.Exit(EXIT_ERROR) from error
    except KeyboardInterrupt as error:
        screen.errors.print("stopped; the same command goes on where it stopped")
        raise typer.Exit(EXIT_INTERRUPTED) from error
