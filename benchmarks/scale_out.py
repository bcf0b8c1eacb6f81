"""Does the runner change a byte, how does the time fall with workers, and what does a task run cost Prefect's server?

`python -m benchmarks.scale_out` writes benchmarks/results/scale_out.json, in about ten minutes on two cores that are free;
`--only times|tasks` makes a part of it, `--pairs`, `--steps`, `--pictures` and `--tasks` make it smaller.

1. times: the demo's model on a part of its pictures, and 64 (neuron, class) pairs of it at 30 steps (a real run takes 450). The
   shards of extraction and of pictures are worked on by this process one by one, by 2 threads, and by 1 and 2 Dask workers, each
   with one thread of torch; the folders are compared byte by byte with those of the plain stages. The seconds are of one run, one
   row after the other; what starts the workers stands apart.
2. tasks: task runs that do nothing, on a temporary Prefect server with SQLite: wall-clock seconds and processor seconds of the
   server for each, until the server has written all of them, and the bytes of its database.

Both parts note the load of the machine before and after: figures made beside other work are too high.
"""

import argparse
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image

from neuroinspect.artifacts import RunFolder, read_table
from neuroinspect.chain import run_stage_alone
from neuroinspect.demo.scenario import DEFAULT_PLANT, make_scenario
from neuroinspect.machinery import Machinery
from neuroinspect.ports import silent
from neuroinspect.settings import Params, parse_params
from neuroinspect.stages.visualize import choose_neurons

RESULT = Path(__file__).parent / "results" / "scale_out.json"
ROWS = (("threads", 1), ("threads", 2), ("dask", 1), ("dask", 2))
_WAIT = 300.0
log = logging.getLogger("scale_out")


def demo(folder: Path, *, pairs: int, steps: int, pictures: int) -> Params:
    """Params of the default scenario, cut to some pictures of each split, that diagnose and draw so many pairs."""
    plant = DEFAULT_PLANT
    made = make_scenario(folder, object_name=plant.object_name, background=plant.background, seed=plant.seed)
    return cut(made, folder, pairs=pairs, steps=steps, pictures=pictures)


