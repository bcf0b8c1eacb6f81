"""Threads of torch in every shard, whatever works on it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from flows.threads import torch_threads
from neuroinspect.machinery import Machinery
from neuroinspect.settings import parse_params
from neuroinspect.stages.visualize import Shard


def test_threads_are_as_before_afterwards_also_when_the_work_fails():
    torch.set_num_threads(1)

    def fail() -> None:
        with torch_threads(3) as count:
            assert (count, torch.get_num_threads()) == (3, 3)
            raise MemoryError

    with pytest.raises(MemoryError):
        fail()
    assert torch.get_num_threads() == 1


def test_no_number_leaves_what_torch_has_and_tells_it():
    with torch_threads(2), torch_threads(None) as count:
        assert (count, torch.get_num_threads()) == (2, 2)


def test_each_thread_has_its_own_number():
    with torch_threads(2), ThreadPoolExecutor(1) as other:

        def take_three() -> int:
            with torch_threads(3):
                return torch.get_num_threads()

        assert other.submit(take_three).result() == 3
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_every_shard_takes_the_threads_of_the_machinery(prefect_server, tmp_path, monkeypatch, workers):
    from prefect import flow

    from flows import tasks
    from flows.runner import shard_runner
    from flows.surroundings import surrounded_by

    taken = []
    monkeypatch.setattr(tasks.pictures, "draw_shard", lambda *_: taken.append(torch.get_num_threads()))
    torch.set_num_threads(1)
    params = parse_params({"model": {"spec": "none:none"}, "data": {"table": tmp_path / "none.csv"}})
    shards = [Shard(number, number + 1) for number in range(3)]

    @flow
    def draw() -> list[Shard]:
        with torch_threads(3), shard_runner(machinery) as runner:
            return list(runner.map(tasks.draw_shard, shards, params, str(tmp_path)))

    machinery = Machinery(state=tmp_path, workers=workers)
    with surrounded_by(machinery, lambda *_: None):
        done = draw()
    assert taken == [3, 3, 3]
    assert sorted(shard.start for shard in done) == [0, 1, 2]
    assert torch.get_num_threads() == 1
