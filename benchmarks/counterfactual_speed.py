"""How fast are mistakes explained, against the released loop, at scale, and as their number grows?

`python -m benchmarks.counterfactual_speed` measures four things and writes benchmarks/results/counterfactual_speed.json in
about ten minutes; `--part NAME` renews one of them:

- `released`: 50 mistakes of a ResNet-50 (random weights, 224 px, decision layer of 100 classes fitted to pictures of noise)
  with the released algorithm written out: autograd, one sample after the other, the backbone run again at every step. Some of
  the mistakes run to their end (`--timed`, 20 unless told), and their time stands for that of all 50; the shifts of all 50
  come from the same loop on cached features. The backbone runs without a graph, which is faster than with its weights
  unfrozen, so the ratios are lower bounds. Ours, on all 50, between the rounds: from cached features, and with the
  extraction counted.
- `features`: the same without the backbone, on random features: what batching alone and the other solver give.
- `large`: 10,000 mistakes of 1,000 classes and 2,048 neurons on two threads, and the memory beyond the inputs, by the kernel's
  count in a process of its own; then the ranking of those shifts.
- `growth`: how the time grows with mistakes, neurons and classes.

All but `large` run on one thread, in processor seconds, which other work on the machine hardly changes.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.resident_memory import resident_memory
from neuroinspect.classifier import Classifier
from neuroinspect.counterfactual import explain_mistakes
from neuroinspect.demo.scenario import train_decision_layer
from neuroinspect.ranking import rank_neurons
from neuroinspect.settings import CounterfactualSettings, PreprocessingSettings
from tests.reference import counterfactual_one_at_a_time, linear

RESULT = Path(__file__).parent / "results" / "counterfactual_speed.json"
SOLVERS = ("sgd", "proximal")
MAX_STEPS = 2000
MISTAKES, ROUNDS, REPEATS = 50, 5, 3
SIZE, CLASSES, FITTED = 224, 100, 100
SIZES = ((50, 512, 10), (200, 512, 100), (100, 2048, 100))
WARM_UP = (2, 512, 10)
LARGE = (10_000, 2048, 1000)
BASE = (1000, 512, 100)
GROWTH = {"mistakes": (100, 1000, 10_000), "neurons": (128, 512, 2048), "classes": (10, 100, 1000)}
log = logging.getLogger(__name__)


def make_mistakes(mistakes: int, neurons: int, classes: int) -> tuple[Tensor, Tensor, nn.Linear]:
    """Features like those after a ReLU and pooling; the true class is any class but the decision."""
    generator = torch.Generator().manual_seed(0)
    layer = linear(torch.randn(classes, neurons, generator=generator) / neurons**0.5, torch.zeros(classes))
    features = torch.randn(mistakes, neurons, generator=generator).relu()
    other = torch.randint(1, classes, (mistakes,), generator=generator)
    with torch.no_grad():
        return features, (layer(features).argmax(dim=1) + other) % classes, layer


def noise_pictures(count: int, *, generator: torch.Generator) -> Tensor:
    """Pictures (N, 3, 224, 224) in [0, 1]: smooth coloured noise, each of its own grain and contrast."""
    pictures = []
    for _ in range(count):
        grain = int(torch.randint(2, 32, (), generator=generator))
        noise = torch.randn((1, 3, grain, grain), generator=generator) * torch.rand((), generator=generator) * 3
        pictures.append(functional.interpolate(noise, size=(SIZE, SIZE), mode="bicubic").sigmoid())
    return torch.cat(pictures)


def extracted(classifier: Classifier, images: Tensor) -> Tensor:
    """Features (N, F), in batches of ten."""
    with torch.no_grad():
        return torch.cat([classifier.features(classifier.normalize(batch)) for batch in images.split(10)])


def make_resnet() -> tuple[Classifier, Tensor, Tensor]:
    """A ResNet-50, 50 pictures it gets wrong, and their true classes."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    module = timm.create_model("resnet50", num_classes=CLASSES).eval()
    for layer in module.modules():  # under the statistics of the start random layers would tell no pictures apart
        if isinstance(layer, nn.BatchNorm2d):
            layer.train().momentum = None
    with torch.no_grad():
        module(noise_pictures(20, generator=generator))
    classifier = Classifier(module, preprocessing=PreprocessingSettings(image_size=SIZE), device="cpu")
    features = extracted(classifier, noise_pictures(FITTED, generator=generator))
    fitted = train_decision_layer(features, torch.arange(FITTED) % CLASSES, num_classes=CLASSES)
    module.fc.load_state_dict(fitted.state_dict())
    images = noise_pictures(MISTAKES, generator=generator)
    with torch.no_grad():
        decisions = classifier.decision_layer(extracted(classifier, images)).argmax(dim=1)
    return classifier, images, (decisions + torch.randint(1, CLASSES, (MISTAKES,), generator=generator)) % CLASSES


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call on one thread, and what it gave: wall time, where nothing else runs on the machine."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def explained(features: Tensor, targets: Tensor, layer: nn.Linear, solver: str) -> Any:
    """Ours, with as many steps as the literal loop may take."""
    settings = CounterfactualSettings(solver=solver, max_steps=MAX_STEPS)
    return explain_mistakes(features, targets, layer, settings=settings)


