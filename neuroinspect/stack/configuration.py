"""The files supervisord and the leashes read.

No path and no secret stands in the first, so no name of a folder can break it: supervisord runs in the folder of the stack, and
is told in its environment what lies elsewhere.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from neuroinspect.artifacts import write_bytes
from neuroinspect.stack.marks import MARK, mark
from neuroinspect.stack.place import Place
from neuroinspect.stack.programs import Program

PYTHON: Final = "STACK_PYTHON_OF_NEUROINSPECT"
"""Variable with the Python that runs the leashes."""
SOCKET: Final = "STACK_SOCKET_OF_NEUROINSPECT"
"""Variable with where supervisord listens."""
_LOG_BYTES, _LOG_BACKUPS = "5MB", 3
_SECONDS_UP: Final = 2
_RETRIES: Final = 10
"""Starts in a row that may fail; each waits a second longer than the one before."""


def write_configuration(place: Place, programs: Sequence[Program], asked: Mapping[str, Any]) -> None:
    """Write what supervisord and the leashes read, for the owner alone.

    Args:
        place: where.
        programs: in the order in which they are started; they are stopped the other way round.
        asked: how `up` was asked, to tell a second `up` with other wishes.

    Raises:
        RunFolderError: a file cannot be written.
    """
    record = {
        "asked": dict(asked),
        "project": str(place.project),
        "programs": {
            one.name: {
                "words": list(one.words),
                "address": one.address,
                "environment": dict(one.environment),
                "without": list(one.without),
            }
            for one in programs
        },
    }
    for path, text in (
        (place.programs, json.dumps(record, indent=2)),
        (place.configuration, supervisord_configuration(place.identifier, programs)),
    ):
        write_bytes(path, text.encode())
        path.chmod(0o600)


def read_programs(place: Place) -> dict[str, Any] | None:
    """What `write_configuration` kept of the programs; None where nothing is, or nothing that can be read."""
    try:
        record = json.loads(place.programs.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"asked", "programs"} <= record.keys() else None


def supervisord_configuration(identifier: str, programs: Sequence[Program]) -> str:
    """The configuration of supervisord.

    Args:
        identifier: of the stack.
        programs: in the order in which they are started.
    """
    sections = [
        _section("unix_http_server", file=f"%(ENV_{SOCKET})s", chmod="0700"),
        _section(
            "supervisord",
            identifier=identifier,
            nodaemon="true",
            silent="true",
            # Its own would keep a team from sharing what the workers write.
            umask=f"{_umask():03o}",
            logfile="logs/supervisord.log",
            logfile_maxbytes=_LOG_BYTES,
            logfile_backups="1",
            pidfile="supervisord.pid",
        ),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        *(_program(identifier, program, place) for place, program in enumerate(programs, 1)),
    ]
    return "\n".join(sections)


def _program(identifier: str, program: Program, place: int) -> str:
    return _section(
        f"program:{program.name}",
        command=f'"%(ENV_{PYTHON})s" -m neuroinspect.stack.leash {program.name}',
        environment=f'{MARK}="{mark(identifier, program.name)}"',
        priority=str(place),
        autostart="false" if program.is_worker else "true",
        autorestart="true",
        startsecs=str(_SECONDS_UP),
        startretries=str(_RETRIES),
        stopsignal="TERM",
        stopwaitsecs=str(program.patience),
        stopasgroup="true",
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=f"logs/{program.name}.log",
        stdout_logfile_maxbytes=_LOG_BYTES,
        stdout_logfile_backups=str(_LOG_BACKUPS),
    )


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _section(name: str, **values: str) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in values.items()), ""])
