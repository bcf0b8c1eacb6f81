"""What works on the shards of a run: this thread, threads of this process, or Dask workers. What comes out is the same.

Which pictures a shard holds comes from the settings and not from the number of workers, and torch takes the same number of
threads in every shard, so the runner changes no byte of a run (on machines of one kind; docs/scale.md).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from prefect import Task, unmapped
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.tasks import configured, do
from neuroinspect.errors import MissingToolError
from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params


class Shard(Protocol):
    """Part of the work of a stage: what stands from `start` up to, and not with, `stop`."""

    @property
    def start(self) -> int:
        """The first."""

    @property
    def stop(self) -> int:
        """The one behind the last."""


S = TypeVar("S", bound=Shard)


@dataclass(frozen=True, slots=True)
class ShardRunner:
    """Works on shards.

    Attributes:
        start: gives what works on them at the same time, once the first ones come; None: they are worked on one by one.
        around: what surrounds handing them out and taking them back.
        let_go: told of each that is done.
    """

    start: Callable[[Params, str], TaskRunner[Any]] | None = None
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    let_go: Callable[[PrefectFuture[Any]], None] = lambda future: None  # noqa: ARG005

    def map(self, task: Task[..., Any], shards: Sequence[S], params: Params, run: str) -> Iterator[S]:
        """Work on shards; each is given back when it is done.

        Args:
            task: called with params, run, shard and threads; two calls for one shard must do no harm.
            shards: of one stage.
            params: settings of all stages, with a model that is a file.
            run: the run folder.

        Raises:
            OutsideError: the workers cannot be reached, cannot do the work, or die of it; what is done is kept.
            NeuroInspectError: a shard's own.
        """
        # Of the thread that runs the flow; a worker, and a thread of its own, would take another number.
        threads = torch.get_num_threads()
        if self.start is None:
            # In this thread, so that an interrupt stops the work at once and not after a shard.
            for shard in shards:
                do(task, params, run, shard, threads)
                yield shard
        elif shards:
            given = {"params": unmapped(params), "run": unmapped(run), "shard": list(shards), "threads": threads}
            runner = self.start(params, run)
            with self.around():
                futures = list(runner.map(configured(task), given))
            worked = dict(zip(futures, shards, strict=True))
            for future in as_completed(futures):
                with self.around():
                    future.result()
                self.let_go(future)
                yield worked[future]


@contextmanager
def shard_runner(machinery: Machinery) -> Iterator[ShardRunner]:
    """What works on shards, as the machinery says; what it started ends with the context.

    Raises:
        MissingToolError: Dask is asked for and not installed.
    """
    if machinery.runner == "dask":
        try:
            from flows.dask_workers import around_dask, dask_workers, let_go
        except ImportError as error:
            raise MissingToolError(
                f"NEUROINSPECT_RUNNER=dask needs Dask ({error}); pip install 'neuroinspect[dask]', or take threads"
            ) from error
        with dask_workers(machinery) as start:
            yield ShardRunner(start, around=around_dask, let_go=let_go)
    elif machinery.workers > 1:
        threads: TaskRunner[Any]
        with ThreadPoolTaskRunner(max_workers=machinery.workers) as threads:  # they share the one model in memory
            yield ShardRunner(lambda params, run: threads)  # noqa: ARG005
    else:
        yield ShardRunner()
