"""The edit of an approved review on a real Prefect server: started once, however often it is asked for."""

import socket
from collections.abc import Iterator

import pytest

from neuroinspect.adapters.prefect_dispatch import PrefectDispatch
from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.errors import ReviewError
from neuroinspect.machinery import Machinery
from neuroinspect.review import Candidate, decide, open_request

REQUEST = open_request(
    [Candidate(neuron=3, direction="both", vote_share=0.5), Candidate(neuron=5, direction="both", vote_share=0.5)],
    class_name="fish",
    class_index=1,
    model="fingerprint",
    data_version="manifest:d",
)


def approve(store: SqlReviews, neuron: int, *, replace: bool = False) -> None:
    decision = decide(REQUEST, verdict="approved", neurons={"fish": [neuron]}, by="ada")
    store.decide(decision.record(), replace=replace)


def attempts(store: SqlReviews) -> int:
    order = store.edit_order(REQUEST.id)
    assert order is not None
    return order.attempts


@pytest.fixture
def store(tmp_path) -> SqlReviews:
    reviews = SqlReviews(f"sqlite:///{tmp_path}/reviews.db")
    reviews.open(REQUEST.record(), run=tmp_path / "run")
    return reviews


@pytest.fixture
def deployment(prefect_server) -> Iterator[object]:
    """A deployment `edit/edit`, which brings the params of its project."""
    from prefect import flow
    from prefect.client.orchestration import get_client

    @flow(name="edit")
    def edit(params: dict[str, int], run: str) -> None: ...

    identifier = edit.to_deployment("edit", parameters={"params": {"seed": 2}}).apply()
    yield identifier
    with get_client(sync_client=True) as client:
        client.delete_deployment(identifier)


def test_an_approval_starts_one_run_with_the_run_folder(store, deployment, prefect_server, tmp_path):
    from prefect.client.orchestration import get_client

    approve(store, 3)
    dispatch = PrefectDispatch(store, Machinery(state=tmp_path, prefect_url=prefect_server))
    first = dispatch.dispatch(REQUEST.id)
    assert first is not None
    assert dispatch.dispatch(REQUEST.id) == first
    assert attempts(store) == 1
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(first)
    assert run.deployment_id == deployment
    assert run.parameters == {"params": {"seed": 2}, "run": str(tmp_path / "run")}


class Forgetful(SqlReviews):
    """The process dies before it can note the run it has started."""

    def mark_started(self, key: str, started: str) -> None: ...


def test_a_start_the_store_has_not_heard_of_is_found_again(deployment, prefect_server, tmp_path):
    store = Forgetful(f"sqlite:///{tmp_path}/reviews.db")
    store.open(REQUEST.record(), run=tmp_path / "run")
    approve(store, 3)
    dispatch = PrefectDispatch(store, Machinery(state=tmp_path, prefect_url=prefect_server))
    first = dispatch.dispatch(REQUEST.id)
    assert first is not None
    assert dispatch.dispatch(REQUEST.id) == first
    assert attempts(store) == 2


def test_a_replaced_approval_starts_another_run(store, deployment, prefect_server, tmp_path):
    approve(store, 3)
    dispatch = PrefectDispatch(store, Machinery(state=tmp_path, prefect_url=prefect_server))
    first = dispatch.dispatch(REQUEST.id)
    approve(store, 5, replace=True)
    assert dispatch.dispatch(REQUEST.id) not in {None, first}


def test_without_a_deployment_nothing_is_started(store, prefect_server, tmp_path):
    approve(store, 3)
    assert PrefectDispatch(store, Machinery(state=tmp_path, prefect_url=prefect_server)).dispatch(REQUEST.id) is None
    assert attempts(store) == 1


def test_a_server_that_is_away_leaves_the_order_for_the_next_time(store, deployment, prefect_server, tmp_path, caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}/api"
    approve(store, 3)
    assert PrefectDispatch(store, Machinery(state=tmp_path, prefect_url=away)).dispatch(REQUEST.id) is None
    assert "the same command tries again" in caplog.text
    assert (
        PrefectDispatch(store, Machinery(state=tmp_path, prefect_url=prefect_server)).dispatch(REQUEST.id) is not None
    )
    assert attempts(store) == 2


def test_without_a_server_nothing_is_tried(store, tmp_path, monkeypatch):
    for name in ("PREFECT_API_URL", "NEUROINSPECT_PREFECT_URL"):
        monkeypatch.delenv(name, raising=False)
    approve(store, 3)
    assert PrefectDispatch(store, Machinery(state=tmp_path)).dispatch(REQUEST.id) is None
    assert attempts(store) == 0


def test_a_review_that_is_not_approved_has_no_edit_to_start(store, tmp_path):
    with pytest.raises(ReviewError, match="not approved"):
        PrefectDispatch(store, Machinery(state=tmp_path)).dispatch(REQUEST.id)
