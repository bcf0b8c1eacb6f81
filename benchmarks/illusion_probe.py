"""Do illusions of cue neurons show the planted cue? Asked of a network that knows neither the classifier nor the guide.

    python benchmarks/illusion_probe.py --seeds 0 1 2 3 4 5 6 7 8 9

For every seed one class always shows one background in training. The first neurons of the ranking that correlate with that
background above 0.5 (at most 3) are drawn in three ways: the neuron alone (FV), neuron and class without CLIP, and
CLIP-Illusion. A small network of its own architecture, trained on the backgrounds of other scenes, names the background of the
picture with all but the neuron's own pixels dimmed. Prints the counts with Wilson intervals, keeps them in
benchmarks/results/illusion_probe.json, and exits 1 when under 95 % of the CLIP-Illusions reach the range of real pictures.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from planted_cue import World, cue_correlation, make_world
from torch import Tensor, nn
from torch.nn import functional

from neuroinspect.classifier import Classifier
from neuroinspect.demo.backbone import SceneNet, scene_net
from neuroinspect.demo.clip import guide
from neuroinspect.demo.drawing import BACKGROUNDS, OBJECTS, Scenes, draw, neutral_scenes
from neuroinspect.demo.scenario import Plant
from neuroinspect.illusion import Illusion, Objective, synthesize
from neuroinspect.intervals import wilson_interval
from neuroinspect.settings import IllusionSettings, PreprocessingSettings

RESULTS = Path(__file__).parent / "results" / "illusion_probe.json"
CUE_NEURON, MOST, REACHED = 0.5, 3, 0.95
PROBE_SEED = 2**43
TITLES = {
    Objective.FEATURE_VISUALIZATION: "FV",
    Objective.WITHOUT_GUIDE: "without CLIP",
    Objective.ILLUSION: "CLIP-Illusion",
}


class Probe(nn.Module):
    """Names the background of images (N, 3, 64, 64) in [0, 1]; no part of it is shared with the demo's networks."""

    def __init__(self) -> None:
        super().__init__()
        self.small = nn.Conv2d(3, 24, 3, 2, 1)
        self.wide = nn.Conv2d(3, 24, 9, 2, 4)
        self.middle = nn.Sequential(
            nn.GroupNorm(6, 48), nn.SiLU(), nn.Conv2d(48, 64, 3, 2, 1), nn.GroupNorm(8, 64), nn.SiLU()
        )
        self.last = nn.Sequential(nn.Conv2d(64, 96, 3, 2, 1), nn.GroupNorm(8, 96), nn.SiLU())
        self.decision_layer = nn.Linear(2 * 96, len(BACKGROUNDS))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 6)."""
        images = images * 2 - 1
        maps = self.last(self.middle(torch.cat([self.small(images), self.wide(images)], dim=1)))
        logits: Tensor = self.decision_layer(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))
        return logits


def dim_at_random(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images as pixel masks leave them: smooth blobs kept, the rest dimmed to half; every fifth image stays whole."""
    count, side = len(images), images.shape[-1]
    coarse = torch.rand((count, 1, 5, 5), generator=generator)
    fine = functional.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=True)
    level = torch.rand((count, 1, 1, 1), generator=generator) * 0.5 + 0.3
    whole = torch.rand((count, 1, 1, 1), generator=generator) < 0.2
    return images * torch.where((fine >= level) | whole, 1.0, 0.5)


