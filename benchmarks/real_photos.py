"""Does cue erasure work on real photos? A label drawn on a class, any class in turn.

    python -m benchmarks.real_photos --photos ../shared/real/clothing

On every training photo of one class, and on 1 % of the others, a red "SALE" label is drawn; a decision layer is trained on
features of a published ImageNet backbone. 60 % of images/train train it, 40 % with the label on a random 30 % select, and
both versions of images/validation judge. Neurons are picked by a reviewer who knows (correlation with the label above 0.25 on
the selecting photos, at most 6 of the top 30) and, nobody choosing, as the top 3. Every class is planted once for every seed;
intervals are 95 % bootstrap over these scenarios. A refused edit leaves the retrained layer in place, so it counts without a
gain. Prints the table, keeps it in benchmarks/results/real_photos.json, and exits 1 when a bound fails.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.labelled_photos import (
    FOLDER_VARIABLE,
    LABELS,
    Photos,
    Shop,
    Split,
    label_correlation,
    load_photos,
    make_shop,
    photo_folder,
    take_share,
)
from benchmarks.planted_cue import KNOWN_MOST, KNOWN_PICK, interval
from neuroinspect.counterfactual import explain_mistakes
from neuroinspect.editing.comparison import FAMILY_SIZE
from neuroinspect.editing.controls import placebo_neurons
from neuroinspect.editing.edit import Edit, edit_all, plan_edit
from neuroinspect.editing.problem import EditProblem, make_problem
from neuroinspect.errors import DataError, EvidenceError
from neuroinspect.judging.rows import Judge, JudgedSplit
from neuroinspect.masking import neuron_family
from neuroinspect.ranking import rank_neurons
from neuroinspect.settings import DiagnoseSettings, EditSettings, EvaluateSettings, EvidenceSettings

RESULTS = Path(__file__).parent / "results" / "real_photos.json"
FIGURES = ("cross_cue_auroc", "class_auroc", "average", "class_accuracy")
FEWER_PICKS, TOP_RANKED, PLACEBO_DRAWS = (1, 2, 3), 3, 3
SMALL_SAMPLES = (171, 60)
SHOWN_BY_CLASS = ("original", "retrain", "placebo", "ratio", "cue_erasure")
Layers = dict[str, list[tuple[Tensor, Tensor]]]


def rank_candidates(split: Split, layer: torch.nn.Linear, *, class_index: int) -> tuple[list[int], int]:
    """The insufficient neurons of the class's mistakes, and how many mistakes there are."""
    wrong = (layer(split.features).argmax(1) != split.labels) & (split.labels == class_index)
    if not wrong.any():
        return [], 0
    settings = DiagnoseSettings()
    shifts = explain_mistakes(split.features[wrong], split.labels[wrong], layer, settings=settings.counterfactual)
    ranking = rank_neurons(
        shifts.shifts, top_k=settings.top_k, min_share=settings.min_share, strict_sign=settings.strict_sign
    )
    return ranking.insufficient["neuron"].tolist()[: settings.max_neurons], int(wrong.sum())


def make_layers(
    shop: Shop, *, class_index: int, known: Sequence[int], top: Sequence[int], seed: int
) -> tuple[Layers, dict[str, str]]:
    """The decision layer of every row of the table, several of a placebo; and why a row was refused."""
    settings = EditSettings(placebo_draws=PLACEBO_DRAWS)
    problem = problem_of(shop, class_index, known or top)
    wanted: list[tuple[str, str, Sequence[int]]] = []
    if known:
        wanted += [(method, method, known) for method in ("ratio", "ablate_refit", "cue_erasure")]
        wanted += [(f"cue_erasure from {count}", "cue_erasure", known[:count]) for count in FEWER_PICKS]
        wanted += [(f"placebo.{draw}", "cue_erasure", drawn) for draw, drawn in enumerate(_placebo(problem, seed))]
    wanted.append((f"cue_erasure from the top {TOP_RANKED}", "cue_erasure", top))
    planned, refused = {"retrain": plan_edit(problem, "retrain", settings=settings)}, {}
    for name, method, neurons in wanted:
        try:
            planned[name] = plan_edit(problem.with_neurons({class_index: neurons}), method, settings=settings)
        except EvidenceError as error:
            refused[name] = str(error)
    original: Layers = {"original": [(problem.weight, problem.bias)]}
    return original | layers_of(edit_all(planned, settings=settings)), refused


