"""Bring the stack up, and take it down again: all of it or nothing."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from filelock import FileLock, Timeout

from neuroinspect.artifacts import write_bytes
from neuroinspect.devices import visible_gpus
from neuroinspect.errors import BusyError, OutsideError, SettingsError
from neuroinspect.machinery import Machinery
from neuroinspect.stack.configuration import read_programs, write_configuration
from neuroinspect.stack.health import Health, check_health, wait_until_healthy
from neuroinspect.stack.place import Place
from neuroinspect.stack.ports import choose_ports
from neuroinspect.stack.programs import SERVERS, address, programs, shared_environment
from neuroinspect.stack.supervision import Supervisor

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """How `up` is asked for a stack.

    Attributes:
        params: the params file.
        ports: of prefect, mlflow and page; 0 for any free one.
        workers: how many; None: one for each GPU, one where there is none.
        nightly: when debugging starts by itself, as `deploy` understands it; None: as it is on the server.
        timezone: in which that is meant.
    """

    params: Path
    ports: Mapping[str, int]
    workers: int | None = None
    nightly: str | None = None
    timezone: str | None = None

    def record(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "params": str(self.params),
            "ports": dict(self.ports),
            "workers": self.workers,
            "nightly": self.nightly,
            "timezone": self.timezone,
        }


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that runs, or ran.

    Attributes:
        place: its files.
        addresses: program -> where it answers, None for a worker.
        programs: how each is.
        seconds: since `up` was called; None where it ran already.
    """

    place: Place
    addresses: Mapping[str, str | None]
    programs: tuple[Health, ...]
    seconds: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether everything does its work."""
        return bool(self.programs) and all(program.healthy for program in self.programs)


def bring_up(
    machinery: Machinery,
    wish: Wish,
    *,
    deploy: Callable[[Machinery, int], object],
    prepare: Callable[[], object] = lambda: None,
    seconds: float = 180.0,
) -> Stack:
    """Start the stack and wait until all of it does its work; one that runs already is left as it is.

    Whatever goes wrong, also an interrupt, nothing is left running.

    Args:
        machinery: of the project, without addresses of servers elsewhere.
        wish: what is asked for.
        deploy: makes the deployments, given the machinery with the addresses of the stack and the number of workers.
        prepare: called before anything is started.
        seconds: that servers, and then workers, may take.

    Raises:
        SettingsError: a port is taken, or the stack runs as somebody asked otherwise.
        BusyError: another `up` or `down` is at work.
        OutsideError: a program does not come up; the message names it and holds the end of its log.
    """
    started = time.monotonic()
    place = Place(machinery.state.resolve(), wish.params.parent)
    place.make()
    with _alone(place), _ended_by_signals():
        supervisor = Supervisor(place)
        if supervisor.answers() and place.addresses.exists():
            _refuse_another_wish(place, wish)
            return look(place)
        supervisor.stop()  # what a killed `up` left
        place.addresses.unlink(missing_ok=True)
        ports = choose_ports(wish.ports)
        prepare()
        workers = wish.workers or len(visible_gpus()) or 1
        inside = _with_addresses(machinery, ports)
        all_programs = programs(inside, ports, wish.params, workers)
        addresses = {program.name: program.address for program in all_programs}
        names = [program.name for program in all_programs if program.is_worker]
        write_configuration(place, all_programs, wish.record())
        log.info("starting Prefect, MLflow and the review page; logs in %s", place.logs)
        try:
            supervisor.start(shared_environment(inside))
            wait_until_healthy(place, supervisor, SERVERS, addresses, seconds)
            deploy(inside, workers)
            for name in names:
                supervisor.start_program(name)
            wait_until_healthy(place, supervisor, names, addresses, seconds)
            _write_addresses(place, inside)
            return Stack(place, addresses, look(place).programs, time.monotonic() - started)
        except BaseException:
            log.info("stopping what was started")
            place.addresses.unlink(missing_ok=True)
            supervisor.stop()
            raise


def take_down(machinery: Machinery, project: Path) -> bool:
    """Stop the stack and everything it started; whether there was any.

    Raises:
        BusyError: another `up` or `down` is at work.
    """
    place = Place(machinery.state.resolve(), project)
    if not place.folder.is_dir():
        return False
    with _alone(place):
        supervisor = Supervisor(place)
        ran = supervisor.answers()
        # Before anything ends: nobody shall be sent to a server that is about to go.
        place.addresses.unlink(missing_ok=True)
        return supervisor.stop() > 0 or ran


def look(place: Place) -> Stack:
    """How the stack is now; without programs where none runs."""
    record = read_programs(place)
    supervisor = Supervisor(place)
    if record is None or not supervisor.answers():
        return Stack(place, {}, ())
    addresses: dict[str, str | None] = {name: spec["address"] for name, spec in record["programs"].items()}
    try:
        found = supervisor.processes()
    except OutsideError:  # it has just been taken down
        return Stack(place, {}, ())
    return Stack(place, addresses, tuple(check_health(process, addresses) for process in found))


def _with_addresses(machinery: Machinery, ports: Mapping[str, int]) -> Machinery:
    return machinery.model_copy(
        update={
            "state": machinery.state.resolve(),
            "prefect_url": address(ports["prefect"]) + "/api",
            "mlflow_url": address(ports["mlflow"]),
            "page_url": machinery.page_url or address(ports["page"]),
        }
    )


def _write_addresses(place: Place, machinery: Machinery) -> None:
    lines = [
        "# Written by `neuroinspect up`, taken away by `neuroinspect down`; the environment and neuroinspect.env go before it.",
        f"NEUROINSPECT_PREFECT_URL={machinery.prefect_url}",
        f"NEUROINSPECT_MLFLOW_URL={machinery.mlflow_url}",
        f"NEUROINSPECT_PAGE_URL={machinery.page_url}",
    ]
    write_bytes(place.addresses, ("\n".join(lines) + "\n").encode())
    place.addresses.chmod(0o600)


def _refuse_another_wish(place: Place, wish: Wish) -> None:
    record = read_programs(place)
    asked = {} if record is None else record["asked"]
    other = sorted(name for name, value in wish.record().items() if asked.get(name) != value)
    if other:
        raise SettingsError(
            f"the stack of {place.state} runs already, with other {' and '.join(other)}; `neuroinspect down` first, then `up` "
            "again"
        )


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    try:
        with FileLock(place.lock, timeout=0.2):
            yield
    except Timeout:
        raise BusyError(
            f"another `neuroinspect up` or `down` is at work in {place.folder}; wait for it, then see `neuroinspect status`"
        ) from None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let signals that ask this process to end do as Ctrl-C does, so that what was started is stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, _interrupt) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
