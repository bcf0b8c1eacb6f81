"""The deployments, in one place: what a Prefect server needs so that its workers debug, edit and promote.

Everything is made or brought up to date by its name, so that it may be done again at any time.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, PrefectException
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from neuroinspect.adapters.prefect_server import CREDENTIALS, reason_of, wants_login
from neuroinspect.errors import OutsideError, SettingsError
from neuroinspect.machinery import PREFECT_VARIABLE, Machinery, stack_way_out
from neuroinspect.settings import Params
from neuroinspect.stack.leases import lease_warning
from neuroinspect.stack.programs import POOL, QUEUE, QUICK_QUEUE

NEVER: Final = "never"
"""Instead of a schedule: takes away one that is there."""
_SLUG: Final = "nightly"
_ALONE: Final = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ANCHOR: Final = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a server has now.

    Attributes:
        names: of the deployments, FLOW/NAME.
        limit: how many runs of the queue `gpu` may be at work at the same time.
        schedule: when `nightly/nightly` starts by itself, with its timezone; None: never.
        warnings: what the server is not set up for.
    """

    names: tuple[str, ...]
    limit: int
    schedule: str | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    """One deployment: the flow of its name in the module of its name."""

    name: str
    parameters: Mapping[str, Any]
    queue: str
    description: str
    one_at_a_time: bool = False

    def flow(self) -> Flow[..., Any]:
        found: Flow[..., Any] = getattr(import_module(f"flows.{self.name}"), self.name)
        return found


def deploy(
    params: Params,
    machinery: Machinery,
    *,
    project: Path,
    nightly: str | None = None,
    timezone: str = "UTC",
    workers: int = 1,
    tag_limit: int | None = None,
) -> Deployed:
    """Make the work pool, its queue, the limits and the deployments on the server of the machinery.

    Args:
        params: what the deployments do where nobody says otherwise; paths as the machines of the workers see them.
        machinery: of which server; without an address that of Prefect's own settings.
        project: folder in which runs are started, and whose `neuroinspect.env` they read.
        nightly: when nightly debugging starts: a cron line, `every 30m` (s, m, h, d), or `never`; None: as it is on the server.
        timezone: in which the cron line is meant.
        workers: how many runs of the queue `gpu` may be at work at the same time.
        tag_limit: how many tasks with the tag `gpu` may, those of `neuroinspect run` among them; None: as it is on the server.

    Raises:
        SettingsError: the cron line, the interval or the timezone cannot be read.
        OutsideError: the server does not answer, or refuses.
    """
    schedule = read_schedule(nightly, timezone)
    plans, standing = _plans(params), None
    job = {"command": shlex.join([sys.executable, "-m", "prefect.engine"]), "working_dir": str(project)}
    with _answering(machinery), _at(machinery), get_client(sync_client=True) as client:
        _make_pool(client)
        _make_queue(client, workers)
        if tag_limit is not None:
            client.upsert_global_concurrency_limit_by_name(f"tag:{QUEUE}", tag_limit)
        for plan in plans:
            own = [schedule] if schedule is not None and plan.name == _SLUG else []
            identifier = _make_deployment(plan, job, own)
            if plan.name == _SLUG:
                if nightly is not None and schedule is None:
                    _forget_schedule(client, identifier)
                standing = _standing(client, identifier)
        warning = lease_warning(_server_settings(client))
    names = tuple(f"{plan.name}/{plan.name}" for plan in plans)
    return Deployed(names, workers, standing, () if warning is None else (warning,))


def read_schedule(nightly: str | None, timezone: str) -> Schedule | None:
    """A schedule as people write it: a cron line, or `every 30m`; None where there is none, or `never`.

    Raises:
        SettingsError: it cannot be read.
    """
    if nightly is None or nightly.strip() == NEVER:
        return None
    interval = re.fullmatch(r"every\s+(\d+)\s*([smhd])", nightly.strip())
    try:
        ZoneInfo(timezone)
        if interval is None:
            return Cron(nightly.strip(), timezone=timezone, slug=_SLUG)
        span = timedelta(**{_UNITS[interval.group(2)]: int(interval.group(1))})
        if not span:
            raise ValueError("no time lies between two")
        return Interval(span, anchor_date=_ANCHOR, timezone=timezone, slug=_SLUG)
    except (ValueError, TypeError, OverflowError, ZoneInfoNotFoundError, OSError) as error:
        raise SettingsError(
            f"{nightly!r} in {timezone!r} is no schedule; give a cron line such as '0 3 * * *', or 'every 30m', and a timezone "
            "such as Europe/Berlin"
        ) from error