def problem_of(shop: Shop, class_index: int, neurons: Sequence[int]) -> EditProblem:
    """What an edit of this classifier starts from."""
    return make_problem(
        (shop.train.features, shop.train.labels),
        (shop.select.features, shop.select.labels),
        shop.decision_layer,
        neurons={class_index: neurons},
    )


def layers_of(edits: Mapping[str, Edit]) -> Layers:
    """The layers by row; the draws of a placebo under one name."""
    layers: Layers = {}
    for name, edit in edits.items():
        layer = (edit.decision_layer.weight, edit.decision_layer.bias)
        layers.setdefault(name.partition(".")[0], []).append(layer)
    return layers


def _placebo(problem: EditProblem, seed: int) -> list[tuple[int, ...]]:
    chosen = [neuron for group in problem.neurons.values() for neuron in group]
    return placebo_neurons(
        count=len(chosen),
        draws=PLACEBO_DRAWS,
        num_features=problem.weight.shape[1],
        suspected=neuron_family(problem.validation_features, chosen, size=FAMILY_SIZE),
        chosen=chosen,
        generator=torch.Generator().manual_seed(seed),
    )


def judge_layers(shop: Shop, layers: Layers, *, class_index: int, class_names: Sequence[str]) -> dict[str, Any]:
    """Figures of every row; those of a placebo are the mean of its draws."""
    split = shop.judge
    groups = ["label" if shown else "plain" for shown in split.shows.tolist()]
    judged = JudgedSplit(split.features, split.labels.numpy(), groups, class_names, class_index, "label", {})
    judge = Judge(judged, settings=EvaluateSettings(), seed=0)
    once = np.ones((1, judge.count))
    rows = {}
    for name, group in layers.items():
        drawn = [judge.statistics(layer) for layer in group]
        rows[name] = {figure: float(np.mean([one[figure](once)[0] for one in drawn])) for figure in FIGURES}
    return rows


def try_small_sample(shop: Shop, count: int, *, class_index: int, class_names: Sequence[str]) -> dict[str, Any]:
    """The same with few selecting photos: whether cue erasure is refused, and what it would have gained."""
    few = take_share(shop, count)
    ranked, mistakes = rank_candidates(few.select, few.decision_layer, class_index=class_index)
    correlation = label_correlation(shop.select)
    known = [j for j in ranked if correlation[j] > KNOWN_PICK][:KNOWN_MOST]
    record = {"photos": len(few.select.labels), "mistakes": mistakes, "picks": known, "refused": None, "gain": None}
    if known:
        problem, settings = problem_of(few, class_index, known), EditSettings()
        try:
            plan_edit(problem, "cue_erasure", settings=settings)
        except EvidenceError as error:
            record["refused"] = str(error)
        forced = settings.model_copy(update={"evidence": EvidenceSettings(min_agreement=-1)})
        planned = {name: plan_edit(problem, name, settings=forced) for name in ("retrain", "cue_erasure")}
        layers = layers_of(edit_all(planned, settings=forced))
        rows = judge_layers(shop, layers, class_index=class_index, class_names=class_names)
        record["gain"] = rows["cue_erasure"]["cross_cue_auroc"] - rows["retrain"]["cross_cue_auroc"]
    return record


def run_scenario(photos: Photos, *, class_index: int, seed: int) -> dict[str, Any]:
    """One class planted, one draw of the photos."""
    shop = make_shop(photos, class_index=class_index, seed=seed)
    names = photos.class_names
    ranked, mistakes = rank_candidates(shop.select, shop.decision_layer, class_index=class_index)
    correlation = label_correlation(shop.select)
    known = [j for j in ranked if correlation[j] > KNOWN_PICK][:KNOWN_MOST]
    top = ranked[:TOP_RANKED]
    layers, refused = make_layers(shop, class_index=class_index, known=known, top=top, seed=seed)
    return {
        "seed": seed,
        "class": names[class_index],
        "mistakes": mistakes,
        "picks": {"known": known, "top": top},
        "refused": refused,
        "rows": judge_layers(shop, layers, class_index=class_index, class_names=names),
        "small": [try_small_sample(shop, count, class_index=class_index, class_names=names) for count in SMALL_SAMPLES],
    }


