"""What would an edit of these neurons give? Answers questions about one run folder while a review is open; writes nothing."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuroinspect.artifacts import RunFolder, read_json, read_table
from neuroinspect.editing.half_figures import Cue
from neuroinspect.editing.problem import make_problem
from neuroinspect.editing.strength import FULL
from neuroinspect.editing.what_if import Rehearsal, offered_methods
from neuroinspect.errors import ReviewError, SettingsError
from neuroinspect.judging.cue import cue_group
from neuroinspect.settings import Params
from neuroinspect.stages.edit import read_split
from neuroinspect.stages.evaluate import groups_of
from neuroinspect.stages.models import classifier_of_run
from neuroinspect.stages.suggest import read_candidates
from neuroinspect.stages.what_if_answer import WhatIf, WhatIfRow, answer_of

__all__ = ["WhatIf", "WhatIfDesk", "WhatIfRow"]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A run folder made ready: the hash of its diagnosis, the rehearsal, and the names of its classes."""

    diagnosis: str
    rehearsal: Rehearsal
    class_names: Sequence[str]
    class_name: str


class WhatIfDesk:
    """Answers for one run folder, one question at a time; any thread may ask. It takes no lock of the folder and only reads.

    Args:
        run: a run folder that is finished up to diagnose.
        params: its settings.
    """

    def __init__(self, run: RunFolder, params: Params) -> None:
        self._run, self._params = run, params
        self._turn = threading.Lock()
        self._waiting, self._nobody_waits = 0, threading.Condition()
        self._closed = threading.Event()
        self._opened: _Opened | None = None
        self._prepared_for: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that may be asked for; the first is asked where none is named."""
        return offered_methods(self._params.edit)

    @property
    def prepared(self) -> bool:
        """Everything that can be done ahead of a question is done, for the diagnosis that was opened."""
        return self._opened is not None and self._prepared_for == self._opened.diagnosis

    def prepare(self) -> None:
        """Load the run, and train the controls that every answer shows; whoever asks meanwhile goes first.

        It ends unprepared where the desk is closed meanwhile.

        Raises:
            StageOrderError: diagnose has not run, or the model is another one now.
            ReviewError: there is nothing to explain.
            ArtifactError: a file of the run folder is missing or damaged.
        """
        started = time.monotonic()
        with self._turn:
            opened = self._open()
        if self.prepared:
            return
        for part in opened.rehearsal.preparations():
            with self._nobody_waits:
                self._nobody_waits.wait_for(lambda: self._waiting == 0)
            if self._closed.is_set():
                return
            with self._turn:
                part()
        self._prepared_for = opened.diagnosis
        log.info("%s: what-if prepared in %.1f s", self._run.root.name, time.monotonic() - started)

    def close(self) -> None:
        """Prepare no further, so that a process that ends, or a desk that is no longer needed, waits for one part at most."""
        self._closed.set()

    def ask(self, neurons: Sequence[int], *, method: str | None = None, strength: float = FULL) -> WhatIf:
        """What an edit of these neurons of the class under review would give.

        Args:
            neurons: in any order.
            method: one of `methods`; None: the first of them.
            strength: how far to go from the original layer, above 0 and at most 1.

        Raises:
            ReviewError: no neuron, one that does not exist or comes twice, or too few are left for a placebo.
            SettingsError: a method that cannot be asked for, or a strength out of range.
            StageOrderError: diagnose has not run, or the model is another one now.
            ArtifactError: a file of the run folder is missing or damaged.
        """
        if method is None:
            if not self.methods:
                raise SettingsError("edit.methods has no method that uses neurons, so there is nothing to try ahead")
            method = self.methods[0]
        with self._nobody_waits:
            self._waiting += 1
        try:
            with self._turn:
                opened = self._open()
                found = opened.rehearsal.rehearse(neurons, method=method, strength=strength)
        finally:
            with self._nobody_waits:
                self._waiting -= 1
                self._nobody_waits.notify_all()
        return answer_of(
            found,
            opened.rehearsal,
            neurons=tuple(sorted(neurons)),
            method=method,
            strength=strength,
            class_name=opened.class_name,
            class_names=opened.class_names,
        )

    def _open(self) -> _Opened:
        """The run as its diagnosis is now: a new one is loaded anew."""
        summary = read_json(self._run.require("diagnose") / "stage.json")["summary"]
        diagnosis = self._run.upstream_hash("diagnose")
        if self._opened is not None and self._opened.diagnosis == diagnosis:
            return self._opened
        if summary["status"] == "nothing_to_explain":
            raise ReviewError(f"class {summary['class']!r} has no mistakes; there is nothing to edit")
        layer = classifier_of_run(self._run, self._params).decision_layer
        problem = make_problem(read_split(self._run, "train"), read_split(self._run, "select"), layer, neurons={})
        rehearsal = Rehearsal(
            problem,
            read_candidates(self._run),
            class_index=summary["class_index"],
            settings=self._params.edit,
            seed=self._params.seed,
            cue=_cue(self._run, summary["class_index"]),
        )
        names = read_json(self._run.require("extract") / "performance.json")["classes"]
        self._opened = _Opened(diagnosis, rehearsal, names, summary["class"])
        return self._opened


def _cue(run: RunFolder, class_index: int) -> Cue | None:
    train, select = (read_table(run.require("extract") / f"samples.{split}.parquet") for split in ("train", "select"))
    name = cue_group(train["target"].to_numpy(), groups_of(train), class_index=class_index)
    return None if name is None else Cue(name, np.asarray(groups_of(select), dtype=object))
