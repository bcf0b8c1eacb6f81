"""Stage edit: every edit and control of the approved neurons, and the decision layer that is recommended."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuroinspect.artifacts import (
    RunFolder,
    StageResult,
    read_array,
    read_json,
    read_table,
    run_stage,
    write_json,
    write_tensors,
)
from neuroinspect.editing.comparison import Comparison, compare_edits
from neuroinspect.editing.edit import Edit, uses_neurons
from neuroinspect.editing.problem import EditProblem, make_problem
from neuroinspect.editing.strength import FULL
from neuroinspect.judging.titles import title_of
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params
from neuroinspect.stages.models import classifier_of_run
from neuroinspect.stages.review import require_decision

STAGE_VERSION = 5


def edit(run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Edit the decision layer as the review decided; where nothing is to edit the original is kept.

    Raises:
        StageOrderError: diagnose has not run, or nobody has decided yet.
        ReviewError: the decision answers another finding, or names neurons or classes that do not exist.
    """
    summary = read_json(run.require("diagnose") / "stage.json")["summary"]
    neurons, strength = ({}, FULL) if summary["status"] == "nothing_to_explain" else _approved(run, params)
    classifier = classifier_of_run(run, params)
    inputs = {
        "extract": run.upstream_hash("extract"),
        "diagnose": run.upstream_hash("diagnose"),
        "model": classifier.fingerprint,
        "neurons": neurons,
        "strength": strength,
        "settings": params.edit.model_dump(mode="json"),
        "seed": params.seed,
    }

    def compute(folder: Path) -> Mapping[str, Any]:
        if not neurons:
            kept = _keep_original(folder, classifier.decision_layer, summary)
            return {**kept, "model": classifier.fingerprint}
        problem = _problem(run, classifier.decision_layer, neurons)
        candidates = read_table(run.require("diagnose") / "neurons.parquet")["neuron"].tolist()
        made = compare_edits(
            problem,
            candidates=candidates,
            settings=params.edit,
            seed=params.seed,
            strength=strength,
            progress=progress,
        )
        return {**_keep_edits(folder, made, summary, strength), "model": classifier.fingerprint}

    return run_stage(run, "edit", version=STAGE_VERSION, inputs=inputs, compute=compute)


def _approved(run: RunFolder, params: Params) -> tuple[dict[str, list[int]], float]:
    """Neurons in ascending order, because in which order they were named must not matter, and the strength of the edit."""
    decision = require_decision(run, params)
    if decision.verdict != "approved":
        return {}, FULL
    return {name: sorted(chosen) for name, chosen in decision.neurons.items()}, decision.strength


def _problem(run: RunFolder, decision_layer: nn.Linear, neurons: Mapping[str, Sequence[int]]) -> EditProblem:
    classes = read_json(run.require("extract") / "performance.json")["classes"]
    chosen = {classes.index(name): given for name, given in neurons.items()}
    return make_problem(read_split(run, "train"), read_split(run, "select"), decision_layer, neurons=chosen)


def _keep_edits(folder: Path, made: Comparison, summary: Mapping[str, Any], strength: float) -> Mapping[str, Any]:
    layers = {"original": made.original, **{name: one.decision_layer for name, one in made.edits.items()}}
    write_layers(folder, layers, recommended=made.recommended)
    write_json(
        folder / "edit.json",
        {
            "class": summary["class"],
            "class_index": summary["class_index"],
            "neurons": sorted(made.chosen),
            "strength": strength,
            "family": list(made.family),
            "recommended": made.recommended,
            "refused": dict(made.refused),
            "placebo_refused": dict(made.placebo_refused),
            "methods": _records(made),
        },
    )
    return {
        "class": summary["class"],
        "recommended": made.recommended,
        "layers": len(layers),
        "refused": dict(made.refused),
    }


def _records(comparison: Comparison) -> dict[str, Any]:
    records: dict[str, Any] = {
        "original": {
            "kind": "original",
            "title": title_of("original"),
            "settings": {},
            "neurons": [],
            "score": asdict(comparison.original_score),
            "tries": [],
        }
    }
    for name, one in comparison.edits.items():
        placebo = name.startswith("placebo.")
        title = f"Placebo: {title_of(one.method)}" if placebo else title_of(one.method)
        records[name] = {
            "kind": "control" if placebo or one.method == "retrain" else "edit",
            "title": title,
            "settings": dict(one.settings),
            "neurons": sorted({j for chosen in one.neurons.values() for j in chosen})
            if uses_neurons(one.method)
            else [],
            "score": asdict(one.score),
            "tries": _tries(one),
        }
    return records


def _tries(one: Edit) -> list[dict[str, Any]]:
    return [
        {
            "settings": dict(record.settings),
            "average": record.score.average,
            "worst_class": record.score.worst_class,
            "eligible": record.eligible,
            "chosen": position == one.chosen,
        }
        for position, record in enumerate(one.tries)
    ]


def _keep_original(folder: Path, decision_layer: nn.Linear, summary: Mapping[str, Any]) -> Mapping[str, Any]:
    write_layers(folder, {"original": decision_layer}, recommended="original")
    original = {"kind": "original", "title": title_of("original"), "settings": {}, "neurons": [], "tries": []}
    write_json(
        folder / "edit.json",
        {
            "class": summary["class"],
            "class_index": summary["class_index"],
            "neurons": [],
            "strength": FULL,
            "family": [],
            "recommended": "original",
            "refused": {},
            "placebo_refused": {},
            "methods": {"original": original},
        },
    )
    return {"class": summary["class"], "recommended": "original", "layers": 1, "refused": {}}


def read_split(run: RunFolder, split: str) -> tuple[Tensor, Tensor]:
    """Features (N, F) float32 and labels (N,) int64 of a split.

    Raises:
        StageOrderError: extract has not run.
        ArtifactError: a file is missing or damaged.
    """
    folder = run.require("extract")
    features = torch.from_numpy(read_array(folder / f"features.{split}.npy"))
    labels = torch.tensor(read_table(folder / f"samples.{split}.parquet")["target"].to_numpy(), dtype=torch.int64)
    return features, labels


def write_layers(folder: Path, layers: Mapping[str, nn.Linear], *, recommended: str) -> None:
    """Write layers.safetensors with all layers, and decision_layer.safetensors with the recommended one."""
    tensors = {}
    for name, layer in layers.items():
        tensors[f"{name}.weight"] = layer.weight.detach().clone()
        tensors[f"{name}.bias"] = torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach().clone()
    write_tensors(folder / "layers.safetensors", tensors)
    best = {"weight": tensors[f"{recommended}.weight"], "bias": tensors[f"{recommended}.bias"]}
    write_tensors(folder / "decision_layer.safetensors", best)
