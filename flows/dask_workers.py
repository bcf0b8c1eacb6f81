"""Dask workers for shards: processes on this machine, or those of a scheduler somewhere.

A shard is told what it needs by its parameters: settings, run folder and threads. Addresses and passwords of the tools stay here.
What Prefect hands to its tasks goes without Prefect's secrets; a worker elsewhere takes those from its own environment.
"""

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dask
import distributed
from distributed.deploy.spec import SpecCluster
from prefect.context import SettingsContext
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from flows.dask_checks import prefect_url, refuse_unfit_workers
from neuroinspect.devices import visible_gpus
from neuroinspect.errors import OutsideError, SettingsError
from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params

_HERE = "127.0.0.1"
_SECONDS = 60  # for a scheduler to answer, and for its first worker
_TOLD = ("logging", "tasks")  # sections of Prefect's settings
_SPAWNING = "distributed.nanny.pre-spawn-environ"


@contextmanager
def dask_workers(machinery: Machinery) -> Iterator[Callable[[Params, str], TaskRunner[Any]]]:
    """What gives the workers, which are started or called when it is first asked; they are let go with the context.

    The function given raises OutsideError where the scheduler does not answer, has no worker or one that cannot do the work, and
    SettingsError where `device` names a GPU that a worker would not have.
    """
    with ExitStack() as open_while_used:
        runners: list[DaskTaskRunner] = []

        def start(params: Params, run: str) -> TaskRunner[Any]:
            if not runners:
                runner = open_while_used.enter_context(_runner(machinery, params, open_while_used))
                client = _client(runner, machinery)
                if machinery.dask_address is None:
                    open_while_used.callback(_send_what_is_left, client)
                refuse_unfit_workers(client, params, run)
                runners.append(runner)
            return runners[0]

        yield start


def _runner(machinery: Machinery, params: Params, open_while_used: ExitStack) -> DaskTaskRunner:
    if machinery.dask_address is not None:
        return DaskTaskRunner(address=machinery.dask_address, client_kwargs={"timeout": _SECONDS})
    return DaskTaskRunner(cluster=open_while_used.enter_context(_cluster(places(machinery, params))))


def places(machinery: Machinery, params: Params) -> list[dict[str, str]]:
    """What the environment of each process on this machine adds to ours: its own GPU, where the work is for GPUs.

    Raises:
        SettingsError: `device` names one GPU of several.
    """
    gpus = [] if params.device is not None and params.device.startswith("cpu") else visible_gpus()
    if gpus and params.device not in {None, "cuda"}:
        raise SettingsError(
            f"device: {params.device} names one GPU of {len(gpus)}, and Dask starts a process for each; set device: cuda, and "
            "CUDA_VISIBLE_DEVICES to leave some out"
        )
    return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus] or [{}] * machinery.workers


@contextmanager
def _cluster(places: list[dict[str, str]]) -> Iterator[SpecCluster]:
    """A scheduler in this process, and a process of one thread for each of the given environments; all on loopback."""
    common = {"host": _HERE, "nthreads": 1, "dashboard": False, "memory_limit": 0, "silence_logs": logging.ERROR}
    workers = {
        number: {"cls": distributed.Nanny, "options": {**common, "env": place}} for number, place in enumerate(places)
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"host": _HERE, "port": 0, "dashboard": False}}
    before = dict(os.environ)
    # Dask would let every library in a worker take one thread; what is right for a shard is said in the shard.
    with dask.config.set({_SPAWNING: {}}):
        try:
            with SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.ERROR) as cluster:
                yield cluster
        finally:
            # Dask starts a process in an environment by changing ours.
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)


def _client(runner: DaskTaskRunner, machinery: Machinery) -> distributed.Client:
    try:
        client = runner.client
        client.wait_for_workers(1, timeout=_SECONDS)
    except (OSError, TimeoutError) as error:
        address = machinery.dask_address
        if address is None:
            raise OutsideError(f"the Dask workers on this machine do not start ({error}); see the log above") from error
        raise OutsideError(
            f"Dask at {address} does not answer, or has no worker ({error or type(error).__name__}); start `dask scheduler` and "
            f"`dask worker {address} --nthreads 1`, correct NEUROINSPECT_DASK_ADDRESS, or set NEUROINSPECT_RUNNER=threads. "
            "What is finished is kept"
        ) from error
    return client


def _send_what_is_left(client: distributed.Client) -> None:
    """Let workers that end send Prefect what they still have to tell of their shards: they have seconds until they are killed."""

    def drain() -> None:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=30, at_exit=False)  # logs too: Prefect keeps all such services together

    with suppress(Exception):  # a worker that is gone has nothing to tell any more, and the shards are done
        client.run(drain, on_error="ignore")


def let_go(future: PrefectFuture[Any]) -> None:
    """Tell Dask that nobody asks for a result any more: a worker that dies later would have its finished shards done again."""
    if isinstance(future, PrefectDaskFuture):
        future.wrapped_future.release()


@contextmanager
def around_dask() -> Iterator[None]:
    """Send none of Prefect's secrets to the workers, and say what it means when they cannot be had any more.

    Raises:
        OutsideError: a shard killed its workers, or the scheduler is gone.
    """
    given = SettingsContext.get()
    assert given is not None  # Prefect has one from its import on
    try:
        with _Discreet(profile=given.profile, settings=given.settings):
            yield
    except distributed.KilledWorker as error:
        raise OutsideError(
            f"{error.allowed_failures + 1} Dask workers died of one shard; their logs say of what, often of memory: lower "
            "visualize.illusion.memory_cap_mb or extract.batch_size. What is finished is kept"
        ) from error
    except CancelledError as error:
        raise OutsideError(
            "the Dask scheduler is gone; start it and its workers, then the same command again: what is finished is kept"
        ) from error


class _Discreet(SettingsContext):
    """Prefect's settings, of which a worker is told where the server is and what is logged, and nothing that may be secret."""

    def serialize(self, include_secrets: bool = False) -> dict[str, Any]:  # noqa: ARG002 (Prefect's own signature)
        sections = super().serialize(include_secrets=False)["settings"]
        told = {name: sections[name] for name in _TOLD if name in sections}
        return {
            "profile": {"name": self.profile.name, "settings": {}},
            "settings": {**told, "api": {"url": prefect_url()}},
        }
