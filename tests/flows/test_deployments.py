"""What a Prefect server is told, and what is refused before it is asked."""

import httpx
import pytest
from typer.testing import CliRunner

from neuroinspect.errors import OutsideError, SettingsError
from neuroinspect.machinery import Machinery
from neuroinspect.settings import load_params
from tests.tiny import make_project


@pytest.mark.parametrize("nightly", ["every 0s", "at noon", "0 3 * *", "61 3 * * *", "every 99999999999d"])
def test_a_schedule_that_never_comes_is_refused(prefect_server, nightly):
    from flows.deployments import read_schedule

    with pytest.raises(SettingsError, match="is no schedule"):
        read_schedule(nightly, "UTC")


def test_a_schedule_stays_until_another_or_never_is_asked_for(prefect_server, tmp_path):
    from flows.deployments import deploy

    project = make_project(tmp_path / "project").parent
    params, machinery = load_params(project / "params.yaml"), Machinery(state=tmp_path / "state")

    def scheduled(nightly):
        return deploy(params, machinery, project=project, nightly=nightly, timezone="Europe/Berlin").schedule

    assert scheduled("never") is None
    assert scheduled(None) is None
    assert scheduled("0 3 * * *") == "0 3 * * *, Europe/Berlin"
    assert scheduled(None) == "0 3 * * *, Europe/Berlin"
    assert scheduled("every 2h") == scheduled(None) == "every 7200s, Europe/Berlin"
    assert scheduled("never") is None


@pytest.mark.parametrize("timezone", ["Mars/Base", "", "../etc", "Europe"])
@pytest.mark.parametrize("nightly", ["every 2h", "0 3 * * *"])
def test_a_timezone_that_is_none_is_refused(prefect_server, nightly, timezone):
    from flows.deployments import read_schedule

    with pytest.raises(SettingsError, match="is no schedule"):
        read_schedule(nightly, timezone)


def test_up_refuses_a_wrong_schedule_before_it_starts_anything(prefect_server, tmp_path, monkeypatch):
    from neuroinspect.cli import app

    make_project(tmp_path / "project")
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.delenv("NEUROINSPECT_PREFECT_URL")
    words = ["up", "--nightly", "every 0s", "--params", str(tmp_path / "project" / "params.yaml")]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 2, told.output
    assert "'every 0s' in 'UTC' is no schedule" in told.stderr
    assert not (tmp_path / "project" / ".neuroinspect" / "stack").exists()


def test_a_server_that_refuses_a_deployment_is_told_without_its_words(prefect_server):
    from prefect.deployments.runner import DeploymentApplyError

    from flows.deployments import _answering

    asked = httpx.Request("POST", "http://host/api/deployments/")
    cause = httpx.HTTPStatusError("hush", request=asked, response=httpx.Response(409, request=asked))
    error = DeploymentApplyError("Error while applying deployment: hush")
    error.__cause__ = cause
    with pytest.raises(OutsideError, match="refuses with status 409") as told, _answering(Machinery()):
        raise error
    assert "hush" not in str(told.value)
