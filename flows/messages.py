"""Which messages go where: Prefect's server keeps all of them, a console shows them once."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler, PrefectConsoleHandler

_OURS, _PREFECT = "neuroinspect", "prefect"
_ASIDE = ("urllib3", "EventsWorker", "APILogWorker")  # requests sent again, and Prefect's threads as they end
_TO_PREFECT: Final = APILogHandler()
_TO_PREFECT.addFilter(lambda _: FlowRunContext.get() is not None or TaskRunContext.get() is not None)


@contextmanager
def kept_messages() -> Iterator[None]:
    """Let what the stages say reach Prefect: where nobody chose a level, the level is INFO.

    Prefect's own setting for it, PREFECT_LOGGING_EXTRA_LOGGERS, does nothing in a process that has imported Prefect before.
    """
    logger = logging.getLogger(_OURS)
    level = logger.level
    if not any(isinstance(one, APILogHandler) for one in logger.handlers):
        logger.addHandler(_TO_PREFECT)
    if level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)


def quieten_console() -> None:
    """Keep what Prefect and requests sent again say off this process's console, unless PREFECT_LOGGING_LEVEL asks for it.

    Ours the command line shows itself. It is for good: the last message comes when the process ends.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.addFilter(_wanted)


def _wanted(record: logging.LogRecord) -> bool:
    hidden = (_OURS,) if "PREFECT_LOGGING_LEVEL" in os.environ else (_OURS, _PREFECT, *_ASIDE)
    return record.name.partition(".")[0] not in hidden