def top_overlap(first: Tensor, second: Tensor, sign: int, top_k: int = 5) -> float:
    """Mean part of the top k neurons of one sign that two solutions share."""
    tops = [(sign * shifts).topk(top_k, dim=1).indices.tolist() for shifts in (first, second)]
    return float(np.mean([len(set(a) & set(b)) / top_k for a, b in zip(*tops, strict=True)]))


def agreement(found: Tensor, released: Tensor) -> dict[str, Any]:
    """How shifts (M, F), and the ranking of their neurons, agree with those of the literal loop."""
    rankings = [rank_neurons(shifts, min_share=0.0) for shifts in (found, released)]
    tops = {
        direction: [getattr(ranking, direction)["neuron"].head(10).tolist() for ranking in rankings]
        for direction in ("insufficient", "excessive")
    }
    return {
        "largest_difference": float((found - released).abs().max()),
        "mean_size_against_released": float((found.norm(dim=1) / released.norm(dim=1)).mean()),
        "top_5_overlap": {
            name: top_overlap(found, released, sign) for name, sign in (("insufficient", 1), ("excessive", -1))
        },
        "top_10_of_the_ranking_shared": {name: len(set(ours) & set(theirs)) for name, (ours, theirs) in tops.items()},
        "top_10_of_the_ranking_the_same": {name: ours == theirs for name, (ours, theirs) in tops.items()},
    }


def against_released(timed_mistakes: int) -> dict[str, Any]:
    """The literal loop with the backbone in it, a few mistakes in each round; ours on all of them between the rounds."""
    classifier, images, targets = make_resnet()
    layer = classifier.decision_layer

    @torch.no_grad()
    def backbone(image: Tensor) -> Tensor:
        return classifier.features(classifier.normalize(image[None]))[0]

    features = extracted(classifier, images)
    released, count = counterfactual_one_at_a_time(features, targets, layer, max_steps=MAX_STEPS)
    literal: list[float] = []
    ours: dict[str, list[float]] = {"extraction": [], **{solver: [] for solver in SOLVERS}}
    found, furthest = {}, 0.0
    for rows in torch.arange(timed_mistakes).chunk(ROUNDS):
        ours["extraction"].append(timed(lambda: extracted(classifier, images))[0])
        for solver in SOLVERS:
            runs = [timed(lambda s=solver: explained(features, targets, layer, s)) for _ in range(REPEATS)]
            ours[solver].append(median(seconds for seconds, _ in runs))
            found[solver] = runs[0][1]
        seconds, (shifts, _) = timed(
            lambda r=rows: counterfactual_one_at_a_time(
                images[r], targets[r], layer, backbone=backbone, max_steps=MAX_STEPS
            )
        )
        literal.append(seconds)
        furthest = max(furthest, float((shifts - released[rows]).abs().max()))
        log.info("released loop: %d mistakes in %.0f s", len(rows), seconds)
    row: dict[str, Any] = {
        "mistakes": MISTAKES,
        "neurons": layer.in_features,
        "classes": CLASSES,
        "mean_steps": float(count.double().mean()),
        "released": {
            "timed_mistakes": timed_mistakes,
            "mean_steps": float(count[:timed_mistakes].double().mean()),
            "seconds": sum(literal),
            "seconds_of_each_round": literal,
            "largest_difference_to_cached_features": furthest,
        },
        "extraction_seconds": median(ours["extraction"]),
    }
    for solver in SOLVERS:
        # a round's mistakes stand for all of them
        times = [MISTAKES / timed_mistakes * len(literal) * slow for slow in literal]
        cached = [slow / fast for slow, fast in zip(times, ours[solver], strict=True)]
        whole = [fast + passed for fast, passed in zip(ours[solver], ours["extraction"], strict=True)]
        counted = [slow / fast for slow, fast in zip(times, whole, strict=True)]
        row[solver] = {
            "seconds": median(ours[solver]),
            "mean_steps": float(found[solver].steps.double().mean()),
            "times_faster_from_cached_features": median(cached),
            "times_faster_from_cached_features_of_each_round": cached,
            "times_faster_with_the_extraction": median(counted),
            "times_faster_with_the_extraction_of_each_round": counted,
            "same_steps": bool(torch.equal(found[solver].steps, count)),
            **agreement(found[solver].shifts, released),
        }
    return row