def cut(made: Params, folder: Path, *, pairs: int, steps: int, pictures: int) -> Params:
    """The same with `pictures` pictures of each split, `pairs` neurons and `steps` steps."""
    import pandas as pd

    assert made.data.table is not None
    table = pd.read_csv(made.data.table)
    table.groupby("split", sort=False).head(pictures).to_csv(made.data.table.with_name("some.csv"), index=False)
    values = made.model_dump(mode="json", by_alias=True)
    values["data"]["table"] = made.data.table.with_name("some.csv")
    values["device"], values["runs"] = "cpu", folder / "runs"
    # Every neuron a mistake votes for, not the few that many vote for: there have to be enough of them.
    values["diagnose"] |= {"top_k": 64, "min_share": 0.0, "max_neurons": pairs // 2}
    values["visualize"] |= {"neurons": pairs // 2, "real_images": 2, "feature_visualization": False}
    values["visualize"]["illusion"] |= {"steps": steps, "restarts": 0}
    return parse_params(values)


def contents(run: RunFolder) -> dict[str, bytes]:
    """Bytes of every file of the stages that are made of shards."""
    files = (path for stage in ("extract", "visualize") for path in run.stage(stage).rglob("*") if path.is_file())
    return {str(path.relative_to(run.root)): path.read_bytes() for path in files}


def plain(params: Params, folder: Path) -> tuple[RunFolder, int]:
    """The run of the plain stages in this process with one thread, and how many pairs it drew."""
    run = RunFolder(folder / "plain" / "run")
    own = params.model_copy(update={"runs": folder / "plain"})
    for stage in ("validate", "extract", "diagnose", "visualize"):
        run_stage_alone(stage, run, own)
    ranked = read_table(run.stage("diagnose") / "neurons.parquet")
    return run, len(choose_neurons(ranked, count=params.visualize.neurons))


def sharded(params: Params, like: RunFolder, machinery: Machinery) -> tuple[RunFolder, dict[str, float]]:
    """The same run with its shards on a runner, and the seconds of each part.

    Args:
        params: as the plain run had them.
        like: the plain run; validate and diagnose are taken from it.
        machinery: says which runner.
    """
    from prefect import flow

    from flows.debug import draw, extract
    from flows.runner import shard_runner
    from flows.surroundings import surrounded_by
    from flows.threads import torch_threads
    from neuroinspect.stages.extract import plan_shards

    root = machinery.state / f"{machinery.runner}-{machinery.workers}"
    shutil.rmtree(root, ignore_errors=True)
    run, own = RunFolder(root / "runs" / "run"), params.model_copy(update={"runs": root / "runs"})
    for stage in ("validate", "diagnose"):
        shutil.copytree(like.stage(stage), run.stage(stage))
    seconds: dict[str, float] = {}

    @flow(name="scale-out", persist_result=False)
    def scale_out() -> None:
        with torch_threads(1), shard_runner(machinery) as runner:
            with timed(seconds, "start"):
                if runner.start is not None and plan_shards(run, own):
                    runner.start(own, str(run.root))
            with timed(seconds, "extraction"):
                extract(runner, own, str(run.root))
                run_stage_alone("extract", run, own)
            with timed(seconds, "pictures"):
                draw(runner, own, str(run.root))
                run_stage_alone("visualize", run, own)

    with surrounded_by(machinery, silent):
        scale_out()
    return run, seconds


@contextmanager
def timed(into: dict[str, float], name: str) -> Iterator[None]:
    """Note the wall-clock seconds of what stands within."""
    began = time.perf_counter()
    yield
    into[name] = time.perf_counter() - began


def times(folder: Path, *, pairs: int, steps: int, pictures: int) -> dict[str, Any]:
    """Part 1."""
    params = demo(folder / "demo", pairs=pairs, steps=steps, pictures=pictures)
    torch.set_num_threads(1)
    like, drawn = plain(params, folder)
    expected, rows = contents(like), []
    for runner, workers in ROWS:
        machinery = Machinery(state=folder, runner=runner, workers=workers)  # type: ignore[arg-type]
        run, seconds = sharded(params, like, machinery)
        found = contents(run)
        other = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        rows.append({"runner": runner, "workers": workers, "seconds": seconds, "files_that_differ": other})
        log.info("%s, %d: %s, %d files differ", runner, workers, seconds, len(other))
    first = rows[0]["seconds"]
    for row in rows:
        row["times_faster"] = {part: first[part] / row["seconds"][part] for part in ("extraction", "pictures")}
    cached = [path.stat().st_size for path in (folder / "cache").rglob("*.safetensors")]
    return {
        "pairs": drawn,
        "steps": steps,
        "pictures": len(read_table(like.stage("validate") / "manifest.parquet")),
        "shard_size": {"pairs": params.visualize.shard_size, "pictures": params.extract.shard_size},
        "torch_threads": 1,
        "files": len(expected),
        "same_bytes": all(not row["files_that_differ"] for row in rows),
        "bytes_of_a_pair": {"png_a_pixel": _png_bytes(like) / drawn, "cache": sum(cached) / len(cached)},
        "rows": rows,
    }


def _png_bytes(run: RunFolder) -> float:
    """Bytes of the pictures and masks of all pairs, for a pixel of the picture."""
    pictures = [path for path in run.stage("visualize").glob("*/*.png") if not path.name.endswith(".mask.png")]
    masks = [path.with_suffix(".mask.png") for path in pictures]
    with Image.open(pictures[0]) as picture:
        pixels = picture.width * picture.height
    return sum(path.stat().st_size for path in pictures + masks) / pixels


def tasks(folder: Path, *, count: int) -> dict[str, Any]:
    """Part 2."""
    from prefect import flow
    from prefect.client.orchestration import get_client

    from flows.runner import shard_runner
    from flows.surroundings import surrounded_by
    from flows.tasks import step
    from neuroinspect.stages.visualize import Shard

    @step("nothing")
    def nothing(params: Params, run: str, shard: Shard, threads: int) -> None:
        """Cost what a task run costs."""

    params = parse_params({"model": {"spec": "none:none"}, "data": {"table": folder / "none.csv"}, "device": "cpu"})
    shards = [Shard(number, number + 1) for number in range(count)]
    with get_client(sync_client=True) as client:
        client.api_healthcheck()
    server, database = _server(), folder / "prefect" / "prefect.db"
    rows = []
    for runner, workers in (("threads", 2),):
        machinery = Machinery(state=folder, runner=runner, workers=workers)  # type: ignore[arg-type]

        @flow(name="tasks", persist_result=False)
        def many() -> str:
            from prefect.runtime import flow_run

            with shard_runner(machinery) as handed:  # noqa: B023
                for _ in handed.map(nothing, shards, params, str(folder)):
                    pass
            return str(flow_run.id)

        before, processor, began = _size(database), _processor(server), time.perf_counter()
        with surrounded_by(machinery, silent):
            made = many()
        handed = time.perf_counter() - began
        _wait_until_written(made, count)
        written = time.perf_counter() - began
        rows.append(
            {
                "runner": runner,
                "task_runs": count,
                "seconds_each": handed / count,
                "seconds_each_until_written": written / count,
                "server_processor_seconds_each": (_processor(server) - processor) / count,
                "database_bytes_each": (_size(database) - before) / count,
            }
        )
        log.info("%s", rows[-1])
    return {"database": "sqlite", "rows": rows}


def _server() -> psutil.Process:
    return next(one for one in psutil.Process().children(recursive=True) if "uvicorn" in " ".join(one.cmdline()))


def _processor(server: psutil.Process) -> float:
    spent = server.cpu_times()
    return float(spent.user + spent.system)


def _size(database: Path) -> int:
    return sum(path.stat().st_size for path in database.parent.glob("prefect.db*"))


def _wait_until_written(flow_run: str, count: int) -> None:
    from uuid import UUID

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all(timeout=_WAIT, at_exit=False)
    chosen, deadline = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)])), time.monotonic() + _WAIT
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            last = client.read_task_runs(flow_run_filter=chosen, limit=200, offset=max(0, count - 200))
            if last and all(one.state is not None and one.state.is_completed() for one in last):
                return
            time.sleep(0.2)
    raise TimeoutError(f"the server has not written {count} task runs after {_WAIT:.0f} s")


def main() -> None:
    """Measure, and write what was measured into the result; other parts of it stay."""
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("times", "tasks"))
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--pictures", type=int, default=800, help="of each split")
    parser.add_argument("--tasks", type=int, default=400)
    parser.add_argument("--result", type=Path, default=RESULT)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Machinery(state=folder).enter()  # Prefect reads the environment when it is imported
        (folder / "prefect").mkdir()
        result = json.loads(asked.result.read_text()) if asked.result.exists() else {}
        for part in ("times", "tasks"):
            if asked.only not in {None, part}:
                continue
            load = os.getloadavg()[0]
            if part == "times":
                found = times(folder, pairs=asked.pairs, steps=asked.steps, pictures=asked.pictures)
            else:
                found = tasks(folder, count=asked.tasks)
            machine = {"cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()[0]}
            result[part] = {"machine": machine, **found}
            result["torch"], result["processor"] = torch.__version__, torch.backends.cpu.get_cpu_capability()
            asked.result.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
