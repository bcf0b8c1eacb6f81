"""The flow `promote` on a real server: the rules as a table, the champion moved, and a refusal as a failed run."""

from typing import Any

import pytest

from neuroinspect.errors import PromotionRefusedError
from neuroinspect.machinery import Machinery
from neuroinspect.ports import RegisteredVersion
from neuroinspect.settings import load_params
from tests.adapters.promotion_store import NAME, baseline, desk_of, good_run, register
from tests.tiny import make_project


@pytest.fixture(scope="module")
def machinery(tmp_path_factory) -> Machinery:
    """A store whose champion is the untouched model, beside it a candidate that passes and one that does not."""
    from neuroinspect.artifacts import RunFolder
    from neuroinspect.chain import run_chain

    folder = tmp_path_factory.mktemp("promote")
    params = load_params(make_project(folder / "project"))
    run = RunFolder(params.runs / "fish")
    run_chain(run, params, auto_review=True)
    store = Machinery(state=folder / "state")
    good = good_run(run.root, folder / "good")
    assert baseline(store, good, params) == RegisteredVersion(NAME, "1")
    desk_of(store).begin(NAME, "1", by="ada")
    assert register(store, good, params) == RegisteredVersion(NAME, "2")
    return store


def promoted(machinery: Machinery, version: str, **given: Any) -> Any:
    from flows.promote import promote
    from flows.surroundings import surrounded_by
    from neuroinspect.ports import silent

    with surrounded_by(machinery, silent):
        return promote(NAME, version, by="bob", **given)


def tables() -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        return list(client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["promotion"]))))


def test_a_candidate_that_breaks_a_rule_fails_the_run_and_one_that_passes_serves(prefect_server, machinery):
    with pytest.raises(PromotionRefusedError, match="worst_class_over_placebo"):
        promoted(machinery, "3")
    entry = promoted(machinery, "candidate")
    assert (entry.kind, entry.before, entry.after, entry.by) == ("promote", 1, 2, "bob")
    assert promoted(machinery, "2") == entry  # a run that is tried again finds it done
    assert promoted(machinery, "3", override="a trial").kind == "override"
    assert [one.kind for one in desk_of(machinery).trail(NAME)] == ["first", "promote", "override"]
    shown = [one.data for one in tables()]
    assert any("class_auroc_over_parent" in text and "+0.050 (+0.025 to +0.100)" in text for text in shown)
