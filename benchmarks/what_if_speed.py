"""How long does a reviewer wait for a what-if, beside the edit it stands for? And does it hold its bound?

    python -m benchmarks.what_if_speed --threads 2

A run folder of 50,000 samples with 2,048 neurons and 100 classes is drawn, in three ways of sharing the samples between training
and selecting. For each, in a process of its own: the preparation, then asks of several choices of neurons, for every method and
for other strengths, each at most 3 s; choices of more neurons than placebos are trained ahead for are timed without a bound.
Where 40,000 samples train, the full edit of one choice is made in the same process, and its figures on samples that selected
nothing stand beside the projected ones. Writes benchmarks/results/what_if_speed.json; exits 1 when an ask took more.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.editing_speed import fit
from benchmarks.resident_memory import resident_memory
from neuroinspect.artifacts import RunFolder, write_array, write_json, write_table
from neuroinspect.editing.edit import edit_all, plan_edit
from neuroinspect.editing.problem import make_problem
from neuroinspect.editing.selection import score_layer
from neuroinspect.editing.what_if import PREPARED_SIZES
from neuroinspect.metrics import class_auroc
from neuroinspect.settings import Params, parse_params
from neuroinspect.stages.edit import read_split
from neuroinspect.stages.models import classifier_of_run
from neuroinspect.stages.what_if import WhatIf, WhatIfDesk

RESULT = Path(__file__).parent / "results" / "what_if_speed.json"
NEURONS, CLASSES, JUDGED = 2048, 100, 10_000
SHARES = {"40000+10000": (40_000, 10_000), "45000+5000": (45_000, 5_000), "25000+25000": (25_000, 25_000)}
COMPARED = "40000+10000"
LIMIT_SECONDS = 3.0
CUE = (0, 1, 2, 3, 4, 5)
CANDIDATES = (*CUE, *range(100, 120))
CHOICES = ((0, 1, 2), (0,), (0, 1, 100), (100, 101, 102), CUE, (0, 1, 2, 3, 4, 100, 101, 102))
LARGE_CHOICE = tuple(range(PREPARED_SIZES + 1 - len(CUE)))
STRENGTHS = (0.5, 0.25)
FACTORS, TOUCHED = 30, 40
FACTORY = """
from torch import nn

