"""How much faster are illusions than with the released loop, and how does their cost grow?

`python -m benchmarks.illusion_speed` runs both in one process, one after the other and again, and writes the medians of the
ratios to benchmarks/results/illusion_speed.json, in about half an hour on two cores; `--only steps|objective|growth` makes a
part of it. The released loop stands in released_illusion.py.

1. steps: seconds for a step of ResNet-50 and CLIP ViT-B/32 with random weights (the time does not depend on them), 224 pixels,
   batch 4, the same arithmetic (float32) and CLIP in every step.
2. objective: on the trained networks of the embedded scenario, the time until the median picture has the objective that the
   released loop reaches in its 450 steps. The objective is eq. 4 on the finished picture, without transforms, for both alike.
3. growth: with pictures in a batch, their size, and steps.

`--device cuda` measures pictures per second at 450 steps on a GPU instead, and the share of the rate its matrix products reach.
Times are wall-clock seconds; beside them stand those of the processor, which other work on the machine does not stretch.
"""

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.released_illusion import Released
from neuroinspect.classifier import Classifier
from neuroinspect.demo.backbone import SceneNet, fish_forest_net
from neuroinspect.demo.clip import SceneGuide, SceneTokenizer
from neuroinspect.demo.drawing import OBJECTS
from neuroinspect.illusion import synthesize
from neuroinspect.illusion.loop import Job, forward, optimize
from neuroinspect.illusion.networks import prepare_networks
from neuroinspect.illusion.objectives import illusion_loss, pair_score
from neuroinspect.settings import GuideSettings, IllusionSettings, PreprocessingSettings
from neuroinspect.text_guide import GuidedTexts, OpenClipGuide, bind_texts, class_direction, similarity_to

