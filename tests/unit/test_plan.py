"""The plan scales what it timed to the settings of the run."""

import pytest

from neuroinspect.errors import DataError
from neuroinspect.plan import plan_stages
from neuroinspect.settings import load_params
from tests.tiny import make_project


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    return load_params(make_project(tmp_path_factory.mktemp("plan") / "project"))


def test_every_costly_stage_is_planned_and_nothing_is_written(params):
    plans = plan_stages(params)
    assert [plan.stage for plan in plans] == ["validate", "extract", "diagnose", "visualize", "edit"]
    assert all(plan.seconds >= 0 and plan.memory_mb > 0 for plan in plans)
    assert not params.runs.exists()


def test_a_hundred_times_the_epochs_take_longer(params):
    train = params.edit.train.model_copy(update={"epochs": params.edit.train.epochs * 100})
    longer = params.model_copy(update={"edit": params.edit.model_copy(update={"train": train})})
    assert plan_stages(longer)[-1].seconds > plan_stages(params)[-1].seconds


def test_the_cost_is_named_for_every_picture(params):
    assert "192 pictures" in plan_stages(params)[1].basis


def test_with_a_text_guide_the_naming_of_neurons_is_planned_too(params):
    guided = params.model_copy(
        update={"guide": params.guide.model_copy(update={"spec": "neuroinspect.demo.clip:guide"})}
    )
    assert "to name neurons by 60 pictures" in plan_stages(guided)[3].basis
    assert "to name" not in plan_stages(params)[3].basis


def test_a_table_without_pictures_is_refused(params, tmp_path):
    (tmp_path / "empty.csv").write_text("path,label,split\n")
    empty = params.model_copy(update={"data": params.data.model_copy(update={"table": tmp_path / "empty.csv"})})
    with pytest.raises(DataError, match="no pictures"):
        plan_stages(empty)
