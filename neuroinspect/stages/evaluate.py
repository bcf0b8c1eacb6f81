"""Stage evaluate: judge every edit and control on samples that selected nothing, and reach the verdict."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from neuroinspect.artifacts import (
    RunFolder,
    StageResult,
    read_array,
    read_json,
    read_table,
    read_tensors,
    run_stage,
    write_bytes,
    write_json,
    write_table,
)
from neuroinspect.judging.cue import cue_group
from neuroinspect.judging.retest import TOP, retest, retest_sentences
from neuroinspect.judging.rows import Judge, JudgedSplit, Layers
from neuroinspect.judging.verdict import PRESPECIFIED, Verdict, nothing_to_explain, reach_verdict
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params

STAGE_VERSION = 5
CONTROLS = ("original", "retrain", "placebo")
FIGURES = {
    "worst_class": "worst_class_accuracy",
    "worst_group": "worst_group_accuracy",
    "average": "average_accuracy",
    "class_accuracy": "class_accuracy",
    "class_auroc": "class_auroc",
    "cross_cue_auroc": "cross_cue_auroc",
}
"""Figures of metrics.json that summary.json and methods.csv repeat, and what they are called there."""


def evaluate(run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Judge the layers of the edit stage on `judge`, and on `test` where there is one.

    Raises:
        StageOrderError: edit has not run.
        ArtifactError: a file of the run folder is missing or damaged.
    """
    inputs = {
        "extract": run.upstream_hash("extract"),
        "diagnose": run.upstream_hash("diagnose"),
        "edit": run.upstream_hash("edit"),
        "settings": params.evaluate.model_dump(mode="json"),
        # what the re-test takes from the settings of the diagnosis
        "retest": params.diagnose.model_dump(
            mode="json",
            include={"counterfactual", "top_k", "strict_sign"},
            exclude={"counterfactual": {"memory_cap_mb"}},
        ),
        "seed": params.seed,
    }
    return run_stage(
        run,
        "evaluate",
        version=STAGE_VERSION,
        inputs=inputs,
        compute=lambda folder: _evaluate(folder, run, params, progress=progress),
    )


def _evaluate(folder: Path, run: RunFolder, params: Params, *, progress: Progress) -> Mapping[str, Any]:
    record = read_json(run.require("edit") / "edit.json")
    diagnosis = read_json(run.require("diagnose") / "stage.json")["summary"]
    layers = read_layers(run.require("edit") / "layers.safetensors")
    samples = {split: _samples(run, split) for split in ("train", "judge", "test") if _has(run, split)}
    classes = read_json(run.require("extract") / "performance.json")["classes"]
    # a perfect classifier has no class to debug; its figures are given for the first class
    class_index = int(record["class_index"] or 0)
    cue = cue_group(samples["train"]["target"].to_numpy(), groups_of(samples["train"]), class_index=class_index)
    splits: dict[str, Any] = {}
    for split in ("judge", "test"):
        if split in samples:
            judged = JudgedSplit(
                features=torch.from_numpy(read_array(run.stage("extract") / f"features.{split}.npy")),
                targets=samples[split]["target"].to_numpy(np.int64),
                groups=groups_of(samples[split]),
                class_names=classes,
                class_index=class_index,
                cue=cue,
                training_sizes=_cell_sizes(samples["train"]),
            )
            splits[split] = _judge(judged, layers, record, params=params, progress=progress)
            write_table(folder / f"confusion.{split}.parquet", _confusion(judged, layers, record["recommended"]))
            if split == "judge":
                retested = _retest(judged, layers, record, params=params)
                write_json(folder / "retest.json", retested)
    verdict = _verdict(splits["judge"], record, diagnosis, params=params)
    write_json(
        folder / "metrics.json",
        {
            "class": record["class"],
            "class_index": record["class_index"],
            "cue_group": cue,
            "recommended": record["recommended"],
            "splits": splits,
            "verdict": {"status": verdict.status, "sentence": verdict.sentence, "details": list(verdict.details)},
        },
    )
    _write_summary(folder, splits["judge"]["rows"], record, status=verdict.status)
    return {
        "status": verdict.status,
        "verdict": verdict.sentence,
        "recommended": record["recommended"],
        "surely_better": verdict.surely_better,
        "retest": [one["sentences"][0] for one in retested["layers"].values()],
    }


def _retest(judged: JudgedSplit, layers: Layers, record: Mapping[str, Any], *, params: Params) -> dict[str, Any]:
    """The re-test of the recommended layer and of the one the verdict is about; empty where no neuron was chosen."""
    about = next((name for name in PRESPECIFIED if name in layers), "original")
    names = [name for name in dict.fromkeys((record["recommended"], about)) if name != "original"]
    found = {}
    for name in names if record["neurons"] else []:
        one = retest(judged, layers["original"][0], layers[name][0], chosen=record["neurons"], settings=params.diagnose)
        title = record["methods"][name]["title"]
        sentences = retest_sentences(one, class_name=record["class"], title=title)
        found[name] = {"title": title, "sentences": sentences, **_rounded(asdict(one))}
    return {"class": record["class"], "cue_group": judged.cue, "top": TOP, "layers": found}


