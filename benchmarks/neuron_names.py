"""Is the word a neuron gets the right one? Asked of the cue neurons of ten planted scenarios.

    python benchmarks/neuron_names.py --seeds 0 1 2 3 4 5 6 7 8 9

A cue neuron correlates with the scenario's background above 0.5 on test pictures; its name comes from the select split and all
words the demo's guide knows. Counted: how often the background is the first word, or among the first two, for the rule of
neuroinspect.naming and for rivals: soft-WPMI of CLIP-Dissect (Oikarinen & Weng 2023), the plain correlation with the cosine,
and the mean cosine over the 20 pictures that excite the neuron most. Also for the first three cue neurons of the ranking, those a
reviewer sees; and for a search by the background's name, how many of the neurons it puts first are cue neurons. Prints, keeps
benchmarks/results/neuron_names.json, and exits 1 when a bound fails.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from planted_cue import World, cue_correlation, make_world

from neuroinspect.demo.clip import guide
from neuroinspect.demo.drawing import BACKGROUNDS, OBJECTS, draw
from neuroinspect.demo.scenario import Plant
from neuroinspect.intervals import wilson_interval
from neuroinspect.naming import word_presence, word_scores
from neuroinspect.settings import GuideSettings
from neuroinspect.text_guide import image_directions, text_directions

RESULTS = Path(__file__).parent / "results" / "neuron_names.json"
CUE_NEURON, SHOWN = 0.5, 3
WORDS = guide().vocabulary
Scores = NDArray[np.float64]


def present_words(activations: Scores, likeness: Scores) -> Scores:
    """The rule of neuroinspect.naming."""
    return word_scores(activations, word_presence(likeness))


def soft_wpmi(
    activations: Scores, likeness: Scores, *, top: int = 100, scale: float = 20.0, weight: float = 1.0
) -> Scores:
    """CLIP-Dissect, eq. 5, over the top pictures, with the membership probabilities of its code (0.998 falling to 0.97)."""
    exponent = np.exp(scale * (likeness - likeness.max(1, keepdims=True)))
    chance = exponent / exponent.sum(1, keepdims=True)
    first = np.argsort(-activations, axis=0)[:top]
    member = np.linspace(0.998, 0.97, top)[:, None]
    told = np.stack([np.log1p(member * (chance[rows] - 1)).sum(0) for rows in first.T])
    highest = told.max(0)
    return np.asarray(told - weight * (highest + np.log(np.exp(told - highest).mean(0))))


def plain_correlation(activations: Scores, likeness: Scores) -> Scores:
    """Correlation of activation and cosine."""
    fired, alike = ((values - values.mean(0)) / np.maximum(values.std(0), 1e-12) for values in (activations, likeness))
    return np.asarray(fired.T @ alike / len(fired))


def top_pictures(activations: Scores, likeness: Scores, *, top: int = 20) -> Scores:
    """Mean of the standardised cosine over the pictures that excite the neuron most."""
    alike = (likeness - likeness.mean(0)) / likeness.std(0)
    return np.asarray(alike[np.argsort(-activations, axis=0)[:top]].mean(0))


RULES: Mapping[str, Callable[[Scores, Scores], Scores]] = {
    "presence of words": present_words,
    "soft-WPMI": soft_wpmi,
    "soft-WPMI, prior 0.6": lambda activations, likeness: soft_wpmi(activations, likeness, weight=0.6),
    "plain correlation": plain_correlation,
    "top 20 pictures": top_pictures,
}


def likeness_of(world: World) -> Scores:
    """Cosine (N, T) of the select pictures and the words."""
    images = torch.from_numpy(draw(world.scenes["select"])).permute(0, 3, 1, 2).float() / 255
    seen = torch.cat([image_directions(guide(), batch) for batch in images.split(256)])
    return (seen @ text_directions(guide(), WORDS, GuideSettings().templates).T).double().numpy()


def run_seed(seed: int) -> dict[str, Any]:
    """Counts of one planted scenario for every rule."""
    index = seed % len(OBJECTS)
    plant = Plant(OBJECTS[index], BACKGROUNDS[(seed + seed // 6 + 1) % len(BACKGROUNDS)], seed)
    world = make_world(plant, splits=("train", "select", "test"))
    correlation, word = cue_correlation(world, plant.background), WORDS.index(plant.background)
    cue = np.flatnonzero(correlation > CUE_NEURON)
    shown = [neuron for neuron in world.insufficient if correlation[neuron] > CUE_NEURON][:SHOWN]
    activations, likeness = world.features["select"].double().numpy(), likeness_of(world)
    rules = {}
    for name, rule in RULES.items():
        scores = rule(activations, likeness)
        order = np.argsort(-scores, axis=1)
        found = np.argsort(-scores[:, word])[: len(cue)]
        rules[name] = {
            "first": [bool(order[neuron, 0] == word) for neuron in cue],
            "first_two": [bool(word in order[neuron, :2]) for neuron in cue],
            "shown_first": [bool(order[neuron, 0] == word) for neuron in shown],
            "search": [bool(neuron in cue) for neuron in found],
        }
    return {
        "seed": seed,
        "scenario": f"{plant.object_name}+{plant.background}",
        "cue_neurons": cue.tolist(),
        "rules": rules,
    }


def summarise(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """By rule and question: a count over all scenarios with its Wilson interval."""
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for rule in RULES:
        for question in ("first", "first_two", "shown_first", "search"):
            flags = [flag for record in records for flag in record["rules"][rule][question]]
            low, high = wilson_interval(sum(flags), len(flags))
            counted = {
                "count": sum(flags),
                "of": len(flags),
                "share": sum(flags) / len(flags),
                "low": low,
                "high": high,
            }
            summary.setdefault(rule, {})[question] = counted
    return summary


def main() -> int:
    """Count, print, keep, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    records = []
    for seed in arguments.seeds:
        records.append(run_seed(seed))
        print(f"seed {seed}: {records[-1]['scenario']}, {len(records[-1]['cue_neurons'])} cue neurons", flush=True)
    summary = summarise(records)
    for rule, figures in summary.items():
        cells = [
            f"{name} {one['count']}/{one['of']} = {one['share']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
            for name, one in figures.items()
        ]
        print(f"{rule:24s}{', '.join(cells)}")
    own = summary["presence of words"]
    bounds = [
        {"bound": text, "value": value, "rule": f">= {limit:g}", "holds": value >= limit}
        for text, value, limit in (
            ("cue neurons called after the planted background", own["first"]["share"], 0.75),
            ("the same for the first three of the ranking", own["shown_first"]["share"], 0.8),
            ("cue neurons among those a search puts first", own["search"]["share"], 0.85),
        )
    ]
    for bound in bounds:
        print(f"{'holds' if bound['holds'] else 'FAILS':6s} {bound['bound']}: {bound['value']:.3f} ({bound['rule']})")
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    kept = {"seeds": arguments.seeds, "words": list(WORDS), "summary": summary, "bounds": bounds, "versions": versions}
    arguments.out.write_text(json.dumps({**kept, "records": records}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(bound["holds"] for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