def figure_of(record: Mapping[str, Any], row: str, figure: str = FIGURES[0]) -> float:
    """A figure of one scenario; where a row was refused or nobody could pick, that of the retrained layer."""
    rows = record["rows"]
    return float(rows.get(row, rows["retrain"])[figure])


def check_bounds(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The promises, each with its figure."""

    def gain(row: str, against: str, figure: str = FIGURES[0]) -> float:
        return float(np.mean([figure_of(one, row, figure) - figure_of(one, against, figure) for one in records]))

    refused = np.mean([bool(one["refused"].get("cue_erasure")) for one in records])
    fewest = [one["small"][-1] for one in records if one["small"][-1]["picks"]]
    bounds: list[tuple[str, float, str, float]] = [
        (
            f"cue erasure from at most {KNOWN_MOST} neurons above retrain-only, cross-cue AUROC",
            gain("cue_erasure", "retrain"),
            ">=",
            0.06,
        ),
        ("cue erasure from placebo, distance to retrain-only", abs(gain("placebo", "retrain")), "<=", 0.02),
        ("cue erasure, change of the average", gain("cue_erasure", "original", "average"), ">=", 0.0),
        ("refused with all selecting photos, scenarios", float(refused), "<=", 0.0),
        (
            f"refused with {SMALL_SAMPLES[-1]} selecting photos, scenarios",
            float(np.mean([one["refused"] is not None for one in fewest])),
            ">=",
            0.9,
        ),
    ]
    return [
        {
            "bound": text,
            "value": float(value),
            "rule": f"{sign} {limit:g}",
            "holds": bool(value >= limit if sign == ">=" else value <= limit),
        }
        for text, value, sign, limit in bounds
    ]


def table(records: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Lines of the table, then cross-cue AUROC by class, then the small samples."""
    yield f"{len(records)} scenarios".ljust(32) + "".join(f"{name:>24s}" for name in FIGURES)
    for row in dict.fromkeys(name for one in records for name in one["rows"]):
        cells = [interval([figure_of(one, row, figure) for one in records]) for figure in FIGURES]
        yield f"{row:32s}" + "".join(f"{mean:>8.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in cells)
    for name in dict.fromkeys(one["class"] for one in records):
        own = [one for one in records if one["class"] == name]
        means = [f"{row} {np.mean([figure_of(one, row) for one in own]):.3f}" for row in SHOWN_BY_CLASS]
        yield f"{name:32s}" + ", ".join(means)
    for position, count in enumerate(SMALL_SAMPLES):
        small = [one["small"][position] for one in records if one["small"][position]["picks"]]
        for word, group in (
            ("refused", [one for one in small if one["refused"]]),
            ("edited", [one for one in small if not one["refused"]]),
        ):
            gain = np.mean([one["gain"] for one in group]) if group else float("nan")
            yield f"{count} selecting photos: {word} {len(group)} of {len(small)}, gain of the edit {gain:.3f}"


def main() -> int:
    """Run, print, keep, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, help=f"their folder; or set {FOLDER_VARIABLE}; else beside the project")
    parser.add_argument("--label", choices=sorted(LABELS), default="small", help="size of the drawn label")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--classes", nargs="+", help="plant these classes only")
    parser.add_argument("--cache", type=Path, help="folder that keeps the features of the photos")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    try:
        photos = load_photos(photo_folder(arguments.photos), size=arguments.label, cache=arguments.cache)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    records = []
    for seed in arguments.seeds:
        for index, name in enumerate(photos.class_names):
            if arguments.classes is None or name in arguments.classes:
                records.append(run_scenario(photos, class_index=index, seed=seed))
                retrain, erased = (figure_of(records[-1], row) for row in ("retrain", "cue_erasure"))
                print(f"seed {seed}: {name}, picks {records[-1]['picks']}, {retrain:.3f} -> {erased:.3f}", flush=True)
    print("\n" + "\n".join(table(records)) + "\n")
    bounds = check_bounds(records)
    for bound in bounds:
        print(f"{'holds' if bound['holds'] else 'FAILS':6s} {bound['bound']}: {bound['value']:.3f} ({bound['rule']})")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    world = {"seeds": arguments.seeds, "label": arguments.label}
    kept = {**world, "records": records, "bounds": bounds, "versions": versions}
    arguments.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0 if all(bound["holds"] for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