def _rounded(value: Any) -> Any:
    """The same with floats to six digits."""
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(inner) for inner in value]
    return round(value, 6) if isinstance(value, float) else value


def _judge(
    judged: JudgedSplit, layers: Layers, record: Mapping[str, Any], *, params: Params, progress: Progress
) -> dict[str, Any]:
    judge = Judge(judged, settings=params.evaluate, seed=params.seed)
    rows = []
    for done, (name, group) in enumerate(layers.items()):
        progress("judging decision layers", done, len(layers))
        known = next(made for key, made in record["methods"].items() if name in (key, key.rpartition(".")[0]))
        figures = judge.row(group, placebo=name.startswith("placebo."))
        rows.append({"name": name, "kind": known["kind"], "title": known["title"], **figures})
    differences = judge.differences(layers, controls=CONTROLS)
    progress("judging decision layers", len(layers), len(layers))
    return {"count": len(judged.targets), "rows": rows, "differences": differences}


def _write_summary(folder: Path, rows: list[dict[str, Any]], record: Mapping[str, Any], *, status: str) -> None:
    """Write figures of the judge split as `dvc metrics` and `dvc plots` read them; a figure that is not known is left out."""
    by_name = {row["name"]: row for row in rows}
    sides = {"before": by_name["original"], "after": by_name[record["recommended"]]}
    summary = {"class": record["class"], "recommended": record["recommended"], "status": status}
    for figure, name in FIGURES.items():
        known = {side: row[figure]["value"] for side, row in sides.items() if row[figure] is not None}
        summary |= {f"{name}_{side}": value for side, value in known.items()}
    # without a schema version, which would be shown as one more metric
    write_bytes(folder / "summary.json", (json.dumps(summary, indent=2, ensure_ascii=False) + "\n").encode())

    methods = [
        {"method": row["title"]} | {name: (row[figure] or {}).get("value") for figure, name in FIGURES.items()}
        for row in rows
    ]
    classes = [
        {"class": name, "layer": side, "accuracy": cell["value"]}
        for side, row in sides.items()
        for name, cell in row["per_class"].items()
    ]
    for file, lines in (("methods.csv", methods), ("per_class.csv", classes)):
        write_bytes(folder / file, pd.DataFrame(lines).to_csv(index=False, lineterminator="\n").encode())


def _verdict(
    split: Mapping[str, Any], record: Mapping[str, Any], diagnosis: Mapping[str, Any], *, params: Params
) -> Verdict:
    if diagnosis["status"] == "nothing_to_explain":
        return nothing_to_explain(record["class"])
    return reach_verdict(
        {row["name"]: row for row in split["rows"]},
        split["differences"],
        class_name=record["class"],
        recommended=record["recommended"],
        minimum_effect=params.evaluate.minimum_effect,
        refused=record["refused"],
    )


def read_layers(path: Path) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Decision layers by name; the draws of a placebo come under one name.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    tensors = read_tensors(path)
    layers: dict[str, list[tuple[Tensor, Tensor]]] = {}
    names = sorted(key.removesuffix(".weight") for key in tensors if key.endswith(".weight"))
    for name in sorted(names, key=lambda one: (one != "original", one != "retrain", one)):
        group = name.rpartition(".")[0] if name.startswith("placebo.") else name
        layers.setdefault(group, []).append((tensors[f"{name}.weight"], tensors[f"{name}.bias"]))
    return layers


def _has(run: RunFolder, split: str) -> bool:
    return (run.require("extract") / f"samples.{split}.parquet").exists()


def _samples(run: RunFolder, split: str) -> pd.DataFrame:
    return read_table(run.require("extract") / f"samples.{split}.parquet")


def groups_of(samples: pd.DataFrame) -> list[str | None]:
    """Attribute of each sample, None where unknown."""
    return [None if pd.isna(group) else str(group) for group in samples["group"]]


def _cell_sizes(samples: pd.DataFrame) -> dict[tuple[int, str], int]:
    cells = zip(samples["target"], groups_of(samples), strict=True)
    return dict(Counter((int(target), group) for target, group in cells if group is not None))


def _confusion(judged: JudgedSplit, layers: Layers, recommended: str) -> pd.DataFrame:
    """Counts of (layer, true class, predicted class), for the original and the recommended layer."""
    tables = []
    for name in dict.fromkeys(("original", recommended)):
        weight, bias = layers[name][0]
        predictions = (judged.features @ weight.T + bias).argmax(1).numpy()
        table = pd.DataFrame(
            {
                "layer": name,
                "true": [judged.class_names[k] for k in judged.targets],
                "predicted": [judged.class_names[k] for k in predictions],
            }
        )
        tables.append(table.value_counts().rename("count").reset_index().sort_values(["layer", "true", "predicted"]))
    return pd.concat(tables, ignore_index=True)
