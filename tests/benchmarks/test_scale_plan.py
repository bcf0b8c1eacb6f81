"""The plan for many GPUs by hand, and that docs/scale.md says what it computes."""

from dataclasses import replace

import pytest

from benchmarks.scale_plan import PAGE, PLAN, TIMES, Inputs, marks, plan, written

SMALL = Inputs(
    classes=2,
    neurons=10,
    gpus=4,
    steps=100,
    gpu_step_low=0.01,
    gpu_step_high=0.02,
    cpu_step=0.1,
    tries=1.5,
    shard=4,
    side=10,
    png_bytes_a_pixel=2.0,
    real_bytes=100,
    server_seconds=0.5,
    tasks_a_run=7,
    price=3.0,
)


def test_the_plan_by_hand() -> None:
    found = plan(SMALL)
    assert found["pairs"] == 20
    assert found["shards"] == 6  # three for each class: 4, 4 and 2 neurons
    assert found["gpu_hours_low"] == pytest.approx(20 * 1.5 * 100 * 0.01 / 3600)  # 30 seconds
    assert found["gpu_hours_high"] == pytest.approx(60 / 3600)
    assert found["wall_hours_low"] == pytest.approx(7.5 / 3600)
    assert found["shard_seconds_low"] == pytest.approx(6.0)
    assert found["dollars_low"] == pytest.approx(30 / 3600 * 3)
    assert found["task_runs"] == 6 + 2 * 7
    assert found["server_load"] == pytest.approx(20 * 0.5 / 7.5)
    assert found["most_task_runs_a_second"] == pytest.approx(2)
    assert found["cache_bytes_a_pair"] == 4 * (300 + 100) + 4 * 100
    assert found["shown_bytes_a_pair"] == 2 * 100 + 100


def test_larger_shards_spare_the_server_and_nothing_else() -> None:
    one, many = plan(replace(SMALL, shard=1)), plan(replace(SMALL, shard=5))
    assert one["server_load"] > many["server_load"]
    assert one["gpu_hours_low"] == many["gpu_hours_low"]
    assert one["cache_bytes"] == many["cache_bytes"]


def test_the_page_holds_what_is_computed_from_what_was_measured() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(page.count(mark) == 1 for name in (PLAN, TIMES) for mark in marks(name))
    assert written(page) == page, "run python -m benchmarks.scale_plan --write"
