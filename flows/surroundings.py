"""What the process gives every task beside its parameters: where the tools run, and who wants to see progress.

Neither is a parameter of a flow: addresses may hold secrets and are the machine's own, and Prefect keeps parameters in its
database. On a worker both come from the environment; a process that runs flows itself says so with `surrounded_by`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from neuroinspect.machinery import Machinery, load_machinery
from neuroinspect.ports import Progress, silent


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the tools run, and what is told how far the work is."""

    machinery: Machinery
    progress: Progress = silent


_given: ContextVar[Surroundings | None] = ContextVar("surroundings", default=None)


def surroundings() -> Surroundings:
    """What this process was given; on a worker, the environment and `neuroinspect.env` of its working directory.

    Raises:
        SettingsError: the environment holds an unknown name or a wrong value.
    """
    return _given.get() or Surroundings(load_machinery(Path.cwd()))


@contextmanager
def surrounded_by(machinery: Machinery, progress: Progress) -> Iterator[None]:
    """Give these to every task that is run while the context is open, in threads too."""
    token = _given.set(Surroundings(machinery, progress))
    try:
        yield
    finally:
        _given.reset(token)
