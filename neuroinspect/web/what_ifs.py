"""Asks what an edit would give: one question at a time, on desks that are prepared in the background.

Preparing reads the features of a run and may take seconds, so it begins when a review is opened; questions go first.
A reviewer who asks again before the answer is there wants the newer answer: the older question is dropped unless it is being
worked on.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock
from typing import Final, Protocol

from neuroinspect.artifacts import RunFolder, content_hash
from neuroinspect.errors import NeuroInspectError
from neuroinspect.settings import Params
from neuroinspect.stages.what_if import WhatIf, WhatIfDesk

_DESKS: Final = 2
_ANSWERS: Final = 64
log = logging.getLogger(__name__)


class Desk(Protocol):
    """Answers questions about one run; any thread may ask."""

    @property
    def prepared(self) -> bool:
        """Everything that can be done ahead of a question is done."""
        ...

    def prepare(self) -> None:
        """Do it; whoever asks meanwhile goes first."""
        ...

    def ask(self, neurons: Sequence[int], *, method: str | None = None, strength: float = 1.0) -> WhatIf:
        """What the edit of these neurons would give."""
        ...

    def close(self) -> None:
        """Prepare no further."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What would this edit give? Neurons in ascending order, 0 < strength <= 1."""

    neurons: tuple[int, ...]
    method: str | None
    strength: float


class WhatIfBench:
    """Keeps the desks of the runs looked at last, and answers one question at a time.

    Args:
        make: makes the desk of a run.
        pause: seconds before a desk is prepared, so that the page that was just opened is shown first.
    """

    def __init__(self, make: Callable[[RunFolder, Params], Desk] = WhatIfDesk, *, pause: float = 2.0) -> None:
        self._make, self._pause, self._closed = make, pause, Event()
        self._answering = ThreadPoolExecutor(1, thread_name_prefix="what-if")
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="what-if-prepare")
        self._lock = Lock()
        self._desks: OrderedDict[str, Desk] = OrderedDict()
        self._prepared: dict[str, Future[None]] = {}
        self._answers: OrderedDict[tuple[str, Question], WhatIf] = OrderedDict()
        self._latest: dict[str, tuple[tuple[str, Question], Future[WhatIf]]] = {}

    def prepare(self, run: RunFolder, params: Params) -> None:
        """Begin to prepare the desk of a run, unless that is done or under way; one that failed is tried again.

        Raises:
            StageOrderError: extract or diagnose has not run.
        """
        key = _key(run, params)
        with self._lock:
            desk = self._desk(key, run, params)
            begun = self._prepared.get(key)
            if desk.prepared or (begun is not None and not begun.done()):
                return
            self._prepared = {name: one for name, one in self._prepared.items() if not one.done()}
            begun = self._prepared[key] = self._preparing.submit(self._prepare, desk)
            begun.add_done_callback(_log_failure)

    def is_prepared(self, run: RunFolder, params: Params) -> bool:
        """Whether a question about a run is answered as fast as it can be."""
        with self._lock:
            desk = self._desks.get(_key(run, params))
        return desk is not None and desk.prepared

    def ask(self, asker: str, run: RunFolder, params: Params, question: Question) -> Future[WhatIf]:
        """Ask; the answer comes later, or the error of the desk.

        The same question again gives the same future. Another question of the same asker takes the place of one that still
        waits, whose future is then cancelled.

        Args:
            asker: who asks about which review.
            run: with a finished diagnose.
            params: settings of that run.
            question: what is asked.

        Raises:
            StageOrderError: extract or diagnose has not run.
        """
        key = (_key(run, params), question)
        with self._lock:
            asked, future = self._latest.get(asker, (None, None))
            if future is not None and asked == key and not _failed(future):
                return future
            if future is not None:
                future.cancel()
            self._latest = {name: one for name, one in self._latest.items() if not one[1].done()}
            desk = self._desk(key[0], run, params)
            answer = self._answering.submit(self._answer, key, desk)
            self._latest[asker] = (key, answer)
            return answer

    def close(self) -> None:
        """Drop what waits; what is being worked on ends by itself."""
        self._closed.set()
        self._answering.shutdown(wait=False, cancel_futures=True)
        self._preparing.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for desk in self._desks.values():
                desk.close()

    def _prepare(self, desk: Desk) -> None:
        if not self._closed.wait(self._pause):
            desk.prepare()

    def _answer(self, key: tuple[str, Question], desk: Desk) -> WhatIf:
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        question = key[1]
        found = desk.ask(question.neurons, method=question.method, strength=question.strength)
        with self._lock:
            self._answers[key] = found
            while len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        return found

    def _desk(self, key: str, run: RunFolder, params: Params) -> Desk:
        """The desk of a run; two large runs in memory are enough."""
        if key not in self._desks:
            while len(self._desks) >= _DESKS:
                self._desks.popitem(last=False)[1].close()
            self._desks[key] = self._make(run, params)
        self._desks.move_to_end(key)
        return self._desks[key]


def _failed(future: Future[WhatIf]) -> bool:
    return future.cancelled() or (future.done() and future.exception() is not None)


def _log_failure(future: Future[None]) -> None:
    """What cannot be prepared fails again, in words, when it is asked for; only what nobody expects is told here."""
    error = None if future.cancelled() else future.exception()
    if error is not None:
        unexpected = None if isinstance(error, NeuroInspectError) else error
        log.warning("a what-if could not be prepared: %s", error, exc_info=unexpected)


def _key(run: RunFolder, params: Params) -> str:
    """The run folder, what was computed in it, and the settings of the edit."""
    stages = [run.upstream_hash(name) for name in ("extract", "diagnose")]
    return content_hash([str(run.root.resolve()), stages, params.edit.model_dump(mode="json"), params.seed])
