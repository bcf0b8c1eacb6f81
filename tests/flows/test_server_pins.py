"""Prefect's own server breaks quietly with newer releases of fastapi and SQLAlchemy; constraints of pyproject.toml hold it."""

import time
from datetime import timedelta


def test_the_server_can_be_imported(prefect_server):
    from prefect.server.api.server import create_app

    routes = {getattr(route, "path", "") for route in create_app().routes}
    assert "/api" in routes


def test_a_client_can_list_the_runs_of_the_server_without_a_filter(prefect_server):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:  # with too new a fastapi: 422
        assert isinstance(client.read_flow_runs(), list)


def test_a_schedule_makes_runs(prefect_server, server_log):
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    @flow(name="on schedule")
    def on_schedule() -> None: ...

    deployment = on_schedule.to_deployment(name="every minute", interval=timedelta(minutes=1)).apply()
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while not (runs := client.read_flow_runs(deployment_filter=chosen)):
            assert time.monotonic() < deadline, server_log.read_text()[-3000:]
            time.sleep(0.5)
        assert runs[0].state is not None
        assert runs[0].state.name == "Scheduled"
        client.delete_deployment(deployment)
