"""Does a what-if point the way the edit goes? Projected on the select split, beside the finished edit on a split that judges.

    python benchmarks/what_if_agreement.py --seeds 0 1 2 3 4 5 6 7 8 9

For every planted scenario sets of neurons are asked about: each of the six most voted candidates alone, the top three, the set of
a reviewer who knows (correlation with the cue above 0.25, at most six) and that without its first neuron, three candidates that
do not carry the cue, three neurons that nobody suspects. The what-if's figures are compared with those of the edit at full
length, with all its tries and the whole select split, on the test split, which selected nothing: how far the projection lies off,
how often it is right about which of two sets is the better one, and whether the reviewer's set stands above its placebo. Prints
the table, keeps it in benchmarks/results/what_if_agreement.json, and exits 1 when a bound fails.

The layers of these scenarios are small, so the what-if tries the whole grid of a method; with --one-try it has the middle of the
grid only, as it has for large layers.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from neuron_family import plant_of
from planted_cue import KNOWN_MOST, KNOWN_PICK, World, cue_correlation, figures, judge_of, make_world
from scipy.stats import spearmanr

from neuroinspect.editing import short_edit
from neuroinspect.editing.edit import edit_all, plan_edit
from neuroinspect.editing.half_figures import HalfFigures
from neuroinspect.editing.problem import EditProblem, make_problem
from neuroinspect.editing.what_if import Rehearsal
from neuroinspect.errors import EvidenceError
from neuroinspect.settings import EditSettings

RESULTS = Path(__file__).parent / "results" / "what_if_agreement.json"
METHODS = ("cue_erasure", "ablate_refit", "ratio")
SHOWN = ("class_auroc", "average", "worst_class", "class_accuracy")
APART = 0.005
"""Two sets of neurons are compared where their finished edits lie at least this far apart in class AUROC."""


def sets_of(world: World, cue: str, *, seed: int) -> dict[str, tuple[int, ...]]:
    """Sets of neurons by what they are."""
    correlation = cue_correlation(world, cue)
    candidates = [*world.insufficient, *world.excessive]
    known = [j for j in world.insufficient if correlation[j] > KNOWN_PICK][:KNOWN_MOST]
    wrong = [j for j in candidates if abs(correlation[j]) < KNOWN_PICK][:3]
    others = sorted(set(range(world.decision_layer.in_features)) - set(candidates))
    found = {
        **{f"candidate {rank}": (j,) for rank, j in enumerate(world.insufficient[:6], 1)},
        "top three": tuple(world.insufficient[:3]),
        "reviewer who knows": tuple(known),
        "the same without the first": tuple(known[1:]),
        "three without the cue": tuple(wrong),
        "three at random": tuple(np.random.default_rng(seed).choice(others, 3, replace=False).tolist()),
    }
    return {name: tuple(sorted(neurons)) for name, neurons in found.items() if neurons}


def finished(problem: EditProblem, sets: Iterable[tuple[int, ...]], method: str, class_index: int) -> dict[Any, Any]:
    """The edit of each set at full length, or None where it is refused."""
    planned, settings = {}, EditSettings()
    refused = {}
    for neurons in sets:
        try:
            planned[neurons] = plan_edit(problem.with_neurons({class_index: neurons}), method, settings=settings)
        except EvidenceError:
            refused[neurons] = None
    return {**(edit_all(planned, settings=settings) if planned else {}), **refused}


def run_seed(seed: int) -> list[dict[str, Any]]:
    """One scenario: a line for each method and set of neurons."""
    plant = plant_of(seed)
    world = make_world(plant, splits=("train", "select", "test"))
    training, select = ((world.features[split], world.labels(split)) for split in ("train", "select"))
    problem = make_problem(training, select, world.decision_layer, neurons={})
    candidates = [*world.insufficient, *world.excessive]
    rehearsal = Rehearsal(problem, candidates, class_index=world.class_index, settings=EditSettings(), seed=seed)
    judge = judge_of(world, "test", plant.background)
    before = figures(judge, [(problem.weight, problem.bias)])
    sets = sets_of(world, plant.background, seed=seed)
    lines = []
    for method in METHODS:
        made = finished(problem, dict.fromkeys(sets.values()), method, world.class_index)
        for name, neurons in sets.items():
            asked = rehearsal.rehearse(neurons, method=method)
            edit = made[neurons]
            layer = None if edit is None else (edit.decision_layer.weight, edit.decision_layer.bias)
            lines.append(
                {
                    "seed": seed,
                    "scenario": f"{plant.object_name}+{plant.background}",
                    "method": method,
                    "set": name,
                    "neurons": list(neurons),
                    "refused": {"what_if": asked.edit is None, "edit": edit is None},
                    "projected": None if asked.edit is None else shown(asked.edit),
                    "placebo": {one: median(getattr(draw, one) for draw in asked.placebo) for one in SHOWN}
                    if asked.placebo
                    else None,
                    "projected_original": shown(asked.original),
                    "finished": None if layer is None else figures(judge, [layer]),
                    "finished_original": before,
                }
            )
    return lines


def shown(row: HalfFigures) -> dict[str, float]:
    """The figures that are compared."""
    return {name: getattr(row, name) for name in SHOWN}


def gains(lines: Sequence[Mapping[str, Any]], figure: str) -> tuple[list[float], list[float]]:
    """Projected and finished gain over the original, of the lines that have both."""
    known = [one for one in lines if one["projected"] and one["finished"]]
    projected = [one["projected"][figure] - one["projected_original"][figure] for one in known]
    return projected, [one["finished"][figure] - one["finished_original"][figure] for one in known]


def agreement(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How well the projections of one method agree with its finished edits, within each scenario."""
    orders, right, pairs, signs = [], 0, 0, []
    for seed in sorted({one["seed"] for one in lines}):
        own = [one for one in lines if one["seed"] == seed]
        projected, final = gains(own, "class_auroc")
        if len(set(projected)) > 1 and len(set(final)) > 1:
            orders.append(float(spearmanr(projected, final).statistic))
        for a, b in combinations(range(len(final)), 2):
            if abs(final[a] - final[b]) >= APART:
                pairs += 1
                right += (projected[a] - projected[b]) * (final[a] - final[b]) > 0
        for one in own:
            if one["set"] == "reviewer who knows" and one["projected"] and one["placebo"]:
                signs.append(one["projected"]["class_auroc"] > one["placebo"]["class_auroc"])
    errors = {}
    for figure in SHOWN:
        projected, final = gains(lines, figure)
        off = [a - b for a, b in zip(projected, final, strict=True)]
        errors[figure] = {"mean": fmean(off), "mean_absolute": fmean(map(abs, off)), "largest": max(map(abs, off))}
    return {
        "sets": len(lines),
        "compared": len(gains(lines, "class_auroc")[0]),
        "refused_by_the_what_if_alone": sum(one["refused"]["what_if"] and not one["refused"]["edit"] for one in lines),
        "rank_correlation_mean": fmean(orders) if orders else None,
        "rank_correlation_least": min(orders, default=None),
        "pairs_apart": pairs,
        "pairs_in_the_right_order": right / pairs if pairs else None,
        "reviewer_above_placebo": [sum(signs), len(signs)],
        "projected_minus_finished_gain": errors,
    }


