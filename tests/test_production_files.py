"""What a team starts in production: the files are read as their programs read them, and hold what the code has."""

import ast
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from neuroinspect.cli import app
from neuroinspect.machinery import PAGE_PORT, Machinery
from neuroinspect.stack.programs import QUEUE, QUICK_QUEUE
from tests.production import (
    EXAMPLES,
    FOLDER,
    ROOT,
    UNITS,
    Unit,
    expanded,
    filled,
    read_composition,
    read_unit,
    read_variables,
    references,
    resolved,
)

SERVICES = sorted(read_composition()["services"])
ENDS = {"deploy"}
SECRET = ("PASSWORD", "SECRET", "AUTH_STRING", "TOKEN")
# Keys of a service in the compose specification that ours may have.
KNOWN = {
    *("build", "cap_add", "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck", "image", "init"),
    *("logging", "ports", "profiles", "restart", "secrets", "security_opt", "stop_grace_period", "volumes"),
}


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    """As it is started with the example filled in."""
    values = {"NEUROINSPECT_PAGE_URL": "https://reviews.example"}
    whole: dict[str, Any] = resolved(read_composition(), filled(FOLDER / "compose.env.example", **values))
    return whole


@pytest.fixture(params=UNITS, ids=lambda path: path.stem)
def unit(request: pytest.FixtureRequest) -> Unit:
    return read_unit(request.param)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_only_what_a_service_may_have_and_a_pinned_image(composition, name):
    service = composition["services"][name]

    assert service.keys() <= KNOWN
    tag = service["image"].partition(":")[2]
    assert any(letter.isdigit() for letter in tag)
    assert service.get("build", {}).get("dockerfile", "mlflow/Dockerfile") == "mlflow/Dockerfile"
    assert service["cap_drop"] == ["ALL"]
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ENDS))
def test_a_service_is_started_again_and_one_that_listens_is_asked_for_its_health(composition, name):
    service = composition["services"][name]

    assert service["restart"] == "unless-stopped"
    assert ("healthcheck" in service) is not name.startswith("worker")


def test_what_one_service_waits_for_is_another_that_can_say_so(composition):
    services = composition["services"]
    waits = [(on, rule) for service in services.values() for on, rule in service.get("depends_on", {}).items()]

    assert {on for on, _ in waits} == {"postgres", "prefect", "mlflow", "deploy"}
    for on, rule in waits:
        wanted = "service_completed_successfully" if on in ENDS else "service_healthy"
        assert rule == {"condition": wanted}
        assert wanted != "service_healthy" or "healthcheck" in services[on]
    assert all(services[name]["restart"].startswith("on-failure") for name in ENDS)


def test_every_volume_and_secret_is_declared_and_used_and_every_file_of_ours_is_there(composition):
    services = composition["services"].values()
    mounts = [mount.split(":") for service in services for mount in service.get("volumes", [])]
    named = {source for source, *_ in mounts if not source.startswith((".", "/", "filled"))}
    secrets = {secret for service in services for secret in service.get("secrets", [])}

    assert named == composition["volumes"].keys()
    assert secrets == composition["secrets"].keys()
    assert {f"/run/secrets/{secret}" for secret in secrets} == {
        word.partition("=")[2] for word in composition["services"]["page"]["command"] if "/run/secrets/" in word
    }
    ours = [source for source, *_ in mounts if source.startswith(".")]
    assert ours
    assert all((FOLDER / source).is_file() for source in ours)


def test_nothing_listens_beyond_this_machine_until_somebody_says_so(composition):
    published = {name: service["ports"] for name, service in composition["services"].items() if "ports" in service}

    assert published == {
        "prefect": ["127.0.0.1:4200:4200"],
        "mlflow": ["127.0.0.1:5000:5000"],
        "page": [f"127.0.0.1:{PAGE_PORT}:{PAGE_PORT}"],
    }
    opened = resolved(read_composition(), {**filled(FOLDER / "compose.env.example"), "BIND": "0.0.0.0"})
    assert opened["services"]["page"]["ports"] == [f"0.0.0.0:{PAGE_PORT}:{PAGE_PORT}"]


