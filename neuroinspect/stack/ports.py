"""Ports on loopback: those asked for if nobody has them, any free one for 0."""

import random
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Final

from neuroinspect.errors import SettingsError

HOST: Final = "127.0.0.1"
_LASTING: Final = range(20_000, 32_768)
"""Below the ports that Linux gives to outgoing connections: one of those could have it while a server is started anew."""
_TRIES: Final = 100


def choose_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """A free port for each program.

    Args:
        wanted: program -> port, 0 for any free one. The option that names it is `--<program>-port`.

    Raises:
        SettingsError: a port is taken, not ours to take, or asked for twice; the message names port and option.
    """
    chosen: dict[str, int] = {}
    with ExitStack() as held:  # all at once, so that no free one is given out twice
        for program, port in sorted(wanted.items(), key=lambda one: one[1] == 0):
            option = f"--{program}-port"
            if port and port in chosen.values():
                raise SettingsError(
                    f"port {port} is asked for twice; choose another with {option}, or 0 for any free one"
                )
            listening = held.enter_context(socket.socket())
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just been closed is free
            try:
                if port:
                    listening.bind((HOST, port))
                else:
                    _bind_to_any(listening)
                listening.listen()
            except OSError as error:
                raise SettingsError(
                    f"port {port} for {program} cannot be had ({error.strerror or error}); stop what has it, or choose another "
                    f"with {option}, 0 for any free one"
                ) from error
            chosen[program] = int(listening.getsockname()[1])
    return chosen


def _bind_to_any(listening: socket.socket) -> None:
    for port in random.sample(_LASTING, _TRIES):
        with suppress(OSError):
            listening.bind((HOST, port))
            return
    listening.bind((HOST, 0))