def model():
    made = nn.Sequential(nn.Conv2d(3, {neurons}, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear({neurons}, {classes}))
    made.preprocessing = {{"image_size": 8}}
    return made
"""
log = logging.getLogger(__name__)


def draw(count: int, *, seed: int, cue_follows_class: bool) -> tuple[Tensor, Tensor]:
    """Features like those after a ReLU and pooling: many things in pictures move neurons, the cue of class 0 the first six."""
    shape = torch.Generator().manual_seed(0)
    prototypes = 0.12 * torch.randn(CLASSES, NEURONS, generator=shape)
    moved = torch.zeros(FACTORS, NEURONS)
    for factor in range(FACTORS):
        moved[factor, torch.randperm(NEURONS, generator=shape)[:TOUCHED]] = 1.0
    moved[:, : len(CUE)] = 0.0
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    features = torch.randn(count, NEURONS, generator=generator)
    for rows in torch.arange(count).split(4096):
        shown = (torch.rand(len(rows), FACTORS, generator=generator) < 0.3).float()
        features[rows] += prototypes[labels[rows]] + 1.5 * shown @ moved
    cue = (labels == 0) if cue_follows_class else torch.rand(count, generator=generator) < 0.3
    features[:, : len(CUE)] += 2.0 * cue[:, None]
    return features.relu_(), labels


def draw_run(folder: Path, training: int, select: int) -> None:
    """A run folder that is finished up to diagnose, beside its model."""
    extract, diagnose = folder / "run" / "extract", folder / "run" / "diagnose"
    sizes = {"train": training, "select": select, "judge": JUDGED}
    for number, (split, count) in enumerate(sizes.items(), 1):
        features, labels = draw(count, seed=number, cue_follows_class=split == "train")
        write_array(extract / f"features.{split}.npy", features.numpy())
        samples = pd.DataFrame({"target": labels.numpy(), "group": None})
        write_table(extract / f"samples.{split}.parquet", samples)
        if split == "train":
            layer = fit(features, labels, CLASSES)
            weights = {"3.weight": layer.weight, "3.bias": layer.bias}
            weights |= {"0.weight": torch.zeros(NEURONS, 3, 1, 1), "0.bias": torch.zeros(NEURONS)}
            save_file(weights, folder / "model.safetensors")
        del features
    (folder / "what_if_model.py").write_text(FACTORY.format(neurons=NEURONS, classes=CLASSES), encoding="utf-8")
    write_json(extract / "performance.json", {"classes": [f"class {k}" for k in range(CLASSES)]})
    write_json(extract / "stage.json", {"inputs_hash": "extract", "summary": {}})
    table = pd.DataFrame({"neuron": CANDIDATES, "direction": "insufficient", "vote_share": 0.5})
    write_table(diagnose / "neurons.parquet", table)
    summary = {"status": "explained", "class": "class 0", "class_index": 0}
    write_json(diagnose / "stage.json", {"inputs_hash": "diagnose", "summary": summary})


def params_of(folder: Path) -> Params:
    """Default settings for a drawn run."""
    model = {
        "spec": "what_if_model:model",
        "python_path": folder,
        "weights": folder / "model.safetensors",
        "num_classes": CLASSES,
    }
    return parse_params({"model": model, "data": {"table": "unused.csv"}, "device": "cpu"})


def seconds(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and processor time of one call, and what it gave."""
    began, cpu = time.perf_counter(), time.process_time()
    given = call()
    return time.perf_counter() - began, time.process_time() - cpu, given


def time_asks(desk: WhatIfDesk) -> tuple[list[dict[str, Any]], WhatIf]:
    """Every choice with every method, then other strengths, then a choice whose placebo is not trained ahead."""
    questions = [(method, neurons, 1.0) for method in desk.methods for neurons in CHOICES]
    questions += [(desk.methods[0], CHOICES[0], strength) for strength in STRENGTHS]
    large = (*CUE, *(100 + k for k in LARGE_CHOICE))
    questions += [(method, large, 1.0) for method in desk.methods]
    asks, first = [], None
    for method, neurons, strength in questions:
        wall, cpu, answer = seconds(lambda m=method, n=neurons, s=strength: desk.ask(n, method=m, strength=s))
        first = first or answer
        asks.append(
            {
                "method": method,
                "neurons": list(neurons),
                "strength": strength,
                "seconds": wall,
                "cpu_seconds": cpu,
                "prepared": len(neurons) <= PREPARED_SIZES,
                "placebo_draws": answer.placebo_draws,
                "refused": answer.refused,
            }
        )
    assert first is not None
    return asks, first


def full_edit(run: RunFolder, params: Params, method: str) -> dict[str, Any]:
    """The edit of the first choice with all its tries, at full length, and its figures on samples that selected nothing."""
    layer = classifier_of_run(run, params).decision_layer
    problem = make_problem(read_split(run, "train"), read_split(run, "select"), layer, neurons={0: CHOICES[0]})
    settings = params.edit
    wall, cpu, made = seconds(
        lambda: edit_all({"edit": plan_edit(problem, method, settings=settings)}, settings=settings)["edit"]
    )
    features, labels = read_split(run, "judge")
    figures = {}
    for name, one in (("original", layer), ("edit", made.decision_layer)):
        score = score_layer(one.weight, one.bias, features=features, labels=labels)
        auroc = class_auroc(one(features), labels, 0)
        figures[name] = {"average": score.average, "worst_class": score.worst_class, "class_auroc": auroc}
    return {"method": method, "seconds": wall, "cpu_seconds": cpu, "tries": len(made.tries), "judged": figures}


def carry_out(share: str, folder: Path) -> dict[str, Any]:
    """Prepare and ask in this process, on a drawn run."""
    run, params = RunFolder(folder / "run"), params_of(folder)
    desk = WhatIfDesk(run, params)
    classifier_of_run(run, params)  # the page has loaded it for the review
    before = resident_memory("VmRSS")
    opened, _, _ = seconds(lambda: desk._open())
    prepared, prepared_cpu, _ = seconds(desk.prepare)
    peak = resident_memory("VmHWM")
    asks, first = time_asks(desk)
    bound = [one["seconds"] for one in asks if one["prepared"]]
    record = {
        "open_seconds": opened,
        "prepare_seconds": opened + prepared,
        "prepare_cpu_seconds": prepared_cpu,
        "ask_seconds_median": median(bound),
        "ask_seconds_worst": max(bound),
        "ask_cpu_seconds_worst": max(one["cpu_seconds"] for one in asks if one["prepared"]),
        "unprepared_ask_seconds_worst": max(one["seconds"] for one in asks if not one["prepared"]),
        "memory_before_gb": before * 2**20 / 1e9,
        "peak_gb": max(peak, resident_memory("VmHWM")) * 2**20 / 1e9,
        "samples": first.samples,
        "trained_on": first.trained_on,
        "steps": first.steps,
        "limit_seconds": LIMIT_SECONDS,
        "holds": max(bound) <= LIMIT_SECONDS,
        "answer": [asdict(row) for row in first.rows],
        "asks": asks,
    }
    if share == COMPARED:
        full = full_edit(run, params, first.method)
        cold = next(one["seconds"] for one in asks)
        record["full_edit"] = {**full, "times_longer_than_the_ask": full["seconds"] / cold}
    return record


def main() -> int:
    """Measure, keep, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--share", choices=list(SHARES), help="renew this part of the result only")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        sys.stdout.write(json.dumps(carry_out(arguments.share, arguments.folder)) + "\n")
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    record = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {"shares": {}}
    record |= {
        "size": {"samples": 50_000, "neurons": NEURONS, "classes": CLASSES},
        "threads": arguments.threads,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    for share in [arguments.share] if arguments.share else SHARES:
        with tempfile.TemporaryDirectory() as name:
            draw_run(Path(name), *SHARES[share])
            call = [sys.executable, "-m", "benchmarks.what_if_speed", "--share", share, "--folder", name]
            environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
            load = os.getloadavg()[0]
            made = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        measured = {**json.loads(made.stdout), "load_before": load, "load_after": os.getloadavg()[0]}
        record["shares"][share] = measured
        log.info("%s", json.dumps({key: value for key, value in measured.items() if key not in ("asks", "answer")}))
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if all(one["holds"] for one in record["shares"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