def _plans(params: Params) -> list[_Plan]:
    values = params.model_dump(mode="json", by_alias=True)
    plans = [
        _Plan(
            "debug",
            # From Prefect's page it is started with a click; another name makes another run.
            {"params": values, "run": str(params.runs / "run")},
            QUEUE,
            "What is wrong with the model, and which neurons are suspected; asks a person and ends.",
        ),
        _Plan("edit", {"params": values}, QUEUE, "The edit a person decided on; started by the review page."),
        _Plan(
            "nightly",
            {"params": values, "runs": str(params.runs / "nightly")},
            QUEUE,
            "Debugs the worst classes of the model in service, and asks a person only about something new.",
            one_at_a_time=True,
        ),
        # No GPU and a worker of its own, so it waits behind no night.
        _Plan("promote", {}, QUICK_QUEUE, "Puts a version into service, where the policy allows it."),
    ]
    return plans


def _make_pool(client: SyncPrefectClient) -> None:
    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
    except ObjectAlreadyExists:
        found = client.read_work_pool(POOL).type
        if found != "process":
            raise SettingsError(
                f"the work pool {POOL} of the server is of type {found} and not process; delete it, or rename it"
            ) from None


def _make_queue(client: SyncPrefectClient, limit: int) -> None:
    try:
        client.create_work_queue(QUEUE, concurrency_limit=limit, priority=2, work_pool_name=POOL)
    except ObjectAlreadyExists:
        found = client.read_work_queue_by_name(QUEUE, work_pool_name=POOL)
        client.update_work_queue(found.id, concurrency_limit=limit)


def _make_deployment(plan: _Plan, job: Mapping[str, str], schedules: list[Schedule]) -> UUID:
    made = plan.flow().to_deployment(
        plan.name,
        parameters=dict(plan.parameters),
        description=plan.description,
        tags=["neuroinspect"],
        schedules=schedules,
        work_pool_name=POOL,
        work_queue_name=plan.queue,
        job_variables=dict(job),
        # One that would begin while another is at work is not begun later either: the next one looks at the same.
        concurrency_limit=_ALONE if plan.one_at_a_time else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    # Outside a loop neither gives a coroutine.
    return cast(UUID, cast(RunnerDeployment, made).apply())  # without schedules it leaves those of an earlier time


def _standing(client: SyncPrefectClient, identifier: UUID) -> str | None:
    """When a deployment starts by itself, as people write it; None: never."""
    for known in client.read_deployment_schedules(identifier):
        if known.slug == _SLUG:
            cron, interval = getattr(known.schedule, "cron", None), getattr(known.schedule, "interval", None)
            when = str(cron) if interval is None else f"every {interval.total_seconds():.0f}s"
            zone = getattr(known.schedule, "timezone", None) or "UTC"
            return f"{when}, {zone}" + ("" if known.active else ", paused")
    return None


def _forget_schedule(client: SyncPrefectClient, identifier: UUID) -> None:
    for known in client.read_deployment_schedules(identifier):
        if known.slug == _SLUG:
            client.delete_deployment_schedule(identifier, known.id)


def _server_settings(client: SyncPrefectClient) -> Any:
    """What the server says of itself; None where it keeps that to itself."""
    try:
        return client.request("GET", "/admin/settings").json()
    except (httpx.HTTPError, PrefectException, ValueError):
        return None


@contextmanager
def _at(machinery: Machinery) -> Iterator[None]:
    """Prefect may have been imported before its server had an address."""
    with temporary_settings({} if machinery.prefect_api is None else {PREFECT_API_URL: machinery.prefect_api}):
        yield


@contextmanager
def _answering(machinery: Machinery) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, PrefectException, DeploymentApplyError) as error:
        cause = error.__cause__ if isinstance(error, DeploymentApplyError) else None
        way_out = stack_way_out(machinery, "prefect_url") or "start it, or correct NEUROINSPECT_PREFECT_URL"
        if machinery.prefect_is_named_elsewhere:
            way_out = f"start it, or correct {PREFECT_VARIABLE}"
        raise OutsideError(
            f"the Prefect server {reason_of(cause or error)}; {CREDENTIALS if wants_login(cause or error) else way_out}"
        ) from error
