"""Up and down: all of it or nothing, one at a time; with small programs in place of servers."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from neuroinspect.errors import BusyError, OutsideError, SettingsError
from neuroinspect.machinery import Machinery, load_machinery
from neuroinspect.stack import running
from neuroinspect.stack.place import Place
from neuroinspect.stack.programs import Program
from neuroinspect.stack.running import Wish, bring_up, look, take_down
from neuroinspect.stack.supervision import Supervisor

ROOT = Path(__file__).parents[3]
# Answers every question, also that for the workers, as the servers do when all is well.
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Answer(BaseHTTPRequestHandler):
    def do_GET(self, body=b"true"):
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        self.do_GET(b'[{"name": "worker-0", "status": "ONLINE", "last_heartbeat_time": "2999-01-01T00:00:00Z"}]')
HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which small programs stand for the servers, and nothing of them is left at the end."""
    for name in [name for name in os.environ if name.startswith(("NEUROINSPECT_", "PREFECT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def small(machinery, ports, params, workers):
        servers = [
            Program(name, (sys.executable, "-c", SERVER, str(port)), f"http://127.0.0.1:{port}")
            for name, port in ports.items()
        ]
        return [*servers, Program("worker-0", (sys.executable, "-c", "import time; time.sleep(600)"))]

    monkeypatch.setattr(running, "programs", small)
    yield tmp_path
    Supervisor(Place(tmp_path / ".neuroinspect", tmp_path)).stop()


def wish(project, **values):
    return Wish(project / "params.yaml", {"prefect": 0, "mlflow": 0, "page": 0}, **values)


def processes(project):
    return Supervisor(Place(project / ".neuroinspect", project)).pids()


def test_when_it_is_up_its_addresses_are_found_and_after_down_they_are_not(project):
    seen = []
    up = bring_up(load_machinery(project), wish(project), deploy=lambda *given: seen.append(given))
    assert up.healthy
    ((inside, workers),) = seen
    found = load_machinery(project)
    assert found.prefect_url == inside.prefect_url == f"{up.addresses['prefect']}/api"
    assert (found.mlflow_url, found.page_url) == (up.addresses["mlflow"], up.addresses["page"])
    assert workers == 1

    again = bring_up(load_machinery(project), wish(project), deploy=lambda *given: seen.append(given))
    assert (again.seconds, again.addresses, len(seen)) == (None, up.addresses, 1)
    with pytest.raises(SettingsError, match="runs already, with other nightly and workers"):
        bring_up(load_machinery(project), wish(project, workers=2, nightly="every 1h"), deploy=print)

    assert take_down(load_machinery(project), project) is True
    assert processes(project) == {}
    assert load_machinery(project).prefect_url is None
    assert look(up.place).programs == ()
    assert take_down(load_machinery(project), project) is False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_up_leaves_nothing_running(project, number):
    def interrupted(machinery: Machinery, workers: int) -> None:
        assert "prefect" in processes(project)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        bring_up(load_machinery(project), wish(project), deploy=interrupted)
    assert processes(project) == {}
    assert load_machinery(project).prefect_url is None
    assert signal.getsignal(number) is before


def test_where_the_deployments_cannot_be_made_nothing_stays(project):
    def refused(machinery: Machinery, workers: int) -> None:
        raise OutsideError("no")

    with pytest.raises(OutsideError, match="no"):
        bring_up(load_machinery(project), wish(project), deploy=refused)
    assert processes(project) == {}


def test_what_an_up_that_was_killed_left_is_cleared_before_the_next(project):
    def killed(machinery: Machinery, workers: int) -> None:
        os._exit(9)

    child = os.fork()
    if child == 0:
        bring_up(load_machinery(project), wish(project), deploy=killed)
    os.waitpid(child, 0)
    before = processes(project)
    assert "prefect" in before
    up = bring_up(load_machinery(project), wish(project), deploy=lambda *_: None)
    assert up.healthy
    left = {pid for some in processes(project).values() for pid in some}
    assert left.isdisjoint(pid for some in before.values() for pid in some)


def test_of_two_at_once_one_wins_and_the_other_says_so(project):
    place = Place(project / ".neuroinspect", project)
    place.make()
    with FileLock(place.lock):
        with pytest.raises(BusyError, match="another `neuroinspect up` or `down` is at work"):
            bring_up(load_machinery(project), wish(project), deploy=lambda *_: None)
        with pytest.raises(BusyError, match="is at work"):
            take_down(load_machinery(project), project)
    assert processes(project) == {}


def test_a_page_that_others_open_by_another_name_keeps_it(project):
    (project / "neuroinspect.env").write_text("NEUROINSPECT_PAGE_URL=https://reviews.example\n")
    bring_up(load_machinery(project), wish(project), deploy=lambda *_: None)
    assert load_machinery(project).page_url == "https://reviews.example"
    assert json.loads((project / ".neuroinspect" / "stack" / "programs.json").read_text())["asked"]["workers"] is None