def on_features(mistakes: int, neurons: int, classes: int) -> dict[str, Any]:
    """Batched solvers against one sample after the other, on random features."""
    features, targets, layer = make_mistakes(mistakes, neurons, classes)
    row: dict[str, Any] = {"mistakes": mistakes, "neurons": neurons, "classes": classes}
    slow, (shifts, steps) = timed(lambda: counterfactual_one_at_a_time(features, targets, layer, max_steps=MAX_STEPS))
    row["one_at_a_time"] = {"seconds": slow, "mean_steps": float(steps.double().mean())}
    for solver in SOLVERS:
        runs = [timed(lambda s=solver: explained(features, targets, layer, s)) for _ in range(REPEATS)]
        found = runs[0][1]
        row[solver] = {
            "seconds": median(seconds for seconds, _ in runs),
            "times_faster": slow / median(seconds for seconds, _ in runs),
            "mean_steps": float(found.steps.double().mean()),
            "converged": float(found.converged.double().mean()),
            **agreement(found.shifts, shifts),
        }
    return row


def measured(call: Callable[[], Any]) -> tuple[float, float, float, Any]:
    """Wall and processor seconds, memory beyond what was there before (MiB), and the result.

    What an earlier call has freed may still lie in the process, and would hide what a later one takes: the first counts.
    """
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory counts from here
    before, began = resident_memory("VmRSS"), time.perf_counter()
    processor, result = timed(call)
    return time.perf_counter() - began, processor, resident_memory("VmHWM") - before, result


def large() -> dict[str, Any]:
    """Many mistakes of many classes, in this process."""
    torch.set_num_threads(2)
    features, targets, layer = make_mistakes(*LARGE)
    row: dict[str, Any] = dict(zip(("mistakes", "neurons", "classes"), LARGE, strict=True))
    row["threads"], row["inputs_mb"] = 2, (features.nbytes + layer.weight.nbytes) / 2**20
    runs = [measured(lambda: explain_mistakes(features, targets, layer)) for _ in range(REPEATS)]
    found = runs[-1][-1]
    row |= {
        "seconds": median(seconds for seconds, *_ in runs),
        "seconds_of_each_run": [seconds for seconds, *_ in runs],
        "processor_seconds": median(seconds for _, seconds, *_ in runs),
        "beyond_the_inputs_mb": runs[0][2],
        "of_which_results_mb": found.shifts.nbytes / 2**20,
        "mean_steps": float(found.steps.double().mean()),
        "converged": float(found.converged.double().mean()),
        "mean_neurons_moved": float(found.neurons_moved.double().mean()),
        "mean_size": float(found.sizes.double().mean()),
    }
    ranked = [measured(lambda: rank_neurons(found.shifts)) for _ in range(REPEATS)]
    row["ranking_of_the_shifts"] = {
        "seconds": median(seconds for seconds, *_ in ranked),
        "processor_seconds": median(seconds for _, seconds, *_ in ranked),
    }
    return row


def growth() -> dict[str, list[dict[str, Any]]]:
    """Seconds as one of mistakes, neurons and classes grows and the others stay."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for place, (name, values) in enumerate(GROWTH.items()):
        curves[name] = []
        for value in values:
            size = (*BASE[:place], value, *BASE[place + 1 :])
            problem = make_mistakes(*size)
            point: dict[str, Any] = dict(zip(GROWTH, size, strict=True))
            for solver in SOLVERS:
                point[solver] = median(timed(lambda s=solver, p=problem: explained(*p, s))[0] for _ in range(3))
            curves[name].append(point)
    return curves


def large_in_its_own_process() -> dict[str, Any]:
    """`large`, where nothing else has touched the memory."""
    command = [sys.executable, "-m", "benchmarks.counterfactual_speed", "--part", "large", "--here"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


PARTS: dict[str, Callable[[int], Any]] = {
    "released": against_released,
    "features": lambda _: [on_features(*size) for size in SIZES],
    "large": lambda _: large_in_its_own_process(),
    "growth": lambda _: growth(),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and write it among the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--timed", type=int, default=20, help="mistakes on which the released loop is timed, 5 to 50")
    parser.add_argument("--here", action="store_true", help="print `large` instead of writing it")
    asked = parser.parse_args(arguments)
    if asked.here:
        sys.stdout.write(json.dumps(large()))
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    on_features(*WARM_UP)  # the first calls load parts of torch
    for name in asked.part or PARTS:
        result = PARTS[name](asked.timed)
        log.info("%s: measured", name)
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        RESULT.write_text(json.dumps({**results, name: result, "torch": torch.__version__}, indent=2) + "\n")


if __name__ == "__main__":
    main()