def check_bounds(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The promises, each with its figure."""
    bounds = []
    for method, one in found.items():
        above, asked = one["reviewer_above_placebo"]
        bounds += [
            (f"{method}: pairs of sets in the right order", one["pairs_in_the_right_order"], 0.8),
            (f"{method}: rank correlation within a scenario, mean", one["rank_correlation_mean"], 0.6),
            (f"{method}: the reviewer's set above its placebo, share", above / max(1, asked), 0.9),
        ]
    return [
        {"bound": text, "value": value, "rule": f">= {limit:g}", "holds": value is not None and value >= limit}
        for text, value, limit in bounds
    ]


def main() -> int:
    """Run, print, keep, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--one-try", action="store_true", help="the middle of each grid in the place of the grid")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.one_try:
        short_edit.GRID_WEIGHTS = 0
    lines = []
    for seed in arguments.seeds:
        own = run_seed(seed)
        lines += own
        orders = {
            method: agreement([one for one in own if one["method"] == method])["rank_correlation_mean"]
            for method in METHODS
        }
        print(f"seed {seed}: {own[0]['scenario']}, rank correlation {orders}", flush=True)
    found = {method: agreement([one for one in lines if one["method"] == method]) for method in METHODS}
    bounds = check_bounds(found)
    print(json.dumps(found, indent=1))
    for bound in bounds:
        print(f"{'holds' if bound['holds'] else 'FAILS':6s} {bound['bound']}: {bound['value']} ({bound['rule']})")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    record = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    record["one_try" if arguments.one_try else "whole_grid"] = {
        "seeds": arguments.seeds,
        "agreement": found,
        "bounds": bounds,
    }
    record["versions"] = {"torch": torch.__version__, "numpy": np.__version__}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if all(bound["holds"] for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
