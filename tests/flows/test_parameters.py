"""Settings travel through Prefect's API as JSON, and its page shows them as a form."""

import json

import pytest

from neuroinspect.settings import Params, load_params
from tests.tiny import make_project


@pytest.fixture(scope="module")
def params(tmp_path_factory) -> Params:
    folder = tmp_path_factory.mktemp("parameters") / "project"
    given = load_params(make_project(folder))
    # The one section whose field has another name than its key.
    return given.model_copy(update={"validate_": given.validate_.model_copy(update={"small_class": 7})})


@pytest.fixture(scope="module")
def deployments(prefect_server):
    from flows.debug import debug
    from flows.edit import edit

    return {flow.name: flow.to_deployment(name="by json").apply() for flow in (debug, edit)}


def arrived(deployment, parameters):
    """The parameters of a run made through the API, as a worker reads them."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment, parameters=parameters)
        read = client.read_flow_run(run.id).parameters
        client.delete_flow_run(run.id)
    return read


def test_params_survive_the_way_through_the_api(deployments, params):
    from flows.debug import debug
    from flows.edit import edit

    values = json.loads(params.model_dump_json(by_alias=True))
    assert values["validate"]["small_class"] == 7
    given = {"params": values, "run": "/runs/a"}
    assert debug.validate_parameters(arrived(deployments["debug"], given | {"review": "auto"})) == {
        "params": params,
        "run": "/runs/a",
        "review": "auto",
    }
    assert edit.validate_parameters(arrived(deployments["edit"], given)) == {"params": params, "run": "/runs/a"}


@pytest.mark.parametrize(
    "wrong",
    [{"review": "perhaps"}, {"params": {"model": {"spec": "timm:resnet18"}}}, {"params": {"sed": 1}}, {"run": None}],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(deployments, params, wrong):
    from prefect.exceptions import PrefectHTTPStatusError

    given = {"params": json.loads(params.model_dump_json(by_alias=True)), "run": "/runs/a"}
    with pytest.raises(PrefectHTTPStatusError, match=r"4\d\d"):
        arrived(deployments["debug"], given | wrong)


def test_the_form_shows_every_section_with_what_it_is_for(prefect_server):
    from flows.debug import debug

    schema = debug.parameters.model_dump()
    sections = schema["definitions"]["Params"]["properties"]
    assert {"validate", "extract", "diagnose", "visualize", "review", "edit", "evaluate", "report"} <= set(sections)
    assert schema["properties"]["review"]["enum"] == ["wait", "auto"]
    assert "absolute path" in schema["properties"]["run"]["description"]
    assert set(schema["required"]) == {"params", "run"}
