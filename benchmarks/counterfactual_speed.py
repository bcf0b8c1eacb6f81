"""How much faster are all mistakes in one batch than one after the other, as released?

`python -m benchmarks.counterfactual_speed` compares both solvers, on random features and one thread, with the released
algorithm written out: autograd, one sample at a time. Its rerun of the backbone at every step is left out, so the
ratios are lower bounds. Writes benchmarks/results/counterfactual_speed.json in under one minute.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuroinspect.counterfactual import explain_mistakes
from neuroinspect.settings import CounterfactualSettings
from tests.reference import counterfactual_one_at_a_time, linear

RESULT = Path(__file__).parent / "results" / "counterfactual_speed.json"
SIZES = ((50, 512, 10), (200, 512, 100), (100, 2048, 100))
WARM_UP = (2, 512, 10)
MAX_STEPS = 2000
REPEATS = 3
log = logging.getLogger(__name__)


def make_mistakes(mistakes: int, neurons: int, classes: int) -> tuple[Tensor, Tensor, nn.Linear]:
    """Features like those after a ReLU and pooling; the true class is any class but the decision."""
    generator = torch.Generator().manual_seed(0)
    layer = linear(torch.randn(classes, neurons, generator=generator) / neurons**0.5, torch.zeros(classes))
    features = torch.randn(mistakes, neurons, generator=generator).relu()
    other = torch.randint(1, classes, (mistakes,), generator=generator)
    with torch.no_grad():
        return features, (layer(features).argmax(dim=1) + other) % classes, layer


def seconds(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Best wall time of a few calls, and what the last one gave."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
    return min(times), result


def top_overlap(first: Tensor, second: Tensor, sign: int, top_k: int = 5) -> float:
    """Mean part of the top k neurons of one sign that two solutions share."""
    tops = [(sign * shifts).topk(top_k, dim=1).indices.tolist() for shifts in (first, second)]
    return float(np.mean([len(set(a) & set(b)) / top_k for a, b in zip(*tops, strict=True)]))


def measure(mistakes: int, neurons: int, classes: int) -> dict[str, Any]:
    """One row of the result."""
    features, targets, layer = make_mistakes(mistakes, neurons, classes)
    row: dict[str, Any] = {"mistakes": mistakes, "neurons": neurons, "classes": classes}
    slow, (shifts, steps) = seconds(
        lambda: counterfactual_one_at_a_time(features, targets, layer, max_steps=MAX_STEPS), 1
    )
    row["one_at_a_time"] = {"seconds": slow, "mean_steps": float(steps.double().mean())}
    for solver in ("sgd", "proximal"):
        settings = CounterfactualSettings(solver=solver, max_steps=MAX_STEPS)
        fast, found = seconds(lambda s=settings: explain_mistakes(features, targets, layer, settings=s), REPEATS)
        row[solver] = {
            "seconds": fast,
            "times_faster": slow / fast,
            "mean_steps": float(found.steps.double().mean()),
            "converged": float(found.converged.double().mean()),
            "mean_size_against_released": float((found.shifts.norm(dim=1) / shifts.norm(dim=1)).mean()),
            "largest_difference": float((found.shifts - shifts).abs().max()),
            "top_5_overlap": {
                "insufficient": top_overlap(found.shifts, shifts, 1),
                "excessive": top_overlap(found.shifts, shifts, -1),
            },
        }
    return row


def main() -> None:
    """Measure every size and write the result."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    measure(*WARM_UP)  # the first calls load parts of torch
    rows = [measure(*size) for size in SIZES]
    for row, size in zip(rows, SIZES, strict=True):
        log.info(
            "%s: sgd %.0f, proximal %.0f times faster", size, *(row[s]["times_faster"] for s in ("sgd", "proximal"))
        )
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"torch": torch.__version__, "threads": 1, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