def test_the_example_names_every_variable_of_the_composition_with_its_default():
    asked, example = references(read_composition()), read_variables(FOLDER / "compose.env.example")

    assert asked.keys() == example.keys() - {"COMPOSE_PROFILES"}
    profiles = {name for service in read_composition()["services"].values() for name in service.get("profiles", [])}
    assert example["COMPOSE_PROFILES"] in profiles
    for name, ways in asked.items():
        kinds = {kind for kind, _ in ways}
        assert kinds in ({":-"}, {":?"}), name
        assert kinds == {":?"} or {default for _, default in ways} == {example[name]}, name
        assert (kinds == {":?"}) <= (example[name] == ""), name


@pytest.mark.parametrize("name", [name for name, ways in references(read_composition()).items() if (":?", "") in ways])
def test_a_variable_that_is_needed_is_asked_for_by_its_name(name):
    with pytest.raises(KeyError) as refusal:
        resolved(read_composition(), filled(FOLDER / "compose.env.example") | {name: ""})

    assert refusal.value.args == (name,)


def test_no_secret_stands_in_a_file_of_ours_and_no_container_has_that_of_another(composition):
    written = read_composition()["services"]
    holders: dict[str, set[str]] = {}
    for service, words in written.items():
        for variable, value in words.get("environment", {}).items():
            if any(sign in variable for sign in SECRET):
                ((name, ways),) = references(value).items()
                assert ways == {(":?", "")}, variable
                assert value == f"${{{name}:?}}", variable
                holders.setdefault(name, set()).add(service)
    for example in EXAMPLES:
        given = read_variables(example)
        assert not [name for name in given if any(sign in name for sign in SECRET) and given[name]], example
    ours = {"deploy", "page", "worker", "worker-gpu-0", "worker-quick"}
    assert holders == {
        "DATABASE_PASSWORD_ADMIN": {"postgres"},
        "DATABASE_PASSWORD_PREFECT": {"postgres", "prefect"},
        "DATABASE_PASSWORD_MLFLOW": {"postgres", "mlflow"},
        "DATABASE_PASSWORD_REVIEWS": {"postgres", *ours},
        "PREFECT_API_AUTH_STRING": {"prefect", *ours},
        "MLFLOW_AUTH_ADMIN_PASSWORD": {"mlflow"},
        "MLFLOW_FLASK_SERVER_SECRET_KEY": {"mlflow"},
        "MLFLOW_TRACKING_PASSWORD": ours,
    }


def test_git_ignores_what_is_filled_in_and_keeps_the_examples():
    ignored = [line for line in (ROOT / ".gitignore").read_text().splitlines() if "mlflow" in line]

    assert ignored == ["/mlflow/*.env", "!/mlflow/server.env"]
    assert all(path.name.endswith(".example") or path.name == "server.env" for path in EXAMPLES)


@pytest.mark.parametrize("source", ["composition", *(path.name for path in (*UNITS, *EXAMPLES))])
def test_every_variable_of_a_tool_is_one_of_its_settings(source, composition):
    if source == "composition":
        names = {name for service in composition["services"].values() for name in service.get("environment", {})}
    else:
        path = next(path for path in (*UNITS, *EXAMPLES) if path.name == source)
        names = set(read_unit(path).environment if path in UNITS else read_variables(path))

    assert not [name for name in names if name.startswith("NEUROINSPECT_") and not _is_ours(name)]
    assert not [name for name in names if name.startswith("PREFECT_") and name not in _prefect_settings()]
    assert not [name for name in names if name.startswith("MLFLOW_") and name not in _mlflow_settings()]