RESULT = Path(__file__).parent / "results" / "illusion_speed.json"
FISH = OBJECTS.index("fish")
BATCH = 4
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Of the wall clock and of the processor."""

    wall: float
    processor: float

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall - other.wall, self.processor - other.processor)


def timed(work: Callable[[], object]) -> Seconds:
    """Run it once."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def compared(slow: Sequence[Seconds], fast: Sequence[Seconds]) -> dict[str, float]:
    """Medians, and the median of the ratios of runs side by side."""
    return {
        "released_seconds": statistics.median(each.wall for each in slow),
        "ours_seconds": statistics.median(each.wall for each in fast),
        "times_faster": statistics.median(a.wall / b.wall for a, b in zip(slow, fast, strict=True)),
        "times_faster_processor": statistics.median(a.processor / b.processor for a, b in zip(slow, fast, strict=True)),
        "repeats": len(slow),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """The same networks for both loops."""

    released: Callable[[IllusionSettings], Released]
    classifier: Classifier
    guide: GuidedTexts

    def job(self, settings: IllusionSettings) -> Job:
        """What a batch of ours needs, made once."""
        text, guide = self.guide.texts[FISH], self.guide.guide
        directions = {FISH: class_direction(guide, text, self.guide.templates).to(self.classifier.device)}
        networks = prepare_networks(self.classifier, guide, settings)
        return Job(networks, directions, settings, class_weight=settings.class_weight, seed=0)


def common_case(device: str = "cpu") -> Case:
    """ResNet-50 and CLIP ViT-B/32 with random weights, 224 pixels."""

    def networks() -> tuple[Any, Any]:
        torch.manual_seed(0)
        return timm.create_model("resnet50", pretrained=False).eval(), open_clip.create_model("ViT-B-32").eval()

    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    module, clip = networks()
    classifier = Classifier(module, preprocessing=PreprocessingSettings(), device=device)
    guide = OpenClipGuide(clip, tokenizer, image_size=(224, 224), device=device)
    bound = GuidedTexts(guide, tuple(f"class {index}" for index in range(1000)))

    def released(settings: IllusionSettings) -> Released:
        own, own_clip = networks()
        normalisation = (own_clip.visual.image_mean, own_clip.visual.image_std)
        kept = classifier.preprocessing
        return Released(own, own.get_classifier(), kept, own_clip, tokenizer, 224, normalisation, settings)

    return Case(released, classifier, bound)


def demo_case() -> Case:
    """The trained networks of the embedded scenario, 64 pixels."""
    module, guide = fish_forest_net(), SceneGuide()
    preprocessing = PreprocessingSettings(**SceneNet.preprocessing)
    classifier = Classifier(module, preprocessing=preprocessing, class_names=OBJECTS, device="cpu")

    def released(settings: IllusionSettings) -> Released:
        own = fish_forest_net().requires_grad_(True)
        clip, half = SceneGuide().model.requires_grad_(True), ((0.5,) * 3,) * 2
        return Released(own, own.classifier, preprocessing, clip, SceneTokenizer(), 64, half, settings)

    return Case(released, classifier, bind_texts(guide, OBJECTS, GuideSettings()))


def step_times(threads: int, *, repeats: int = 5) -> dict[str, Any]:
    """Part 1, on some threads: long minus short runs, so that what is done once does not count."""
    torch.set_num_threads(threads)
    case, pairs, neurons = common_case(), [(neuron, FISH) for neuron in range(BATCH)], range(BATCH)
    settings = {steps: IllusionSettings(steps=steps, warm_up=0.0, precision="float32") for steps in (1, 3)}
    rival = {steps: case.released(settings[steps]) for steps in settings}
    jobs = {steps: case.job(settings[steps]) for steps in settings}
    slow, fast = [], []
    for _ in range(repeats):
        theirs = {steps: timed(lambda: one.draw(neurons, FISH, "fish", seed=0)) for steps, one in rival.items()}  # noqa: B023
        own = {steps: timed(lambda: optimize(job, pairs, 0)) for steps, job in jobs.items()}  # noqa: B023
        slow.append(theirs[3] - theirs[1])
        fast.append(own[3] - own[1])
    row = {"threads": threads, "precision": "float32", "batch": BATCH, **compared(slow, fast)}
    for name in ("released_seconds", "ours_seconds"):
        row[name] /= 2
    log.info("a step, ResNet-50 and ViT-B/32, %d threads: %.2f times faster", threads, row["times_faster"])
    return row


def objective_of(case: Case, neurons: Sequence[int], images: Tensor) -> Tensor:
    """Eq. 4 (N,) of pictures as they are, by the classifier and the guide themselves."""
    settings, direction = IllusionSettings(), class_direction(case.guide.guide, "fish", case.guide.templates)
    with torch.no_grad():
        features, logits = case.classifier.features_and_logits(case.classifier.normalize(images))
        score = pair_score(
            features[torch.arange(len(images)), list(neurons)], logits[:, FISH], class_weight=settings.class_weight
        )
        similarity = similarity_to(case.guide.guide, images, direction.expand(len(images), -1))
        return -illusion_loss(score, similarity, guide_offset=settings.guide_offset)


def objective_times(
    *, seeds: Sequence[int] = (0, 1, 2, 3, 4), budgets: Sequence[int] = (40, 60, 80, 110, 150, 200, 270, 450)
) -> dict[str, Any]:
    """Part 2: the released loop, all neurons in its one batch and one after the other, against ours to the same objective."""
    torch.set_num_threads(1)
    case = demo_case()
    neurons = case.classifier.decision_layer.weight[FISH].argsort(descending=True)[:BATCH].tolist()
    rival = case.released(IllusionSettings())
    runs = []
    for seed in seeds:
        kept: dict[str, Tensor] = {}
        together = timed(lambda: kept.update(batch=rival.draw(neurons, FISH, "fish", seed=seed)))  # noqa: B023
        alone = timed(
            lambda: kept.update(alone=torch.cat([rival.draw([neuron], FISH, "fish", seed=seed) for neuron in neurons]))  # noqa: B023
        )
        reached = {name: objective_of(case, neurons, images).median().item() for name, images in kept.items()}
        ours = []
        for steps in budgets:
            drawn: list[Tensor] = []
            seconds = timed(lambda: drawn.append(_ours(case, neurons, steps, seed)))  # noqa: B023
            ours.append((steps, seconds, objective_of(case, neurons, drawn[0]).median().item()))
        run: dict[str, Any] = {"seed": seed, "ours": [(steps, one.wall, value) for steps, one, value in ours]}
        for name, spent in (("batch", together), ("alone", alone)):
            steps, seconds, value = next((one for one in ours if one[2] >= reached[name]), ours[-1])
            run[name] = {
                "released_seconds": spent.wall,
                "released_objective": reached[name],
                "ours_steps": steps,
                "ours_seconds": seconds.wall,
                "ours_objective": value,
                "reached": value >= reached[name],
                "times_faster": spent.wall / seconds.wall,
                "times_faster_processor": spent.processor / seconds.processor,
                "times_faster_at_450_steps": spent.wall / ours[-1][1].wall,
            }
        log.info(
            "seed %d: %.1f times faster (batch), %.1f (alone)",
            seed,
            *(run[n]["times_faster"] for n in ("batch", "alone")),
        )
        runs.append(run)
    ratios = ("times_faster", "times_faster_processor", "times_faster_at_450_steps")
    medians = {
        name: {ratio: statistics.median(run[name][ratio] for run in runs) for ratio in ratios}
        for name in ("batch", "alone")
    }
    return {"neurons": len(neurons), "threads": 1, "medians": medians, "runs": runs}


def _ours(case: Case, neurons: Sequence[int], steps: int, seed: int) -> Tensor:
    illusions = synthesize(
        case.classifier,
        [(neuron, FISH) for neuron in neurons],
        guide=case.guide,
        settings=IllusionSettings(steps=steps, restarts=0),
        generator=torch.Generator().manual_seed(seed),
    )
    return torch.stack([illusion.image for illusion in illusions])


def growth() -> dict[str, Any]:
    """Part 3, on the networks of the embedded scenario; all seconds of the processor, one thread."""
    torch.set_num_threads(1)
    case, settings = demo_case(), IllusionSettings(steps=40, restarts=0)

    def seconds(count: int, steps: int) -> float:
        job = case.job(settings.model_copy(update={"steps": steps}))
        pairs = [(neuron, FISH) for neuron in range(count)]
        return min(timed(lambda: optimize(job, pairs, 0)).processor for _ in range(3))

    batches = {count: seconds(count, 20) / 20 / count for count in (1, 2, 4, 8, 16)}
    lengths = {steps: seconds(BATCH, steps) for steps in (20, 40, 80, 160)}
    sizes = {}
    for side in (32, 64, 128, 224):
        preprocessing = case.classifier.preprocessing.model_copy(update={"image_size": side})
        classifier = Classifier(fish_forest_net(), preprocessing=preprocessing, class_names=OBJECTS, device="cpu")
        job = Case(case.released, classifier, case.guide).job(settings.model_copy(update={"steps": 10}))
        pairs = [(neuron, FISH) for neuron in range(BATCH)]
        sizes[side] = min(timed(lambda: optimize(job, pairs, 0)).processor for _ in range(3)) / 10 / BATCH  # noqa: B023
    return {
        "seconds_a_picture_and_step_by_batch": batches,
        "seconds_by_steps": lengths,
        "seconds_a_picture_and_step_by_side": sizes,
    }


def gpu_rate(*, batch: int = 32, steps: int = 450) -> dict[str, Any]:
    """Pictures per second on a GPU, in float32 and bfloat16, and the share of the rate of its own matrix products."""
    rows = []
    for precision in ("float32", "bfloat16"):
        case = common_case("cuda")
        settings = IllusionSettings(steps=steps, warm_up=0.0, precision=precision)  # type: ignore[arg-type]
        job, pairs = case.job(settings), [(neuron, FISH) for neuron in range(batch)]
        optimize(case.job(settings.model_copy(update={"steps": 5})), pairs, 0)
        with FlopCounterMode(display=False) as counter:
            forward(job, pairs[0], batch).backward()
        began = time.perf_counter()
        optimize(job, pairs, 0)
        torch.cuda.synchronize()
        spent = time.perf_counter() - began
        rate = counter.get_total_flops() * steps / spent
        rows.append(
            {
                "precision": precision,
                "batch": batch,
                "steps": steps,
                "pictures_per_second": batch / spent,
                "share_of_matrix_rate": rate
                / _matrix_rate(torch.float32 if precision == "float32" else torch.bfloat16),
            }
        )
    return {"device": torch.cuda.get_device_name(), "rows": rows}


def _matrix_rate(dtype: torch.dtype, *, side: int = 8192, repeats: int = 20) -> float:
    one, other = (torch.randn((side, side), device="cuda", dtype=dtype) for _ in range(2))
    for count in (3, repeats):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            one @ other
        torch.cuda.synchronize()
    return 2 * side**3 * repeats / (time.perf_counter() - began)


def main() -> None:
    """Measure, and write what was measured into the result; other parts of it stay."""
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("steps", "objective", "growth"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], Any]] = {
        "steps": lambda: [step_times(threads) for threads in (1, 2)],
        "objective": objective_times,
        "growth": growth,
    }
    if arguments.device == "cuda":
        parts = {"gpu": gpu_rate}
    elif arguments.only:
        parts = {arguments.only: parts[arguments.only]}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name, measure in parts.items():
        result[name] = measure()
        result["torch"], result["processor"] = torch.__version__, torch.backends.cpu.get_cpu_capability()
        RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
