"""Addresses of the tools: where they are read from, what is refused, and where local tools keep what they have."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from neuroinspect.errors import SettingsError
from neuroinspect.machinery import Machinery, load_machinery, stack_way_out


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch) -> None:
    """No setting from outside; what a test puts into the environment is gone after it."""
    for name in set(os.environ) - {"PATH", "HOME"}:
        monkeypatch.delenv(name)
    monkeypatch.setattr("neuroinspect.machinery.environment._entered", {})


def write(folder: Path, *lines: str) -> Path:
    (folder / "neuroinspect.env").write_text("\n".join(lines))
    return folder


def test_without_a_word_everything_is_local_and_silent(tmp_path):
    machinery = load_machinery(tmp_path)
    assert machinery == Machinery(state=tmp_path / ".neuroinspect")
    assert (machinery.prefect_url, machinery.mlflow_url, machinery.review_url) == (None, None, None)
    assert machinery.telemetry is False


def test_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROINSPECT_WORKERS", "3")
    machinery = load_machinery(
        write(
            tmp_path,
            "# ours",
            "NEUROINSPECT_WORKERS=2",
            "export NEUROINSPECT_TASK_RETRIES=5",
            "NEUROINSPECT_MLFLOW_URL=",
        )
    )
    assert (machinery.workers, machinery.task_retries, machinery.mlflow_url) == (3, 5, None)


def test_a_relative_state_is_meant_from_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    assert load_machinery(write(tmp_path, "NEUROINSPECT_STATE=kept/here")).state == tmp_path / "kept" / "here"
    assert load_machinery(write(tmp_path, f"NEUROINSPECT_STATE={tmp_path}/kept")).state == tmp_path / "kept"
    assert load_machinery(write(tmp_path, "NEUROINSPECT_STATE=~/kept")).state == Path.home() / "kept"


def test_the_page_of_settings_names_every_one():
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    assert [name for name in Machinery.model_fields if f"\n| `NEUROINSPECT_{name.upper()}` |" not in page] == []


def test_every_field_says_what_it_is():
    assert all(field.description for field in Machinery.model_fields.values())


def test_an_unknown_name_in_the_environment_is_refused_with_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROINSPECT_PREFECT", "hush")
    with pytest.raises(
        SettingsError, match=r"NEUROINSPECT_PREFECT in the environment.*NEUROINSPECT_PREFECT_URL"
    ) as told:
        load_machinery(tmp_path)
    assert "hush" not in str(told.value)


@pytest.mark.parametrize("line", ["NEUROINSPECT_PREFECT=hush", "PREFECT_URL=hush"])
def test_an_unknown_name_in_the_file_is_refused_with_the_known_ones(tmp_path, line):
    with pytest.raises(SettingsError, match=r"neuroinspect\.env: no setting.*NEUROINSPECT_PREFECT_URL") as told:
        load_machinery(write(tmp_path, line))
    assert "hush" not in str(told.value)


@pytest.mark.parametrize("line", ["NEUROINSPECT_WORKERS", "two words"])
def test_a_line_that_sets_nothing_is_named(tmp_path, line):
    with pytest.raises(SettingsError, match="line 2: expected NAME=VALUE"):
        load_machinery(write(tmp_path, "# ours", line))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("NEUROINSPECT_WORKERS=hush", "NEUROINSPECT_WORKERS: .* integer"),
        ("NEUROINSPECT_PREFECT_URL=hush", "NEUROINSPECT_PREFECT_URL: .*http://HOST:4200/api"),
        ("NEUROINSPECT_PREFECT_URL=https://me:hush@host/api", "NEUROINSPECT_PREFECT_URL: .*password"),
        ("NEUROINSPECT_MLFLOW_URL=https://host?token=hush", "NEUROINSPECT_MLFLOW_URL: .*token"),
        ("NEUROINSPECT_PREFECT_URL=https://host/api#hush", "NEUROINSPECT_PREFECT_URL: .*token"),
        ("NEUROINSPECT_MLFLOW_URL=https://hush@host", "NEUROINSPECT_MLFLOW_URL: .*password"),
        ("NEUROINSPECT_REVIEW_URL=sqlite:///hush.db", "NEUROINSPECT_REVIEW_URL: .*whole path"),
        ("NEUROINSPECT_PAGE_URL=ftp://hush", "NEUROINSPECT_PAGE_URL: .*https://HOST"),
        ("NEUROINSPECT_PAGE_URL=https://me:hush@host", "NEUROINSPECT_PAGE_URL: .*password"),
        ("NEUROINSPECT_PAGE_URL=https://host:hush", "NEUROINSPECT_PAGE_URL: .*https://HOST"),
        ("NEUROINSPECT_PAGE_URL=https://host/<hush>", "NEUROINSPECT_PAGE_URL: .*https://HOST"),
        ("NEUROINSPECT_WEBHOOK_URL=file:///hush", "NEUROINSPECT_WEBHOOK_URL: .*https://HOST/PATH"),
        ("NEUROINSPECT_WEBHOOK_URL=https:///hush", "NEUROINSPECT_WEBHOOK_URL: .*https://HOST/PATH"),
        ("NEUROINSPECT_WEBHOOK_URL=https://host:99999/hush", "NEUROINSPECT_WEBHOOK_URL: .*https://HOST/PATH"),
        ("NEUROINSPECT_WEBHOOK_URL=https://me:hush@host/", "NEUROINSPECT_WEBHOOK_URL: .*its path"),
        ("NEUROINSPECT_WEBHOOK_URL=http://[hush]/", "NEUROINSPECT_WEBHOOK_URL: .*https://HOST/PATH"),
        ("NEUROINSPECT_REVIEW_EXPIRY_DAYS=0", "NEUROINSPECT_REVIEW_EXPIRY_DAYS: .*greater than 0"),
        ("NEUROINSPECT_REVIEW_EXPIRY_DAYS=1e300", "NEUROINSPECT_REVIEW_EXPIRY_DAYS: .*less than"),
        ("NEUROINSPECT_STATE=hush?", "NEUROINSPECT_STATE: .*question mark"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(tmp_path, line, message):
    with pytest.raises(SettingsError, match=message) as told:
        load_machinery(write(tmp_path, line))
    assert "hush" not in str(told.value)
    assert told.value.__cause__ is None


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "neuroinspect.env").write_bytes(b"NEUROINSPECT_STATE=\xff")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_machinery(tmp_path)


def test_the_password_of_the_review_store_is_not_shown_with_the_settings():
    url = "postgresql+psycopg://me:hush@host/reviews"
    machinery = Machinery(review_url=url)
    assert machinery.review_store == url
    assert "hush" not in f"{machinery!r}{machinery.model_dump_json()}"


def test_the_address_of_the_webhook_is_not_shown_with_the_settings():
    machinery = Machinery(webhook_url="https://hooks.example/hush")
    assert "hush" not in f"{machinery!r}{machinery.model_dump_json()}"


def test_a_review_has_its_place_on_the_page():
    assert Machinery().page_of("abc") == "http://127.0.0.1:8321/reviews/abc"
    assert (
        Machinery(page_url="https://reviews.example/tools/").page_of("abc")
        == "https://reviews.example/tools/reviews/abc"
    )


@pytest.mark.parametrize("name", ["two words", "100%20", "a#b", "it's", "é&;=+", "a@b:c"])
def test_a_state_folder_of_any_name_holds_the_databases(tmp_path, name):
    machinery = Machinery(state=tmp_path / name)
    for url in (machinery.review_store, machinery.mlflow_store):
        file = make_url(url).database
        assert file is not None
        assert Path(file).is_relative_to(tmp_path / name)
        Path(file).parent.mkdir(parents=True)
        with closing(sqlite3.connect(file)):
            assert Path(file).exists()


def test_what_is_set_outside_stays_and_the_rest_is_put_below_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", "/elsewhere")
    Machinery(state=tmp_path, prefect_url="http://host/api").enter()
    assert os.environ["PREFECT_HOME"] == "/elsewhere"
    assert os.environ["PREFECT_API_URL"] == "http://host/api"
    assert os.environ["DVC_SITE_CACHE_DIR"] == str(tmp_path / "dvc")
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow/mlflow.db"


def test_a_second_project_in_the_same_process_has_its_own_places(tmp_path):
    Machinery(state=tmp_path / "one", prefect_url="http://host/api").enter()
    Machinery(state=tmp_path / "two").enter()
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "two" / "prefect")
    assert "PREFECT_API_URL" not in os.environ
    Machinery(state=tmp_path / "three", prefect_url="http://other/api").enter()
    assert os.environ["PREFECT_API_URL"] == "http://other/api"


def test_prefects_own_variable_goes_before_the_setting_unless_it_is_empty_or_ours(tmp_path, monkeypatch):
    Machinery(state=tmp_path).enter()
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    machinery = Machinery(state=tmp_path, prefect_url="http://host/api")
    machinery.enter()
    other = Machinery(state=tmp_path, prefect_url="http://other/api")
    assert (other.prefect_api, other.prefect_is_named_elsewhere) == ("http://other/api", False)
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")
    assert (machinery.prefect_api, machinery.prefect_is_named_elsewhere) == ("http://elsewhere/api", True)
    assert Machinery(state=tmp_path).prefect_api == "http://elsewhere/api"
    monkeypatch.setenv("PREFECT_API_URL", "")
    machinery.enter()
    assert machinery.prefect_api == os.environ["PREFECT_API_URL"] == "http://host/api"
    Machinery(state=tmp_path).enter()


def test_telemetry_is_off_until_it_is_asked_for(tmp_path):
    words = ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "PREFECT_SERVER_ANALYTICS_ENABLED", "DVC_NO_ANALYTICS")
    Machinery(state=tmp_path).enter()
    assert [os.environ.get(word) for word in words] == ["true", "true", "false", "1"]
    Machinery(state=tmp_path, telemetry=True).enter()
    assert [os.environ.get(word) for word in words] == [None] * 4
    Machinery(state=tmp_path).enter()
    assert [os.environ.get(word) for word in words] == ["true", "true", "false", "1"]


@pytest.mark.parametrize("address", ["tcp://gpu-head.example:8786", "tls://10.0.0.1:8786"])
def test_a_dask_scheduler_is_named_by_its_address(address):
    assert Machinery(runner="dask", dask_address=address).dask_address == address


@pytest.mark.parametrize(
    "address", ["gpu-head:8786", "http://gpu-head:8786", "tcp://gpu-head", "tcp://hush@host:1", "tcp://host:99999"]
)
def test_what_is_no_address_of_a_scheduler_is_refused(tmp_path, monkeypatch, address):
    monkeypatch.setenv("NEUROINSPECT_RUNNER", "dask")
    monkeypatch.setenv("NEUROINSPECT_DASK_ADDRESS", address)
    with pytest.raises(SettingsError, match=r"NEUROINSPECT_DASK_ADDRESS: .*tcp://HOST:8786") as caught:
        load_machinery(tmp_path)
    assert "hush" not in str(caught.value)


def test_a_scheduler_without_the_runner_that_asks_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROINSPECT_DASK_ADDRESS", "tcp://host:8786")
    with pytest.raises(SettingsError, match="set NEUROINSPECT_RUNNER=dask"):
        load_machinery(tmp_path)


@pytest.fixture
def stack(tmp_path) -> Path:
    """The addresses of a stack that is up."""
    file = tmp_path / "kept" / "stack.env"
    file.parent.mkdir()
    file.write_text(
        "# ours\nNEUROINSPECT_PREFECT_URL=http://127.0.0.1:1/api\nNEUROINSPECT_MLFLOW_URL=http://127.0.0.1:2\n"
    )
    return file


def test_the_addresses_of_the_stack_are_found_below_state_and_beneath_all_others(tmp_path, stack, monkeypatch):
    write(tmp_path, "NEUROINSPECT_STATE=kept")
    found = load_machinery(tmp_path)
    assert (found.prefect_url, found.mlflow_url) == ("http://127.0.0.1:1/api", "http://127.0.0.1:2")
    write(tmp_path, "NEUROINSPECT_STATE=kept", "NEUROINSPECT_MLFLOW_URL=http://file")
    monkeypatch.setenv("NEUROINSPECT_PREFECT_URL", "http://environment/api")
    found = load_machinery(tmp_path)
    assert (found.prefect_url, found.mlflow_url) == ("http://environment/api", "http://file")
    assert found.state == tmp_path / "kept"
    stack.unlink()
    monkeypatch.delenv("NEUROINSPECT_PREFECT_URL")
    assert load_machinery(tmp_path).prefect_url is None


def test_a_damaged_file_of_the_stack_is_named(tmp_path, stack):
    stack.write_text("NEUROINSPECT_PREFECT=hush\n")
    with pytest.raises(SettingsError, match=r"stack\.env: no setting"):
        load_machinery(write(tmp_path, "NEUROINSPECT_STATE=kept"))


def test_for_a_server_of_the_stack_and_no_other_the_way_out_is_up(tmp_path, stack):
    machinery = load_machinery(write(tmp_path, "NEUROINSPECT_STATE=kept", "NEUROINSPECT_MLFLOW_URL=http://file"))
    told = stack_way_out(machinery, "prefect_url")
    assert told is not None
    assert "`neuroinspect up`" in told
    assert stack_way_out(machinery, "mlflow_url") is None
    stack.unlink()
    assert stack_way_out(machinery, "prefect_url") is None
