"""Is the first suggestion worth more than choosing candidates at random? `neuroinspect suggest` beside the other ways to choose.

    python benchmarks/suggest.py --seeds 0 1 2 3 4 5 6 7 8 9 --draws 20

For every planted scenario neurons are chosen in several ways, the cue is erased with each choice, and the layer is judged on the
test split, which selected nothing. Rows: the first suggestion; as many neurons as it has drawn at random from the candidates
that were tried (mean of the draws), and the top ones of the ranking; a reviewer who knows (correlation with the cue above 0.25
on neutral pictures, at most 6); a reviewer who knows and takes as many as the suggestion. Intervals are 95 % bootstrap over the
scenarios. Prints the table, keeps it in benchmarks/results/suggest.json, whatever it shows.
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
from neuron_family import plant_of
from planted_cue import KNOWN_MOST, KNOWN_PICK, cue_correlation, figures, interval, judge_of, make_world

from neuroinspect.editing.edit import edit_all, plan_edit
from neuroinspect.editing.problem import make_problem
from neuroinspect.editing.suggest import suggest_neurons
from neuroinspect.settings import EditSettings, SuggestSettings

RESULTS = Path(__file__).parent / "results" / "suggest.json"
SHOWN = ("cross_cue_auroc", "worst_class", "class_auroc", "average")
SUGGESTION = "first suggestion"


def run_seed(seed: int, draws: int) -> dict[str, Any]:
    """One scenario: how neurons are chosen, and what each choice gives."""
    plant = plant_of(seed)
    world = make_world(plant, splits=("train", "select", "test"))
    settings, edit_settings = SuggestSettings(), EditSettings()
    problem = make_problem(
        (world.features["train"], world.labels("train")),
        (world.features["select"], world.labels("select")),
        world.decision_layer,
        neurons={},
    )
    start = time.process_time()
    found = suggest_neurons(
        problem,
        [*world.insufficient, *world.excessive],
        settings,
        class_index=world.class_index,
        edit_settings=edit_settings,
        seed=seed,
    )
    seconds = time.process_time() - start
    first = found.sets[0].neurons
    pool = world.insufficient[: settings.candidates]
    correlation = cue_correlation(world, plant.background)
    known = [neuron for neuron in world.insufficient if correlation[neuron] > KNOWN_PICK]
    generator = np.random.default_rng(seed)
    chosen = {
        SUGGESTION: [first],
        "as many at random": [
            tuple(generator.choice(pool, min(len(first), len(pool)), replace=False).tolist()) for _ in range(draws)
        ],
        "as many top ranked": [tuple(world.insufficient[: len(first)])],
        "reviewer who knows": [tuple(known[:KNOWN_MOST])],
        "reviewer who knows, as many": [tuple(known[: len(first)])],
    }
    sets = {neurons for ways in chosen.values() for neurons in ways if neurons}
    planned = {
        str(neurons): plan_edit(
            problem.with_neurons({world.class_index: neurons}), settings.method, settings=edit_settings
        )
        for neurons in sorted(sets)
    }
    edits = edit_all(planned, settings=edit_settings)
    judge = judge_of(world, "test", plant.background)
    judged = {
        neurons: figures(judge, [(edits[neurons].decision_layer.weight, edits[neurons].decision_layer.bias)])
        for neurons in edits
    }
    original = figures(judge, [(problem.weight, problem.bias)])
    rows = {"original": original} | {
        way: {name: float(np.mean([judged[str(neurons)][name] for neurons in given])) for name in SHOWN}
        for way, given in chosen.items()
    }
    return {
        "seed": seed,
        "scenario": f"{plant.object_name}+{plant.background}",
        "candidates": pool,
        "cue_candidates": sum(neuron in known for neuron in pool),
        "suggestion": list(first),
        "suggestion_cue_correlation": [round(float(correlation[neuron]), 3) for neuron in first],
        "sets": len(found.sets),
        "cpu_seconds": round(seconds, 1),
        "random_at_or_above_suggestion": sum(
            judged[str(neurons)]["cross_cue_auroc"] >= judged[str(first)]["cross_cue_auroc"]
            for neurons in chosen["as many at random"]
        ),
        "rows": rows,
    }


def summary(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and interval of each row, and of the suggestion minus it."""
    lines = []
    for row in records[0]["rows"]:
        line: dict[str, Any] = {"row": row}
        for name in SHOWN:
            values = [one["rows"][row][name] for one in records]
            gains = [one["rows"][SUGGESTION][name] - value for one, value in zip(records, values, strict=True)]
            line[name], line[f"{name}_suggestion_minus_this"] = interval(values), interval(gains)
        lines.append(line)
    return lines


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--draws", type=int, default=20, help="random choices in each scenario")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    records = []
    for seed in arguments.seeds:
        one = run_seed(seed, arguments.draws)
        records.append(one)
        print(
            f"seed {seed}: {one['scenario']}, {one['cue_candidates']} of {len(one['candidates'])} candidates carry the cue, "
            f"suggested {one['suggestion']} in {one['cpu_seconds']} s of one core",
            flush=True,
        )
    lines = summary(records)
    print(f"\n{'mean over the scenarios':32s}" + "".join(f"{name:>28s}" for name in SHOWN))
    for line in lines:
        cells = [line[name] for name in SHOWN]
        print(f"{line['row']:32s}" + "".join(f"{mean:>12.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in cells))
    print("\nthe first suggestion minus it")
    for line in lines:
        cells = [line[f"{name}_suggestion_minus_this"] for name in SHOWN]
        print(f"{line['row']:32s}" + "".join(f"{mean:>+11.3f} [{low:+.3f}, {high:+.3f}]" for mean, low, high in cells))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "seeds": arguments.seeds,
        "draws": arguments.draws,
        "suggest": SuggestSettings().model_dump(mode="json"),
        "summary": lines,
        "records": records,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
