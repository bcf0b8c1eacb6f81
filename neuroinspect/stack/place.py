"""Where the stack of a project keeps what it writes: everything below `<state>/stack/`, for its owner alone."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neuroinspect.errors import SettingsError
from neuroinspect.machinery import STACK_FILE

_LONGEST_SOCKET: Final = 90
"""Bytes: 107 are allowed, and supervisord first binds the name with its process id behind it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one stack.

    Attributes:
        state: folder of everything the tools keep on this machine, an absolute path.
        project: folder of the params file, in which all programs run.
    """

    state: Path
    project: Path

    @property
    def folder(self) -> Path:
        """Everything but the addresses."""
        return self.state / "stack"

    @property
    def identifier(self) -> str:
        """By which processes of this stack are told from those of another: the same for as long as the state folder stands."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:16]

    @property
    def addresses(self) -> Path:
        """Read beneath the environment and `neuroinspect.env` by every command; there while the stack is up."""
        return self.state / STACK_FILE

    @property
    def configuration(self) -> Path:
        """What supervisord reads."""
        return self.folder / "supervisord.conf"

    @property
    def programs(self) -> Path:
        """What is run, and how `up` was asked for it."""
        return self.folder / "programs.json"

    @property
    def logs(self) -> Path:
        """A file for each program."""
        return self.folder / "logs"

    @property
    def lock(self) -> Path:
        """Held by an `up` or a `down` at work."""
        return self.folder / ".lock"

    @property
    def socket(self) -> Path:
        """Where supervisord is asked; in a short folder of the user's where the state folder's path is too long for a socket."""
        near = self.folder / "supervisor.sock"
        if len(os.fsencode(near)) <= _LONGEST_SOCKET:
            return near
        return Path(tempfile.gettempdir()) / f"neuroinspect-{os.getuid()}" / f"{self.identifier}.sock"

    def log_of(self, program: str) -> Path:
        """What a program wrote."""
        return self.logs / f"{program}.log"

    def make(self) -> None:
        """Make the folders, closed to everybody else.

        Raises:
            SettingsError: the folder for the socket belongs to somebody else.
            OSError: a folder cannot be made.
        """
        for folder in (self.folder, self.logs, self.socket.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _refuse_a_strangers(folder)
            folder.chmod(0o700)


def _refuse_a_strangers(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SettingsError(
            f"{folder} is not a folder of yours; name another place with NEUROINSPECT_STATE, or with TMPDIR for the socket"
        )
