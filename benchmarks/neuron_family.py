"""From one to three neurons that a reviewer marks: does the family find the others that carry the same cue?

    python benchmarks/neuron_family.py --seeds 0 1 2 3 4 5 6 7 8 9

The neurons to be found are those whose correlation with the true cue on neutral test pictures is above 0.25; the marked ones
are the first such neurons of the ranking. Families are looked for on the selecting split, once as it is and once with 95 % of
the class showing the cue. Rows: as many neurons as a fixed size, by plain correlation of the activations; the same with a
cut-off; the family of the library. Means over the scenarios. Keeps benchmarks/results/neuron_family.json.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from planted_cue import KNOWN_PICK, World, cue_correlation, make_world
from torch import Tensor

from neuroinspect.demo.drawing import BACKGROUNDS, OBJECTS
from neuroinspect.demo.scenario import Plant
from neuroinspect.masking import neuron_family

RESULTS = Path(__file__).parent / "results" / "neuron_family.json"
Split = tuple[Tensor, Tensor]


def plant_of(seed: int) -> Plant:
    """The scenario of a seed, as benchmarks/planted_cue.py numbers them."""
    return Plant(OBJECTS[seed % len(OBJECTS)], BACKGROUNDS[(seed + seed // 6 + 1) % len(BACKGROUNDS)], seed)


def plain_correlation(features: Tensor, neurons: Sequence[int]) -> list[tuple[int, float]]:
    """Other neurons with the correlation of their activation and the mean standardised one of the marked neurons."""
    values = (features.double() - features.double().mean(0)) / features.double().std(0).clamp_min(1e-12)
    mean = values[:, list(neurons)].mean(1)
    correlation = (mean / mean.norm()) @ (values / values.norm(dim=0).clamp_min(1e-12))
    order = correlation.argsort(descending=True).tolist()
    return [(neuron, float(correlation[neuron])) for neuron in order if neuron not in neurons]


def families(split: Split, neurons: Sequence[int]) -> dict[str, list[int]]:
    """What each way of looking finds."""
    features, labels = split
    plain = plain_correlation(features, neurons)
    return {
        "plain correlation, 10 neurons": [neuron for neuron, _ in plain[:10]],
        "plain correlation, 25 neurons": [neuron for neuron, _ in plain[:25]],
        "plain correlation above 0.3": [neuron for neuron, value in plain if value > 0.3],
        "where the cue shows, within classes, 10 neurons": neuron_family(features, neurons, labels=labels, size=10),
        "where the cue shows, not within classes": neuron_family(features, neurons),
        "where the cue shows, within classes (the library)": neuron_family(features, neurons, labels=labels),
    }


def select_split(world: World, cue: str, rate: float | None, seed: int) -> Split:
    """Features and labels of the selecting split; with a rate, pictures of the class without the cue are left out for it."""
    features, labels = world.features["select"], world.labels("select")
    if rate is None:
        return features, labels
    shows = torch.from_numpy(world.scenes["select"].backgrounds == BACKGROUNDS.index(cue))
    of_class = labels == world.class_index
    without = (of_class & ~shows).nonzero().flatten()
    stay = round(int((of_class & shows).sum()) * (1 - rate) / rate)
    kept = torch.ones(len(labels), dtype=torch.bool)
    kept[without[torch.randperm(len(without), generator=torch.Generator().manual_seed(seed))[stay:]]] = False
    return features[kept], labels[kept]


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found: dict[tuple[str, int, str], list[tuple[float, float, int]]] = {}
    for seed in arguments.seeds:
        plant = plant_of(seed)
        world = make_world(plant, splits=("train", "select", "test"))
        correlation = cue_correlation(world, plant.background)
        carriers = set(np.flatnonzero(correlation > KNOWN_PICK).tolist())
        known = [neuron for neuron in world.insufficient if neuron in carriers]
        for bias, rate in (("neutral", None), ("95 % of the class", 0.95)):
            split = select_split(world, plant.background, rate, seed)
            for count in range(1, min(3, len(known)) + 1):
                wanted = carriers - set(known[:count])
                for name, family in families(split, known[:count]).items():
                    right = len(wanted & set(family))
                    figures = (right / max(1, len(family)), right / max(1, len(wanted)), len(family))
                    found.setdefault((bias, count, name), []).append(figures)
        print(f"seed {seed} done", flush=True)
    rows = []
    for (bias, marked, name), values in found.items():
        precision, recall, size = np.mean(values, axis=0)
        row = {"validation": bias, "marked": marked, "family": name, "scenarios": len(values)}
        rows.append(row | {"precision": float(precision), "recall": float(recall), "size": float(size)})
        print(f"{bias:18s} {marked} {name:52s} precision {precision:.2f} recall {recall:.2f} size {size:4.1f}")
    record = {"seeds": arguments.seeds, "rows": rows, "versions": {"torch": torch.__version__, "numpy": np.__version__}}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
