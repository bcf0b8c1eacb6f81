"""A schedule fires, a worker picks the run up, and it completes."""

from datetime import timedelta
from typing import Any

from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.settings import load_params
from tests.team.running import RunningStack, wait


def deployment(stack: RunningStack, name: str) -> Any:
    with stack.prefect() as client:
        return client.read_deployment_by_name(name)


def flow_runs(stack: RunningStack, identifier: Any) -> list[Any]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    with stack.prefect() as client:
        return list(client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[identifier]))))


def test_a_deployment_does_ad_hoc_what_the_params_say(stack: RunningStack):
    made = deployment(stack, "debug/debug")
    params = load_params(stack.params_file)
    assert made.parameters["run"] == str(params.runs / "run")
    assert made.parameters["params"]["model"]["weights"] == str(stack.project / "classifier.safetensors")
    assert (made.work_pool_name, made.work_queue_name) == ("neuroinspect", "gpu")
    assert made.job_variables["working_dir"] == str(stack.project)


def test_an_interval_fires_and_the_worker_completes_the_run(stack: RunningStack):
    from prefect.client.schemas.schedules import IntervalSchedule

    debug = deployment(stack, "debug/debug")
    with stack.prefect() as client:
        often = IntervalSchedule(interval=timedelta(seconds=5))
        (made,) = client.create_deployment_schedules(debug.id, [(often, True)])

    def begun() -> Any:
        by_itself = [one for one in flow_runs(stack, debug.id) if one.auto_scheduled and not one.state.is_scheduled()]
        return min(by_itself, key=lambda one: one.expected_start_time, default=None)

    try:
        first = wait(begun, lambda one: one is not None)
    finally:
        with stack.prefect() as client:
            client.delete_deployment_schedule(debug.id, made.id)  # and with it the runs that have not begun
    run = wait(
        lambda: next(one for one in flow_runs(stack, debug.id) if one.id == first.id), lambda one: one.state.is_final()
    )
    assert run.state.is_completed(), f"{run.state}\n{stack.place.log_of('worker-0').read_text()[-3000:]}"
    assert run.work_queue_name == "gpu"
    folder = RunFolder(load_params(stack.params_file).runs / "run")
    assert read_json(folder.stage("review") / "request.json")["class"] == "fish"


def test_a_promotion_begins_while_the_worker_of_the_gpu_has_no_time(stack: RunningStack):
    promote = deployment(stack, "promote/promote")
    wanted = {"name": "no_such_model", "version": "1", "by": "ada"}
    stack.stop("worker-0")
    try:
        with stack.prefect() as client:
            asked = client.create_flow_run_from_deployment(promote.id, parameters=wanted)
        run = wait(
            lambda: next(one for one in flow_runs(stack, promote.id) if one.id == asked.id),
            lambda one: one.state.is_final(),
        )
    finally:
        stack.start("worker-0")
    assert run.state.is_failed(), run.state
    assert "no_such_model" in run.state.message


def test_of_two_nights_at_the_same_time_the_second_is_not_kept_for_later(stack: RunningStack):
    limit = deployment(stack, "nightly/nightly")
    assert limit.global_concurrency_limit.limit == 1
    assert limit.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert deployment(stack, "debug/debug").global_concurrency_limit is None


def test_deploying_again_changes_nothing_but_what_was_asked_for(stack: RunningStack):
    before = deployment(stack, "debug/debug")
    told = stack.printed("deploy", "--workers", "3")
    assert told["limit"] == 3
    after = deployment(stack, "debug/debug")
    assert (after.id, after.parameters, after.job_variables) == (before.id, before.parameters, before.job_variables)
    with stack.prefect() as client:
        assert client.read_work_queue_by_name("gpu", work_pool_name="neuroinspect").concurrency_limit == 3
    assert stack.printed("deploy")["limit"] == 1
    refused = stack.command("deploy", "--nightly", "at noon", code=2)
    assert "'at noon' in 'UTC' is no schedule" in refused.stderr
