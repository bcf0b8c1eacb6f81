"""`neuroinspect review watch | retry`: carry out what is decided, wherever it is decided."""

import logging
import time
from contextlib import ExitStack
from typing import Annotated, Final

import typer

from neuroinspect import assembly
from neuroinspect.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RUN,
    Json,
    OutFolder,
    ParamsFile,
    Quiet,
    RunName,
    read_machinery,
)
from neuroinspect.cli.review.asked import SHOWN, ReviewId, asked_in_store
from neuroinspect.cli.review.events import Event, Watched
from neuroinspect.cli.review.interrupts import Interrupts
from neuroinspect.cli.screen import Screen, as_shown, session
from neuroinspect.errors import OutsideError, ReviewError

_OUTBOX: Final = "neuroinspect.outbox"
log = logging.getLogger(__name__)


def add_commands(app: typer.Typer) -> None:
    """Add `watch` and `retry`."""
    app.command("watch")(watch)
    app.command("retry")(retry)


def watch(
    once: Annotated[bool, typer.Option("--once", help="do what is due now, and end")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="seconds between two looks")] = 2.0,
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Wait for reviews and decisions, start the edits that follow, and say what happens; until Ctrl-C."""
    with session(quiet=quiet, as_json=as_json) as screen, ExitStack() as stack:
        logging.getLogger(_OUTBOX).setLevel(logging.WARNING)  # what it starts is an event as well
        machinery = read_machinery(params_file)
        store = assembly.needed_review_store(machinery)
        outbox, hook, watched = assembly.outbox(machinery, store), assembly.webhook(machinery, store), Watched(store)
        lost, aliases = assembly.lost_runs(machinery), assembly.alias_rounds(machinery)
        interrupts, said = Interrupts(), ""

        def take_round() -> str:
            """One step with everything; what keeps it from its end, in words."""
            if lost is not None:
                lost.rounds.take()  # whatever comes of it, decisions are carried out
            try:
                outbox.run_once()
                if hook is not None:
                    hook.send_due()
                _show(screen, watched.look())
            except OutsideError as error:
                if once:
                    raise
                if str(error) != said:
                    log.warning("%s; it is tried again", error)
                return str(error)
            return ""

        with interrupts.held():
            if once:
                aliases.take()
            else:
                stack.enter_context(aliases.in_background())
            with interrupts.step():
                _show(screen, watched.look())
            while True:
                with interrupts.step():
                    said = take_round()
                if once:
                    return
                time.sleep(every)


def retry(
    identifier: ReviewId = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    run_name: RunName = DEFAULT_RUN,
    out: OutFolder = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Let an edit that has stopped start again; `watch` or the page starts it."""
    with session(quiet=quiet, as_json=as_json) as screen:
        store, request = asked_in_store(params_file, run_name, out, identifier)
        order = store.edit_order(request.id)
        if order is None or not order.stopped:
            raise ReviewError(f"nothing of review {request.id[:SHOWN]} has stopped; `review show` says how it stands")
        store.retry(request.id)
        screen.finish(
            {"request": request.id}, "the edit starts again with the next round of `review watch` or the page"
        )


def _show(screen: Screen, events: list[Event]) -> None:
    for event in events:
        at = "" if event.at is None else f"{event.at:%Y-%m-%d %H:%M:%S}  "
        line = f"{at}{event.what:<13} {event.request[:SHOWN]} {event.class_name}: {event.told}"
        screen.tell(event.record(), as_shown(line))
