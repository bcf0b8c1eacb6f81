"""Does the tool find a planted cue, and does taking it away help beyond the controls?

    python benchmarks/planted_cue.py --seeds 0 1 2 3 4 5 6 7 8 9 --clean-models 20

For every seed a decision layer is trained on pictures in which one class always shows one background. Neurons are picked twice:
by a reviewer who knows (correlation with the cue above 0.25 on neutral pictures, at most 6 of the top 30) and by the rule of
`--review auto`. All figures are of the test split, which selected nothing; intervals are 95 % bootstrap over the seeds. Prints
the table, keeps it in benchmarks/results/planted_cue.json, and exits 1 when a bound fails.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroinspect.counterfactual import explain_mistakes
from neuroinspect.demo.backbone import scene_net
from neuroinspect.demo.drawing import BACKGROUNDS, OBJECTS, Scenes
from neuroinspect.demo.scenario import Plant, scene_features, scenes_of, train_decision_layer
from neuroinspect.editing.comparison import Comparison, compare_edits
from neuroinspect.editing.problem import make_problem
from neuroinspect.judging.rows import Judge, JudgedSplit
from neuroinspect.judging.verdict import Verdict, reach_verdict
from neuroinspect.ranking import rank_neurons
from neuroinspect.settings import DiagnoseSettings, EditSettings, EvaluateSettings, ReviewSettings

RESULTS = Path(__file__).parent / "results" / "planted_cue.json"
FIGURES = ("class_auroc", "cross_cue_auroc", "average", "class_accuracy", "worst_class")
CUE_NEURON, KNOWN_PICK, KNOWN_MOST = 0.5, 0.25, 6
METHODS = ("ratio", "con", "bias", "ablate_refit", "cue_erasure")


@dataclass(frozen=True, eq=False)
class World:
    """One trained model: its scenes and features by split, its decision layer, and the class to debug."""

    scenes: Mapping[str, Scenes]
    features: Mapping[str, Tensor]
    decision_layer: nn.Linear
    class_index: int
    insufficient: list[int]
    excessive: list[int]
    mistakes: int

    def labels(self, split: str) -> Tensor:
        """Class numbers (N,)."""
        return torch.from_numpy(self.scenes[split].objects)


def make_world(plant: Plant, *, splits: Sequence[str], worst: bool = False) -> World:
    """Train a model and rank its neurons, for the planted class or for the worst one."""
    model = scene_net()
    scenes = {split: scenes_of(plant, split) for split in splits}
    features = {split: scene_features(one, model) for split, one in scenes.items()}
    labels = {split: torch.from_numpy(one.objects) for split, one in scenes.items()}
    layer = train_decision_layer(features["train"], labels["train"], num_classes=len(OBJECTS))
    right = layer(features["select"]).argmax(1) == labels["select"]
    accuracy = [float(right[labels["select"] == index].float().mean()) for index in range(len(OBJECTS))]
    index = int(np.argmin(accuracy)) if worst else OBJECTS.index(plant.object_name)
    mistakes = ~right & (labels["select"] == index)
    settings = DiagnoseSettings()
    shifts = explain_mistakes(
        features["select"][mistakes], labels["select"][mistakes], layer, settings=settings.counterfactual
    ).shifts
    ranking = rank_neurons(shifts, top_k=settings.top_k, min_share=settings.min_share, strict_sign=settings.strict_sign)
    top = [table["neuron"].tolist()[: settings.max_neurons] for table in (ranking.insufficient, ranking.excessive)]
    return World(scenes, features, layer, index, top[0], top[1], int(mistakes.sum()))


def cue_correlation(world: World, cue: str) -> NDArray[np.float64]:
    """Correlation (F,) of each neuron with the cue on neutral pictures."""
    shows = (world.scenes["test"].backgrounds == BACKGROUNDS.index(cue)).astype(float)
    features = world.features["test"].double().numpy()
    centred, shows = features - features.mean(0), shows - shows.mean()
    spread = np.maximum(features.std(0) * shows.std(), 1e-12)
    return np.asarray((centred * shows[:, None]).mean(0) / spread)


def compare(world: World, neurons: Sequence[int], *, seed: int, methods: Sequence[str]) -> Comparison:
    """All edits and controls of the picked neurons."""
    problem = make_problem(
        (world.features["train"], world.labels("train")),
        (world.features["select"], world.labels("select")),
        world.decision_layer,
        neurons={world.class_index: neurons},
    )
    settings = EditSettings(methods=tuple(methods))
    return compare_edits(problem, candidates=[*world.insufficient, *world.excessive], settings=settings, seed=seed)


def layers_by_name(compared: Comparison) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Every layer; the draws of a placebo under one name."""
    layers = {"original": [(compared.original.weight, compared.original.bias)]}
    for name, one in compared.edits.items():
        group = name.rpartition(".")[0] if name.startswith("placebo.") else name
        layers.setdefault(group, []).append((one.decision_layer.weight, one.decision_layer.bias))
    return layers