def test_every_command_is_one_of_its_program(composition):
    commands = [service["command"] for service in composition["services"].values() if "command" in service]
    commands += [_started(read_unit(path)) for path in UNITS]
    shell = [words for words in commands if words[0] == "sh"]
    for line in (words[2].removeprefix("exec ") for words in shell):
        words = line.replace("${NIGHTLY:+--nightly", "--nightly").replace('"}', '"').replace('"$WORKERS"', "2")
        commands.append([word.strip('"') for word in words.split()])

    parsed = [_parsed(words) for words in commands if words[0] != "sh"]
    assert len(shell) == 1
    assert sorted(set(parsed)) == [
        "mlflow server",
        "neuroinspect deploy",
        "neuroinspect review serve",
        "neuroinspect review watch",
        "prefect server start",
        "prefect worker start",
    ]


def test_a_promotion_waits_behind_no_night(composition):
    workers = {name: one["command"] for name, one in composition["services"].items() if name.startswith("worker")}
    workers |= {path.stem: _started(read_unit(path)) for path in UNITS if "worker" in path.stem}
    queues = {name: words[words.index("--work-queue") + 1] for name, words in workers.items()}

    assert {name for name, queue in queues.items() if queue == QUICK_QUEUE} == {
        "worker-quick",
        "neuroinspect-worker-quick",
    }
    assert {queue for name, queue in queues.items() if not name.endswith("-quick")} == {QUEUE}
    assert "profiles" not in composition["services"]["worker-quick"]


def test_health_is_asked_where_the_server_listens_and_clients_know_its_name(composition):
    services = composition["services"]
    scripts = {name: services[name]["healthcheck"]["test"] for name in ("prefect", "mlflow", "page")}

    for name, path in (("prefect", "4200/api/ready"), ("mlflow", "5000/health"), ("page", f"{PAGE_PORT}/health")):
        assert scripts[name][:3] == ["CMD", "python", "-c"]
        assert f"//127.0.0.1:{path}" in scripts[name][3]
        assert ast.parse(scripts[name][3])
        assert services[name]["ports"][0].endswith(path.partition("/")[0])
    client = services["worker"]["environment"]
    assert client["NEUROINSPECT_PREFECT_URL"] == client["PREFECT_API_URL"] == "http://prefect:4200/api"
    assert client["NEUROINSPECT_MLFLOW_URL"] == "http://mlflow:5000"
    assert {"--host=0.0.0.0", f"--port={PAGE_PORT}"} <= set(services["page"]["command"])


@pytest.mark.parametrize(
    ("allowed", "hosts"),
    [
        ("compose.env.example", ["mlflow:5000", "127.0.0.1:5000", "localhost:5000"]),
        ("systemd/mlflow.env.example", ["mlflow.example", "127.0.0.1:5000"]),
    ],
)
def test_mlflow_answers_to_the_names_it_is_asked_by_and_to_no_other(allowed, hosts):
    from mlflow.server.security_utils import is_allowed_host_header

    names = read_variables(FOLDER / allowed)["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")

    assert all(is_allowed_host_header(names, host) for host in hosts)
    assert not is_allowed_host_header(names, "evil.example:5000")


def test_both_servers_ask_who_it_is_wherever_they_are_started_from_these_files(composition):
    services, units = composition["services"], {path.stem: read_unit(path) for path in UNITS}

    assert services["prefect"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
    assert "PREFECT_SERVER_API_AUTH_STRING" in read_variables(units["neuroinspect-prefect"].example)
    config = services["mlflow"]["environment"]["MLFLOW_AUTH_CONFIG_PATH"]
    assert f"./basic_auth.ini:{config}:ro" in services["mlflow"]["volumes"]
    assert units["neuroinspect-mlflow"].environment["MLFLOW_AUTH_CONFIG_PATH"] == config
    for words in (services["mlflow"]["command"], units["neuroinspect-mlflow"].words):
        assert words[2:4] == ["--app-name", "basic-auth"]


def test_the_first_account_of_mlflow_has_no_password_in_a_file(monkeypatch):
    from mlflow.server.auth.config import read_auth_config

    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(FOLDER / "basic_auth.ini"))
    read = read_auth_config()

    assert (read.admin_username, read.admin_password, read.default_permission) == ("admin", None, "READ")
    assert read.database_uri == read_variables(FOLDER / "systemd/mlflow.env.example")["MLFLOW_BACKEND_STORE_URI"]


