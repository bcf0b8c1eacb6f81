"""Both flows in this process, one after the other: what `neuroinspect run` does."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

from flows.debug import debug
from flows.edit import edit
from flows.messages import quieten_console
from flows.surroundings import surrounded_by
from neuroinspect.adapters.prefect_server import CREDENTIALS, reason_of, wants_login
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import ChainResult
from neuroinspect.errors import OutsideError
from neuroinspect.machinery import PREFECT_VARIABLE, Machinery, stack_way_out
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params


def run_locally(
    run: RunFolder, params: Params, *, machinery: Machinery, auto_review: bool, progress: Progress = silent
) -> ChainResult:
    """Run the debug flow, and the edit flow where a decision is there or nothing is to be decided.

    Args:
        run: the run folder; finished stages in it are not computed again.
        params: settings of all stages.
        machinery: where the tools run; without an address of Prefect a temporary server is started.
        auto_review: decide by rule where no person has.
        progress: is told how far each task is.

    Raises:
        OutsideError: Prefect's server cannot be reached or started, or a task took too long.
        NeuroInspectError: any stage's or tool's, as it was raised.
    """
    folder = str(run.root.resolve())
    # Held from the first flow to the last: between the two an outbox would take the edit out of our hands.
    with _in_this_process(machinery, progress), run.lock():
        with _interrupts_kept():
            found = debug(params, folder, review="auto" if auto_review else "wait")
        if found.status == "waiting":
            return ChainResult(run.root, "waiting", found.stages)
        done = edit(params, folder)
    return replace(done, root=run.root, stages=found.stages + done.stages)


def edit_locally(run: RunFolder, params: Params, *, machinery: Machinery, progress: Progress = silent) -> ChainResult:
    """Run the edit flow of a decided run.

    Args:
        run: the run folder the debug flow left.
        params: settings of all stages, as the debug flow had them.
        machinery: where the tools run, as in `run_locally`.
        progress: is told how far each task is.

    Raises:
        OutsideError: Prefect's server cannot be reached or started, or a task took too long.
        NeuroInspectError: any stage's or tool's, as it was raised.
    """
    with _in_this_process(machinery, progress):
        return edit(params, str(run.root.resolve()))


@contextmanager
def _in_this_process(machinery: Machinery, progress: Progress) -> Iterator[None]:
    quieten_console()
    with _prefect_errors(machinery), surrounded_by(machinery, progress):
        _wait_for_server()
        yield


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Raise at the end an interrupt that Prefect loses, as it does with one that comes while a finished flow is closed."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):  # nobody to interrupt
        yield
        return
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _wait_for_server() -> None:
    """Ask the server for its health, which starts a temporary one where none is configured."""
    try:
        with get_client(sync_client=True) as client:
            error = client.api_healthcheck()
    except RuntimeError as failure:  # what Prefect raises where its temporary server does not start in time
        raise PrefectException(str(failure)) from failure
    if error is not None:
        raise error


@contextmanager
def _prefect_errors(machinery: Machinery) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise OutsideError(
            f"a task took longer than {machinery.task_timeout:.0f} s ({error}); what is finished is kept: run the same "
            "command again, or raise NEUROINSPECT_TASK_TIMEOUT"
        ) from error
    except (httpx.HTTPError, PrefectException) as error:
        place, reason = machinery.prefect_url, reason_of(error)
        way_out = stack_way_out(machinery, "prefect_url") or "start it or correct NEUROINSPECT_PREFECT_URL"
        if place is None:
            home = os.environ.get("PREFECT_HOME", machinery.prefect_home)
            place, way_out = "a temporary server", f"see that {home} can be written, or move it away"
            reason = f"does not answer ({error or type(error).__name__})"
        if machinery.prefect_is_named_elsewhere:
            place = PREFECT_VARIABLE  # may hold a secret
            way_out, reason = f"start it or correct {PREFECT_VARIABLE}", reason_of(error)
        if wants_login(error):
            way_out = CREDENTIALS
        raise OutsideError(
            f"Prefect at {place} {reason}; {way_out}, or run the plain stages with --no-flow. What is finished is kept"
        ) from error