def judge_of(world: World, split: str, cue: str | None) -> Judge:
    """A judge of one split."""
    scenes = world.scenes[split]
    groups = [BACKGROUNDS[index] for index in scenes.backgrounds]
    judged = JudgedSplit(world.features[split], scenes.objects, groups, OBJECTS, world.class_index, cue, {})
    return Judge(judged, settings=EvaluateSettings(), seed=0)


def figures(judge: Judge, layers: Sequence[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Mean figures of one or several layers."""
    drawn = [judge.statistics(layer) for layer in layers]
    once = np.ones((1, judge.count))
    return {name: float(np.mean([one[name](once)[0] for one in drawn])) for name in FIGURES}


def run_seed(seed: int, others_cue_rate: float) -> dict[str, Any]:
    """One planted scenario."""
    index = seed % len(OBJECTS)
    plant = Plant(
        OBJECTS[index], BACKGROUNDS[(seed + seed // 6 + 1) % len(BACKGROUNDS)], seed, others_cue_rate=others_cue_rate
    )
    world = make_world(plant, splits=("train", "select", "test"))
    correlation = cue_correlation(world, plant.background)
    known = [j for j in world.insufficient if correlation[j] > KNOWN_PICK][:KNOWN_MOST]
    auto = world.insufficient[: ReviewSettings().auto_count]
    record: dict[str, Any] = {
        "seed": seed,
        "scenario": f"{plant.object_name}+{plant.background}",
        "mistakes": world.mistakes,
        "cue_neuron_in_top_5": bool((correlation[world.insufficient[:5]] > CUE_NEURON).any()),
        "picks": {"known": known, "auto": auto},
    }
    judge = judge_of(world, "test", plant.background)
    for who, picks in (("known", known), ("auto", auto)):
        compared = compare(world, picks or auto, seed=seed, methods=METHODS)
        rows = {name: figures(judge, group) for name, group in layers_by_name(compared).items()}
        rows["recommended"] = rows[compared.recommended]
        record[who] = {"recommended": compared.recommended, "rows": rows}
    return record


def clean_verdict(seed: int) -> Verdict:
    """The tool's verdict on a model without any cue, for its worst class and the neurons the auto rule picks."""
    plant = Plant(OBJECTS[0], BACKGROUNDS[0], 1000 + seed, clean=True)
    world = make_world(plant, splits=("train", "select", "judge"), worst=True)
    picks = world.insufficient[: ReviewSettings().auto_count]
    if not picks:
        return Verdict("nothing_to_explain", "no mistakes", ())
    compared = compare(world, picks, seed=seed, methods=EditSettings().methods)
    judge = judge_of(world, "judge", None)
    layers = layers_by_name(compared)
    return reach_verdict(
        {name: judge.row(group) for name, group in layers.items()},
        judge.differences(layers, controls=("original", "retrain", "placebo")),
        class_name=OBJECTS[world.class_index],
        recommended=compared.recommended,
        minimum_effect=EvaluateSettings().minimum_effect,
    )


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean with a 95 % bootstrap interval over the seeds."""
    array = np.asarray(values)
    drawn = np.random.default_rng(0).choice(array, size=(10_000, len(array))).mean(1)
    return float(array.mean()), float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def check_bounds(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The promises, each with its figure."""

    def mean(who: str, row: str, figure: str = "cross_cue_auroc") -> float:
        return float(np.mean([one[who]["rows"][row][figure] for one in records]))

    found = sum(one["cue_neuron_in_top_5"] for one in records)
    needed = 0.8 * len(records)
    erased = {who: mean(who, "cue_erasure") - mean(who, "retrain") for who in ("known", "auto")}
    lifted = {who: mean(who, "recommended", "worst_class") - mean(who, "original", "worst_class") for who in erased}
    kept = {who: mean(who, "recommended", "average") - mean(who, "original", "average") for who in erased}
    ratio = mean("known", "ratio")
    bounds = [
        ("a cue neuron is among the top 5 insufficient, models", found, ">=", needed),
        ("paper's edit above placebo, cross-cue AUROC", ratio - mean("known", "placebo.ratio"), ">=", 0.03),
        ("paper's edit above retrain-only, cross-cue AUROC", ratio - mean("known", "retrain"), ">=", 0.01),
        ("cue erasure above retrain-only, cross-cue AUROC", erased["known"], ">=", 0.12),
        (
            "cue erasure from placebo above retrain-only",
            mean("known", "placebo.cue_erasure") - mean("known", "retrain"),
            "<=",
            0.02,
        ),
        ("recommended layer, gain of the worst class", lifted["known"], ">=", 0.20),
        ("recommended layer, change of the average", kept["known"], ">=", 0.0),
        ("nobody choosing: cue erasure above retrain-only", erased["auto"], ">=", 0.12),
        ("nobody choosing: gain of the worst class", lifted["auto"], ">=", 0.20),
        ("nobody choosing: change of the average", kept["auto"], ">=", 0.0),
    ]
    return [
        {
            "bound": text,
            "value": value,
            "rule": f"{sign} {limit:g}",
            "holds": value >= limit if sign == ">=" else value <= limit,
        }
        for text, value, sign, limit in bounds
    ]


def table(records: Sequence[Mapping[str, Any]], who: str) -> Iterable[str]:
    """Lines of one table."""
    yield f"{'neurons picked by: ' + who:32s}" + "".join(f"{name:>28s}" for name in FIGURES)
    for row in records[0][who]["rows"]:
        cells = [interval([one[who]["rows"][row][figure] for one in records]) for figure in FIGURES]
        yield f"{row:32s}" + "".join(f"{mean:>12.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in cells)


def main() -> int:
    """Run, print, keep, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument(
        "--clean-models", type=int, default=0, help="also: how often a cause is claimed where there is none"
    )
    parser.add_argument(
        "--others-cue-rate", type=float, default=0.0, help="of the other classes' pictures that show the cue"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    records = []
    for seed in arguments.seeds:
        records.append(run_seed(seed, arguments.others_cue_rate))
        print(f"seed {seed}: {records[-1]['scenario']}, picks {records[-1]['picks']}", flush=True)
    for who in ("known", "auto"):
        print("\n" + "\n".join(table(records, who)))
    bounds = check_bounds(records)
    claims = []
    for seed in range(arguments.clean_models):
        verdict = clean_verdict(seed)
        claims.append(verdict.status)
        print(f"clean model {seed}: {verdict.status}", flush=True)
    if claims:
        claimed = sum(status.startswith("found") for status in claims)
        limit = max(1, len(claims) // 20)
        bounds.append(
            {
                "bound": "causes claimed on clean models",
                "value": claimed,
                "rule": f"<= {limit}",
                "holds": claimed <= limit,
            }
        )
    print()
    for bound in bounds:
        print(f"{'holds' if bound['holds'] else 'FAILS':6s} {bound['bound']}: {bound['value']:.3f} ({bound['rule']})")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    world = {"seeds": arguments.seeds, "others_cue_rate": arguments.others_cue_rate}
    kept = {**world, "records": records, "bounds": bounds, "clean": claims, "versions": versions}
    arguments.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0 if all(bound["holds"] for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
