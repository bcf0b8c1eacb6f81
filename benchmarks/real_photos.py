"""Does cue erasure work on real photos? The second half of method.md section 5, for any class.

    python -m benchmarks.real_photos --photos ../shared/real/clothing

On every training photo of one class, and on 1 % of the others, a red "SALE" label is drawn; a decision layer is trained on
features of a published ImageNet backbone. 60 % of images/train train it, 40 % with the label on a random 30 % select, and
both versions of images/validation judge. Neurons are picked by a reviewer who knows (correlation with the label above 0.25 on
the selecting photos, at most 6 of the top 30) and, nobody choosing, as the top 3. Every class is planted once for every seed;
intervals are 95 % bootstrap over these scenarios. A refused edit leaves the retrained layer in place, so it counts without a
gain. Prints the table, keeps it in benchmarks/results/real_photos.json, and exits 1 when a bound fails.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.labelled_photos import Photos, Shop, Split, label_correlation, make_shop
from benchmarks.planted_cue import KNOWN_MOST, KNOWN_PICK
from neuroinspect.counterfactual import explain_mistakes
from neuroinspect.editing.comparison import FAMILY_SIZE
from neuroinspect.editing.controls import placebo_neurons
from neuroinspect.editing.edit import edit_all, plan_edit
from neuroinspect.editing.problem import EditProblem, make_problem
from neuroinspect.errors import EvidenceError
from neuroinspect.judging.rows import Judge, JudgedSplit
from neuroinspect.masking import neuron_family
from neuroinspect.ranking import rank_neurons
from neuroinspect.settings import DiagnoseSettings, EditSettings, EvaluateSettings

RESULTS = Path(__file__).parent / "results" / "real_photos.json"
FIGURES = ("cross_cue_auroc", "class_auroc", "average", "class_accuracy")
FEWER_PICKS, TOP_RANKED, PLACEBO_DRAWS = (1, 2, 3), 3, 3
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
    problem = make_problem(
        (shop.train.features, shop.train.labels),
        (shop.select.features, shop.select.labels),
        shop.decision_layer,
        neurons={class_index: known or top},
    )
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
    layers: Layers = {"original": [(problem.weight, problem.bias)]}
    for name, edit in edit_all(planned, settings=settings).items():
        layer = (edit.decision_layer.weight, edit.decision_layer.bias)
        layers.setdefault(name.partition(".")[0], []).append(layer)
    return layers, refused


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


def run_scenario(photos: Photos, *, class_index: int, seed: int) -> dict[str, Any]:
    """One class planted, one draw of the photos."""
    shop = make_shop(photos, class_index=class_index, seed=seed)
    ranked, mistakes = rank_candidates(shop.select, shop.decision_layer, class_index=class_index)
    correlation = label_correlation(shop.select)
    known = [j for j in ranked if correlation[j] > KNOWN_PICK][:KNOWN_MOST]
    top = ranked[:TOP_RANKED]
    layers, refused = make_layers(shop, class_index=class_index, known=known, top=top, seed=seed)
    return {
        "seed": seed,
        "class": photos.class_names[class_index],
        "mistakes": mistakes,
        "picks": {"known": known, "top": top},
        "refused": refused,
        "rows": judge_layers(shop, layers, class_index=class_index, class_names=photos.class_names),
    }