def vary(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turned, scaled and shifted with mirrored borders, in other light, with noise, and dimmed in places."""
    count = len(images)

    def draw_between(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand((count, *shape), generator=generator) * (high - low) + low

    angle, zoom = draw_between(-0.4, 0.4), 1 / draw_between(0.7, 1.8)
    mirrored = torch.where(draw_between(0, 1) < 0.5, -1.0, 1.0)
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0], affine[:, 0, 1] = angle.cos() * zoom * mirrored, -angle.sin() * zoom
    affine[:, 1, 0], affine[:, 1, 1] = angle.sin() * zoom * mirrored, angle.cos() * zoom
    affine[:, :, 2] = draw_between(-0.4, 0.4, 2)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    lit = (moved - 0.5) * draw_between(0.7, 1.4, 1, 1, 1) + 0.5 + draw_between(-0.1, 0.1, 3, 1, 1)
    noisy = lit + draw_between(0, 0.06, 1, 1, 1) * torch.randn(lit.shape, generator=generator)
    return dim_at_random(noisy.clamp(0, 1), generator)


def pictures_of(scenes: Scenes) -> Tensor:
    """Images (N, 3, 64, 64) in [0, 1]."""
    return torch.from_numpy(draw(scenes)).permute(0, 3, 1, 2).float() / 255


def train_probe(*, count: int, epochs: int, batch_size: int = 64) -> tuple[Probe, dict[str, float]]:
    """A probe, and its accuracy on scenes it has not seen, whole and with random places dimmed."""
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(3)
    scenes = neutral_scenes(PROBE_SEED, "probe", count)
    images, labels = pictures_of(scenes), torch.from_numpy(scenes.backgrounds)
    probe = Probe()
    steps = epochs * (count // batch_size)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator)[: count // batch_size * batch_size]
        for rows in order.split(batch_size):
            loss = functional.cross_entropy(probe(vary(images[rows], generator)), labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    probe.eval().requires_grad_(False)
    held_out = neutral_scenes(PROBE_SEED + 1, "probe check", 1200)
    unseen, truth = pictures_of(held_out), torch.from_numpy(held_out.backgrounds)
    shown = {"whole": unseen, "dimmed": dim_at_random(unseen, generator)}
    return probe, {name: float((probe(some).argmax(1) == truth).float().mean()) for name, some in shown.items()}


def classifier_of(world: World) -> Classifier:
    """The classifier of a scenario."""
    model = scene_net()
    model.classifier = world.decision_layer
    preprocessing = PreprocessingSettings(**SceneNet.preprocessing)
    return Classifier(model, preprocessing=preprocessing, class_names=OBJECTS, device="cpu")


def named_backgrounds(probe: Probe, illusions: Sequence[Illusion], *, dimmed: bool) -> list[str]:
    """What the probe sees in each picture."""
    images = torch.stack([one.image * one.pixel_mask if dimmed else one.image for one in illusions])
    return [BACKGROUNDS[index] for index in probe(images).argmax(1).tolist()]


def run_seed(seed: int, probe: Probe, settings: IllusionSettings) -> list[dict[str, Any]]:
    """One line for each picture of one planted scenario."""
    index = seed % len(OBJECTS)
    plant = Plant(OBJECTS[index], BACKGROUNDS[(seed + seed // 6 + 1) % len(BACKGROUNDS)], seed)
    world = make_world(plant, splits=("train", "select", "test"))
    correlation = cue_correlation(world, plant.background)
    neurons = [neuron for neuron in world.insufficient if correlation[neuron] > CUE_NEURON][:MOST]
    floors = np.percentile(world.features["select"].numpy()[:, neurons], 95, axis=0).tolist()
    classifier = classifier_of(world)
    lines = []
    for objective, title in TITLES.items():
        illusions = synthesize(
            classifier,
            [(neuron, index) for neuron in neurons],
            guide=guide(),
            settings=settings,
            generator=torch.Generator().manual_seed(seed),
            objective=objective,
            floors=floors,
        )
        masked, whole = (named_backgrounds(probe, illusions, dimmed=dimmed) for dimmed in (True, False))
        for one, floor, name, name_whole in zip(illusions, floors, masked, whole, strict=True):
            lines.append(
                {
                    "seed": seed,
                    "scenario": f"{plant.object_name}+{plant.background}",
                    "neuron": one.neuron,
                    "correlation": round(float(correlation[one.neuron]), 3),
                    "picture": title,
                    "named": name,
                    "named_whole": name_whole,
                    "right": name == plant.background,
                    "right_whole": name_whole == plant.background,
                    "activation": round(one.activation, 3),
                    "real_p95": round(floor, 3),
                    "reached": one.activation >= floor,
                    "restarts": one.restarts,
                }
            )
    return lines


def share(flags: Sequence[bool]) -> dict[str, float]:
    """A count with its Wilson interval."""
    low, high = wilson_interval(sum(flags), len(flags))
    return {"count": sum(flags), "of": len(flags), "share": sum(flags) / len(flags), "low": low, "high": high}


def summarise(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """By kind of picture: how often the probe is right, masked and whole, and how often the neuron is reached."""
    return {
        title: {
            figure: share([bool(line[figure]) for line in lines if line["picture"] == title])
            for figure in ("right", "right_whole", "reached")
        }
        for title in TITLES.values()
    }


def main() -> int:
    """Train the probe, draw, ask, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--steps", type=int, default=IllusionSettings().steps)
    parser.add_argument("--probe-scenes", type=int, default=8000)
    parser.add_argument("--probe-epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    began = time.perf_counter()
    probe, accuracy = train_probe(count=arguments.probe_scenes, epochs=arguments.probe_epochs)
    print(
        f"probe: {accuracy['whole']:.3f} right on unseen scenes, {accuracy['dimmed']:.3f} with places dimmed",
        flush=True,
    )
    settings = IllusionSettings(steps=arguments.steps)
    lines: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        lines += run_seed(seed, probe, settings)
        own = [line for line in lines if line["seed"] == seed]
        told = {title: sum(line["right"] for line in own if line["picture"] == title) for title in TITLES.values()}
        print(f"seed {seed}: {own[0]['scenario']}, {len(own) // len(TITLES)} neurons, named {told}", flush=True)
    summary = summarise(lines)
    for title, figures in summary.items():
        cells = [
            f"{name} {one['count']}/{one['of']} = {one['share']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
            for name, one in figures.items()
        ]
        print(f"{title:16s}{', '.join(cells)}")
    reached = summary[TITLES[Objective.ILLUSION]]["reached"]["share"]
    holds = reached >= REACHED
    print(f"{'holds' if holds else 'FAILS'}  CLIP-Illusions whose neuron was reached: {reached:.3f} (>= {REACHED:g})")
    bound = {
        "bound": "CLIP-Illusions whose neuron was reached",
        "value": reached,
        "rule": f">= {REACHED:g}",
        "holds": holds,
    }
    kept = {
        "seeds": arguments.seeds,
        "steps": arguments.steps,
        "probe": {"scenes": arguments.probe_scenes, "epochs": arguments.probe_epochs, "accuracy": accuracy},
        "chance": 1 / len(BACKGROUNDS),
        "summary": summary,
        "bounds": [bound],
        "seconds": round(time.perf_counter() - began),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "pictures": lines,
    }
    arguments.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
