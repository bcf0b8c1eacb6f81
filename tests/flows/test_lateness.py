"""Nights that are late together, and nights in which the Prefect server goes away."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from neuroinspect.artifacts import RunFolder
from neuroinspect.nightly import ClassNight
from neuroinspect.settings import load_params
from tests.flows.test_outages import no_slot
from tests.tiny import make_project


@pytest.fixture
def params(tmp_path, monkeypatch):
    from flows import nightly

    monkeypatch.setattr(nightly.nights, "class_folder", lambda night, name: RunFolder(night.root / name))
    make_project(tmp_path / "project")
    return load_params(tmp_path / "project" / "params.yaml")


def late_runs(client: Any, deployment: Any) -> list[Any]:
    """Of a schedule that fires every second without a worker: all runs, once three are late."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])))
        runs = sorted((one for one in found if one.auto_scheduled), key=lambda one: one.expected_start_time)
        if len(runs) > 3 and runs[2].expected_start_time < datetime.now(UTC):
            return runs
        time.sleep(0.2)
    raise AssertionError("the schedule made no runs")


def test_of_nights_that_are_late_together_the_last_is_worked_off_and_those_a_person_starts(prefect_server):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import IntervalSchedule

    from flows.lateness import is_superseded

    with get_client(sync_client=True) as client:
        flow = client.create_flow_from_name("nightly")
        often = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(seconds=1)), active=True)
        deployment = client.create_deployment(flow, "late", schedules=[often])
        try:
            by_hand = client.create_flow_run_from_deployment(deployment)
            runs = late_runs(client, deployment)
            assert is_superseded(runs[0].id) is True
            assert is_superseded(runs[-1].id) is False
            assert is_superseded(by_hand.id) is False
        finally:
            client.delete_deployment(deployment)


def test_a_night_that_is_superseded_says_so_and_does_nothing(prefect_server, params, tmp_path, monkeypatch):
    from flows import nightly

    monkeypatch.setattr(nightly, "is_superseded", lambda run: True)
    state = nightly.nightly(params, str(tmp_path / "runs"), return_state=True)
    assert (state.name, state.is_completed()) == ("Skipped", True)
    assert not (tmp_path / "runs").exists()


def test_an_outage_in_a_class_is_the_night_s_and_is_waited_for(prefect_server, params, tmp_path, monkeypatch):
    from flows import nightly

    looked: list[str] = []

    def debugged(name: str, *_: Any, **__: Any) -> ClassNight:
        looked.append(name)
        if len(looked) == 1:
            raise no_slot()
        return ClassNight(name, tmp_path, "nothing_new")

    def look(given: Any, runs: Path, planned: datetime) -> Any:
        night = RunFolder(runs / "night")
        return NightOf(tuple(nightly._class(name, given, night, line=(), date="2026-11-01") for name in ("cat", "dog")))

    monkeypatch.setattr(nightly, "_debug", debugged)
    monkeypatch.setattr(nightly, "_look", look)
    made = nightly.nightly(params, str(tmp_path / "runs"), "2026-11-01")
    assert looked == ["cat", "cat", "dog"]
    assert [one.status for one in made.classes] == ["nothing_new", "nothing_new"]


class NightOf:
    """What the flow asks of a night."""

    failed = ()

    def __init__(self, classes: tuple[ClassNight, ...]) -> None:
        self.classes = classes


@pytest.mark.parametrize("error", [ValueError("no pictures"), httpx.InvalidURL("no address")])
def test_what_goes_wrong_in_a_class_stays_its_own(prefect_server, params, tmp_path, monkeypatch, error):
    from flows import nightly

    def fails(*_: Any, **__: Any) -> ClassNight:
        raise error

    monkeypatch.setattr(nightly, "_debug", fails)
    found = nightly._class("cat", params, RunFolder(tmp_path / "night"), line=(), date="2026-11-01")
    assert (found.status, found.problem) == ("failed", str(error))
