"""The plan on paper for 1,000 classes x 2,048 neurons on 64 GPUs: every figure of docs/scale.md from stated inputs.

`python -m benchmarks.scale_plan` prints the table; `--write` puts it into docs/scale.md between its marks. What was measured is
read from benchmarks/results; what was not stands in `Inputs`, each with where it comes from. Nothing here was run on a GPU.
"""

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
PLAN, TIMES = "plan", "times"  # what stands between `<!-- plan -->` and `<!-- end of plan -->`
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the plan is computed from.

    Attributes:
        classes: of the model; a run of the tool explains one of them.
        neurons: of its penultimate layer.
        gpus: that draw at the same time.
        steps: for each picture; the default setting.
        gpu_step_low: seconds a picture and step on a GPU. The authors' notebook logs 71 s for 30 ResNet-50 neurons at 500 steps.
        gpu_step_high: the same; Tab. V of the paper says 26.5 s for 650 steps on an A6000, taken as a batch of 4.
        cpu_step: seconds a picture and step on two cores, ResNet-50 and ViT-B/32 at 224 pixels (illusion_speed.json, "steps").
        tries: pictures made for each kept one; a neuron that stays silent is tried again (1 + an assumed half of them once).
        shard: pairs in a shard, `visualize.shard_size`.
        side: pixels of a picture's side.
        png_bytes_a_pixel: of the picture and of its mask, by the demo's pictures (scale_out.json).
        real_bytes: of the real pictures of a pair: 6 of 160 pixels, at about 35 kB each (assumed).
        server_seconds: of Prefect's server's processor for a task run (scale_out.json, "tasks").
        server_bytes: of its database for a task run (scale_out.json, "tasks").
        tasks_a_run: task runs of a debug run beside its shards.
        weights: bytes of ResNet-50 and ViT-B/32.
        pictures: of the set the neurons are looked at on: ImageNet's validation split, half of it selects.
        picture_bytes: of one of them.
        failures: of a GPU in an hour; 419 unexpected interruptions in 54 days on 16,384 GPUs (Llama 3, arXiv 2407.21783, Tab. 5).
        preemptions: of a GPU in an hour where the machines are the cheap kind that may be taken away (assumed).
        price: of a GPU hour in US dollars (assumed).
        failing: classes somebody would look at.
        ranked: neurons of each, both directions.
    """

    classes: int = 1000
    neurons: int = 2048
    gpus: int = 64
    steps: int = 450
    gpu_step_low: float = 71 / (30 * 500)
    gpu_step_high: float = 26.5 / (4 * 650)
    cpu_step: float = 0.163
    tries: float = 1.5
    shard: int = 32
    side: int = 224
    png_bytes_a_pixel: float = 4.0
    real_bytes: int = 6 * 35_000
    server_seconds: float = 0.023
    server_bytes: float = 35_000
    tasks_a_run: int = 12
    weights: int = 102_000_000 + 605_000_000
    pictures: int = 50_000
    picture_bytes: int = 110_000
    failures: float = 419 / (54 * 24 * 16_384)
    preemptions: float = 0.05
    price: float = 2.0
    failing: int = 50
    ranked: int = 16


def measured(results: Path = RESULTS) -> Inputs:
    """The inputs with what benchmarks/results measured in place of the figures above."""
    step = next(row for row in _read(results / "illusion_speed.json")["steps"] if row["threads"] == 2)
    out = _read(results / "scale_out.json")
    task = out["tasks"]["rows"][0]
    return Inputs(
        cpu_step=step["ours_seconds"] / step["batch"],
        png_bytes_a_pixel=out["times"]["bytes_of_a_pair"]["png_a_pixel"],
        server_seconds=task["server_processor_seconds_each"],
        server_bytes=task["database_bytes_each"],
    )


def _read(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def plan(given: Inputs) -> dict[str, float]:
    """Every figure of the plan, by name; seconds, hours, bytes and dollars as the name says."""
    pairs = given.classes * given.neurons
    shards = given.classes * math.ceil(given.neurons / given.shard)
    hours = {
        name: pairs * given.tries * given.steps * step / _HOUR
        for name, step in (("low", given.gpu_step_low), ("high", given.gpu_step_high), ("cpu", given.cpu_step))
    }
    shard_seconds = {
        name: given.shard * given.tries * given.steps * step
        for name, step in (("low", given.gpu_step_low), ("high", given.gpu_step_high))
    }
    task_runs = shards + given.classes * given.tasks_a_run
    # float32 picture, mask, and the activation of each step, as the cache keeps them.
    cached = 4 * given.side**2 * (3 + 1) + 4 * given.steps
    shown = given.png_bytes_a_pixel * given.side**2 + given.real_bytes
    features = given.pictures // 2 * given.neurons * 4
    wall = hours["low"] / given.gpus * _HOUR
    few = given.failing * given.ranked
    return {
        "pairs": pairs,
        "shards": shards,
        "gpu_hours_low": hours["low"],
        "gpu_hours_high": hours["high"],
        "wall_hours_low": hours["low"] / given.gpus,
        "wall_hours_high": hours["high"] / given.gpus,
        "two_core_years": hours["cpu"] / (24 * 365),
        "shard_seconds_low": shard_seconds["low"],
        "shard_seconds_high": shard_seconds["high"],
        "dollars_low": hours["low"] * given.price,
        "dollars_high": hours["high"] * given.price,
        "task_runs": task_runs,
        "task_runs_a_second": task_runs / wall,
        "most_task_runs_a_second": 1 / given.server_seconds,
        "server_load": task_runs * given.server_seconds / wall,
        "server_load_of_one_pair_a_shard": pairs * given.server_seconds / wall,
        "server_bytes": task_runs * given.server_bytes,
        "cache_bytes_a_pair": cached,
        "shown_bytes_a_pair": shown,
        "cache_bytes": pairs * cached,
        "shown_bytes": pairs * shown,
        "written_bytes_a_second": pairs * (cached + shown) / wall,
        "weights_read_bytes": given.gpus * given.weights,
        "features_bytes": features,
        # Each worker reads them once for every run it has a shard of, whatever its page cache has forgotten since.
        "features_read_bytes": given.classes * given.gpus * features,
        "features_read_bytes_a_second": given.classes * given.gpus * features / wall,
        "real_read_bytes": pairs * 6 * given.picture_bytes,
        "failures": hours["high"] * given.failures,
        "preemptions": hours["high"] * given.preemptions,
        "lost_gpu_hours": hours["high"] * given.preemptions * shard_seconds["high"] / 2 / _HOUR,
        "few_pairs": few,
        "few_gpu_hours_low": few * given.tries * given.steps * given.gpu_step_low / _HOUR,
        "few_gpu_hours_high": few * given.tries * given.steps * given.gpu_step_high / _HOUR,
        "few_bytes": few * (cached + shown),
        "few_two_core_hours": few * given.tries * given.steps * given.cpu_step / _HOUR,
    }


def table(given: Inputs) -> str:
    """The plan as the markdown table of docs/scale.md."""
    found = plan(given)

    def between(name: str, form: str = ",.0f") -> str:
        return f"{found[f'{name}_low']:{form}} to {found[f'{name}_high']:{form}}"

    rows = [
        ("pairs", f"{found['pairs']:,.0f}", f"{given.classes:,} x {given.neurons:,}"),
        ("GPU hours", between("gpu_hours"), f"pairs x {given.tries} tries x {given.steps} steps x "
         f"{1e3 * given.gpu_step_low:.1f} to {1e3 * given.gpu_step_high:.1f} ms"),
        (f"hours on {given.gpus} GPUs", between("wall_hours"), "without start, failures and stragglers"),
        ("dollars", between("dollars"), f"{given.price:.2f} a GPU hour, assumed"),
        ("years on two cores", f"{found['two_core_years']:,.0f}", f"{1e3 * given.cpu_step:.0f} ms a picture and step, measured"),
        ("shards", f"{found['shards']:,.0f}", f"{given.shard} pairs each: {between('shard_seconds')} s of one GPU"),
        ("task runs", f"{found['task_runs']:,.0f}", f"{found['task_runs_a_second']:.2f} a second at the faster rate"),
        ("most the server bears", f"{found['most_task_runs_a_second']:.0f} a second", "one core of it"),
        ("Prefect's server", f"{100 * found['server_load']:.0f} % of a core",
         f"{1e3 * given.server_seconds:.0f} ms a task run, measured; with one pair in a shard "
         f"{100 * found['server_load_of_one_pair_a_shard']:.0f} %"),
        ("its database", _size(found["server_bytes"]), f"{given.server_bytes / 1e3:.0f} kB a task run, measured"),
        ("cache of pictures", _size(found["cache_bytes"]), f"{found['cache_bytes_a_pair'] / 1e3:.0f} kB a pair (float32)"),
        ("pictures in the run folders", _size(found["shown_bytes"]), f"{found['shown_bytes_a_pair'] / 1e3:.0f} kB a pair (PNG)"),
        ("written to the mount", f"{_size(found['written_bytes_a_second'])}/s", "cache and pictures, at the faster rate"),
        ("weights read", _size(found["weights_read_bytes"]), "once for each worker process"),
        ("features read", _size(found["features_read_bytes"]),
         f"{_size(found['features_bytes'])} for each worker and run, {_size(found['features_read_bytes_a_second'])}/s if no "
         "worker keeps them in its page cache"),
        ("real pictures read", _size(found["real_read_bytes"]), "6 of each pair"),
        ("GPUs that fail", f"{found['failures']:.2f}", f"{given.failures:.1e} an hour"),
        ("GPUs taken away", f"{found['preemptions']:,.0f}", f"at {given.preemptions:.0%} an hour (assumed); they cost "
         f"{found['lost_gpu_hours']:.1f} GPU hours, half a shard each"),
        ("**instead:** pairs", f"{found['few_pairs']:,.0f}", f"{given.failing} failing classes x {given.ranked} ranked neurons"),
        ("GPU hours", between("few_gpu_hours", ".2f"), f"{found['few_two_core_hours']:.0f} hours on two cores; "
         f"{_size(found['few_bytes'])} written"),
    ]  # fmt: skip
    return "\n".join(["| what | how much | from |", "|---|---:|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def _size(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def times_table(results: Path = RESULTS) -> str:
    """The time by workers as the markdown table of docs/scale.md."""
    found = _read(results / "scale_out.json")["times"]
    lines = [
        "| runner | workers | start, s | extraction, s | times faster | pictures, s | times faster | files that differ |"
    ]
    lines += ["|---|---:|---:|---:|---:|---:|---:|---:|"]
    for row in found["rows"]:
        spent, faster = row["seconds"], row["times_faster"]
        name = "one by one" if (row["runner"], row["workers"]) == ("threads", 1) else row["runner"]
        figures = (
            f"{spent['start']:.1f}",
            f"{spent['extraction']:.1f}",
            f"{faster['extraction']:.2f}",
            f"{spent['pictures']:.1f}",
            f"{faster['pictures']:.2f}",
            f"{len(row['files_that_differ'])} of {found['files']}",
        )
        lines.append(f"| {name} | {row['workers']} | {' | '.join(figures)} |")
    machine, shards = found["machine"], found["shard_size"]
    lines += [
        "",
        f"{found['pairs']} pairs of the demo at {found['steps']} steps in shards of {shards['pairs']}, {found['pictures']:,} "
        f"pictures in shards of {shards['pictures']}, one thread of torch, on {machine['cores']} cores. Load of the machine "
        f"{machine['load_before']:.1f} before and {machine['load_after']:.1f} after: above {machine['cores']} other work took "
        "part of the time.",
    ]
    return "\n".join(lines)


def page_with(page: str, name: str, lines: str) -> str:
    """The page with other lines between two marks."""
    begin, end = marks(name)
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{lines}\n{end}{after}"


def marks(name: str) -> tuple[str, str]:
    """What stands before and behind computed lines of the page."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def written(page: str) -> str:
    """The page with everything in it that is computed."""
    return page_with(page_with(page, PLAN, table(measured())), TIMES, times_table())


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/scale.md")
    if parser.parse_args().write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(times_table(), table(measured()), sep="\n\n")


if __name__ == "__main__":
    main()