def test_the_image_is_made_of_files_that_are_there_and_let_through():
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    through = [line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]

    assert copied == through
    assert all((ROOT / word).exists() for word in copied)
    assert any("--constraint constraints.txt" in line for line in lines)
    (base,) = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert base.startswith("python:3.11.")


def test_a_unit_has_the_sections_and_the_protection_that_all_have(unit):
    assert list(unit.values) == ["Unit", "Service", "Install"]
    assert {key: unit.one(key) for key in ("User", "Restart", "NoNewPrivileges", "ProtectSystem", "UMask")} == {
        "User": "neuroinspect",
        "Restart": "always",
        "NoNewPrivileges": "true",
        "ProtectSystem": "strict",
        "UMask": "0077",
    }
    assert unit.example.is_file()


def test_a_unit_names_only_units_and_variables_there_are(unit):
    named = {
        word for key in ("After", "Conflicts") for line in unit.values["Unit"].get(key, []) for word in line.split()
    }

    assert {word for word in named if word.startswith("neuroinspect")} <= {path.name for path in UNITS}
    assert _started(unit)


def test_systemd_finds_nothing_to_say_about_the_units(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here; `apt-get install systemd` brings it")
    places = []
    for path in UNITS:
        # The programs of this environment stand in for those of the place the units name.
        text = path.read_text().replace("/opt/neuroinspect/.venv/bin", str(Path(sys.executable).parent))
        # A name of a GPU, where the unit is one of several.
        places.append(tmp_path / path.name.replace("@.", "@0."))
        places[-1].write_text(text)

    done = subprocess.run([program, "verify", *map(str, places)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "neuroinspect" in line]
    assert (complaints, done.returncode) == ([], 0)


@pytest.mark.parametrize(
    "name", ["mlflow/compose.yaml", "mlflow/compose.env.example", "mlflow/systemd", "mlflow/basic_auth.ini"]
)
def test_the_page_on_production_names_what_there_is(name):
    assert name in (ROOT / "docs/production.md").read_text()


def _started(unit: Unit) -> list[str]:
    return expanded(unit.words, filled(unit.example, PAGE_CERTIFICATE="cert.pem", PAGE_KEY="key.pem"))


def _parsed(words: list[str]) -> str:
    """Which command it is; fails where an option is unknown or a value does not fit."""
    program, *rest = words
    if program == "prefect":
        from prefect.cli.server import server_app
        from prefect.cli.worker import worker_app

        kind, *rest = rest
        group = {"server": server_app, "worker": worker_app}[kind]
        command, *_ = group.parse_args(rest, print_error=False, exit_on_error=False)
        return f"{program} {kind} {command.__name__}"
    if program == "mlflow":
        from mlflow.cli import cli as group
    else:
        group = typer.main.get_command(app)
    with group.make_context(program, list(rest)) as context:
        path = [program]
        while hasattr(group, "resolve_command"):
            name, group, rest = group.resolve_command(context, rest)
            path.append(str(name))
        group.make_context(path[-1], list(rest), parent=context)
    return " ".join(path)


def _is_ours(name: str) -> bool:
    return name.removeprefix("NEUROINSPECT_").lower() in Machinery.model_fields


@cache
def _prefect_settings() -> frozenset[str]:
    from prefect.settings import Settings

    return frozenset(_every_name(Settings))


def _every_name(model: Any, so_far: tuple[str, ...] = ("prefect",)) -> set[str]:
    names = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and hasattr(inner, "model_fields"):
            names |= _every_name(inner, (*so_far, name))
        else:
            names.add("_".join((*so_far, name)).upper())
    return names


@cache
def _mlflow_settings() -> frozenset[str]:
    import mlflow.environment_variables as variables
    from mlflow.cli import server

    options = {option.envvar for option in server.params if isinstance(option.envvar, str)}
    return frozenset(options | {name for name in dir(variables) if name.startswith("MLFLOW_")})
