"""How far a task is: told to whoever listens in this process, and to Prefect's page at most every two seconds."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.artifacts import carry_on
from flows.surroundings import surroundings
from neuroinspect.ports import Progress

_SECONDS = 2.0


@contextmanager
def reported() -> Iterator[Progress]:
    """A Progress for a task. Work of one step has no progress worth a row in Prefect's database."""
    listener = surroundings().progress
    bars: dict[str, _Bar] = {}

    def report(task: str, done: int, total: int) -> None:
        listener(task, done, total)
        if total > 1:
            bars.setdefault(task, _Bar(task)).show(done, total)

    yield report


@dataclass(slots=True)
class _Bar:
    """One progress artifact, made when it is first shown."""

    task: str
    shown: float | None = None
    artifact: UUID | None = None

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.shown is not None and done < total and now - self.shown < _SECONDS:
            return
        self.shown = now
        percent = 100 * min(done, total) / total
        with carry_on("progress"):
            if self.artifact is None:
                key = re.sub(r"[^a-z0-9]+", "-", f"progress {self.task}".lower()).strip("-")
                made = create_progress_artifact(percent, key=key, description=self.task)
                self.artifact = made if isinstance(made, UUID) else None
            else:
                update_progress_artifact(self.artifact, percent)
