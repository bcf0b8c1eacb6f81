"""A run folder drawn by hand, so that the report can be tested and looked at without computing anything.

`python -m tests.report_run FOLDER` makes every variant there and renders it.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from neuroinspect.artifacts import RunFolder, write_json, write_table
from neuroinspect.demo.drawing import BACKGROUNDS, COLOURS, OBJECTS, Scenes, draw, scene_keys
from neuroinspect.settings import DataSettings, GuideSettings, ModelSettings, Params

METHODS = ("ratio", "bias", "ablate_refit", "cue_erasure")
PLACEBOS = ("ratio", "ablate_refit", "cue_erasure")
TITLES = {
    "original": "Original",
    "retrain": "Retrain only",
    "ratio": "Ratio edit",
    "bias": "Bias",
    "ablate_refit": "Ablate and refit",
    "cue_erasure": "Cue erasure",
}
# (average, class accuracy, class AUROC, cross-cue AUROC)
FIGURES = {
    "original": (0.800, 0.482, 0.949, 0.720),
    "retrain": (0.806, 0.505, 0.952, 0.743),
    "ratio": (0.806, 0.700, 0.949, 0.740),
    "placebo.ratio": (0.811, 0.608, 0.946, 0.704),
    "bias": (0.825, 0.781, 0.949, 0.720),
    "ablate_refit": (0.826, 0.623, 0.965, 0.835),
    "placebo.ablate_refit": (0.805, 0.500, 0.951, 0.736),
    "cue_erasure": (0.865, 0.843, 0.985, 0.961),
    "placebo.cue_erasure": (0.806, 0.512, 0.951, 0.731),
}
VERDICTS = {
    "found_and_helped": (
        "Boats are recognised by their water, and erasing that cue helped beyond every control.",
        [
            "Found: neurons 12, 31 and 44 fire on water; 43 of 83 boats are missed, most of them away from water.",
            "Helped: cue erasure lifts the cross-cue AUROC by 0.241 over the original and by 0.230 over its placebo.",
            "How sure: on 960 pictures nothing was chosen on, the gain over retraining is 0.203 to 0.231.",
        ],
    ),
    "found_no_gain": (
        "Neurons were found for boats, but no edit did better than its controls.",
        [
            "The best edit is 0.002 in class AUROC above retraining alone; the interval holds zero.",
            "Keep the original.",
        ],
    ),
    "nothing_found": (
        "No neuron explains the mistakes of boats.",
        ["The reviewer rejected the finding, so nothing was edited."],
    ),
    "nothing_to_explain": (
        "There is nothing to explain: the classifier makes no mistakes on its worst class.",
        ["Every one of the 80 boats of the select split is called right.", "The classifier is left as it is."],
    ),
}


@dataclass(frozen=True)
class Variant:
    """What a run has and has not."""

    status: str = "found_and_helped"
    guide: bool = True
    groups: bool = True
    test: bool = False
    auto: bool = True
    classes: tuple[str, ...] = OBJECTS


def build_run(root: Path, variant: Variant | None = None) -> tuple[RunFolder, Params]:
    """Write data and a run folder up to evaluate; the class under study is the first."""
    variant = variant or Variant()
    run = RunFolder(root / "run")
    params = Params(
        model=ModelSettings(spec="timm:resnet18", weights=root / "model.safetensors", num_classes=len(variant.classes)),
        data=DataSettings(train=root / "data" / "train", validation=root / "data" / "validation"),
        guide=GuideSettings(spec=f"open_clip:ViT-B-32/{root / 'clip.safetensors'}" if variant.guide else None),
        runs=root,
        device="cpu",
    )
    (root / "data" / "train").mkdir(parents=True, exist_ok=True)
    recommended = "cue_erasure" if variant.status == "found_and_helped" else "original"
    _write_stages(run, variant)
    write_json(
        run.root / "run.json",
        {
            "model": {"spec": params.model.spec, "fingerprint": "9f2c" * 16},
            "data_version": "md5:4be1d0c2a1",
            "versions": {"python": "3.12.4", "torch": "2.8.0", "neuroinspect": "0.1.0"},
        },
    )
    write_json(run.stage("extract") / "performance.json", _performance(variant))
    if variant.status != "nothing_to_explain":
        _write_diagnosis(run, root / "data", variant)
        _write_pictures(run.stage("visualize"), variant)
        _write_review(run, variant)
    write_json(run.stage("edit") / "edit.json", _edit(variant, recommended))
    write_json(run.stage("evaluate") / "metrics.json", _metrics(variant, recommended))
    write_json(run.stage("evaluate") / "retest.json", _retest(variant))
    return run, params


def write_checks(run: RunFolder, stage: str, *, failing: str | None = None) -> None:
    """checks/<stage>.json of two expectations; the first of them fails where a value is given that should not be there."""
    line = {
        "table": f"{stage}/table.parquet",
        "expectation": "expect_column_values_to_be_in_set",
        "meaning": "every label is a known class",
        "columns": ["label"],
        "arguments": {"column": "label", "value_set": ["boat", "car"]},
        "success": failing is None,
        "observed": None,
        "unexpected_count": 0 if failing is None else 12,
        "unexpected_rows": []
        if failing is None
        else [{"row": {"path": f"train/{k}.bmp"}, "values": {"label": failing}} for k in range(10)],
        "problem": None,
    }
    count = {"expectation": "expect_table_row_count_to_be_between", "meaning": "the table is not empty", "columns": []}
    record = run.stage_record(stage) or {}
    write_json(
        run.root / "checks" / f"{stage}.json",
        {
            "stage": stage,
            "key": "k" * 64,
            "inputs_hash": record.get("inputs_hash"),
            "success": failing is None,
            "expectations": [
                line,
                {**line, **count, "success": True, "observed": 1920, "unexpected_count": 0, "unexpected_rows": []},
            ],
        },
    )


def _write_stages(run: RunFolder, variant: Variant) -> None:
    name, clean = variant.classes[0], variant.status == "nothing_to_explain"
    diagnosis = {
        "status": "nothing_to_explain" if clean else "explained",
        "class": name,
        "class_index": 0,
        "mistakes": 0 if clean else 43,
        "class_size": 83,
        "class_accuracy": 1.0 if clean else 40 / 83,
        "converged": True,
        "warnings": []
        if clean
        else ["1 class has fewer than 30 pictures on select: star (24); its figures are rough."],
    }
    summaries = {
        "validate": {"quarantined": 0 if clean else 2, "warnings": []},
        "extract": {},
        "diagnose": diagnosis,
        "edit": {},
        "evaluate": {},
    }
    if not clean:
        summaries |= {"visualize": {}, "review": {}}
    for number, (stage, summary) in enumerate(summaries.items()):
        record = {"stage": stage, "inputs_hash": f"{number + 10:02x}" * 32, "version": 1, "summary": summary}
        write_json(run.stage(stage) / "stage.json", record)


def _performance(variant: Variant) -> dict:
    def split(count: int, first: float) -> dict:
        accuracies = [first, *np.linspace(0.78, 0.96, len(variant.classes) - 1)]
        cells = {
            name: {"count": count // len(variant.classes), "accuracy": a, "low": a - 0.05, "high": min(1.0, a + 0.04)}
            for name, a in zip(variant.classes, accuracies, strict=True)
        }
        worst = min(cells, key=lambda name: cells[name]["accuracy"])
        return {
            "count": count,
            "accuracy": float(np.mean(accuracies)),
            "per_class": cells,
            "worst_class": {"name": worst, "accuracy": cells[worst]["accuracy"], "count": cells[worst]["count"]},
        }

    first = 0.97 if variant.status == "nothing_to_explain" else 0.482
    counts = {"train": 2880, "select": 498, "judge": 960, **({"test": 1200} if variant.test else {})}
    return {"classes": list(variant.classes), "splits": {name: split(count, first) for name, count in counts.items()}}


def _scenes(stream: str, count: int, *, objects: int, backgrounds: list[int]) -> np.ndarray:
    keys = scene_keys(0, stream, count)
    index = np.arange(count)
    scenes = Scenes(
        np.full(count, objects), np.array(backgrounds)[index % len(backgrounds)], (index * 5) % len(COLOURS), keys
    )
    return draw(scenes)


def _save(picture: np.ndarray, path: Path, *, side: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC).save(path, compress_level=1)


def _write_diagnosis(run: RunFolder, data: Path, variant: Variant) -> None:
    name, others = variant.classes[0], variant.classes[1:]
    count = 43
    backgrounds = [1, 2, 3, 4, 5]
    for index, picture in enumerate(_scenes("mistakes", 14, objects=0, backgrounds=backgrounds)):
        _save(picture, data / "validation" / "boats" / f"{index:03d}.png")
    called = [others[i] for i in np.random.default_rng(3).choice(len(others), count, p=_falling(len(others)))]
    write_table(
        run.stage("diagnose") / "mistakes.parquet",
        pd.DataFrame(
            {
                "row": range(count),
                "path": [f"validation/boats/{i % 14:03d}.png" for i in range(count)],
                "label": name,
                "prediction": called,
                "group": [BACKGROUNDS[backgrounds[i % 5]] if variant.groups else None for i in range(count)],
                "steps": 4,
                "converged": True,
                "neurons_moved": 8,
                "shift_size": 1.0,
            }
        ),
    )
    write_table(run.stage("diagnose") / "neurons.parquet", _neurons(name))


def _falling(count: int) -> np.ndarray:
    weights = 0.55 ** np.arange(count)
    return weights / weights.sum()


def _neurons(name: str) -> pd.DataFrame:
    drawn = [(12, "insufficient"), (31, "insufficient"), (44, "both"), (5, "insufficient"), (60, "insufficient")]
    drawn += [(7, "excessive"), (23, "excessive"), (51, "excessive")]
    lines = []
    for index, (neuron, direction) in enumerate(drawn):
        rank = index + 1 if direction != "excessive" else index - 4
        share = 0.93 / (1 + 0.35 * (rank - 1))
        sign = -1.0 if direction == "excessive" else 1.0
        lines.append(
            {
                "class": name,
                "neuron": neuron,
                "direction": direction,
                "rank": rank,
                "vote_share": share,
                "vote_share_insufficient": 0.0 if direction == "excessive" else share,
                "vote_share_excessive": share if direction == "excessive" else 0.07 if direction == "both" else 0.0,
                "weight": sign * (0.84 - 0.06 * index),
                "probability_ratio": np.exp(sign * (0.4 - 0.05 * index)),
                "activation_gap": sign * (1.31 - 0.1 * index),
                "mean_activation": 0.9,
            }
        )
    return pd.DataFrame(lines)


def _write_pictures(folder: Path, variant: Variant) -> None:
    name = variant.classes[0]
    illusions, real = [], []
    for index, row in enumerate(_neurons(name).to_dict("records")):
        neuron, cue = row["neuron"], [0] if row["direction"] != "excessive" else [index % 5 + 1]
        base = _dream(index, cue[0])
        _save(base, folder / f"boat/{neuron}.png", side=224)
        _save((base * _spot(index)[..., None]).astype(np.uint8), folder / f"boat/{neuron}.mask.png", side=224)
        _save(_dream(index + 50, None), folder / f"boat/{neuron}.fv.png", side=224)
        illusions.append(
            {
                "class": name,
                "neuron": neuron,
                "direction": row["direction"],
                "rank": row["rank"],
                "picture": f"boat/{neuron}.png",
                "mask": f"boat/{neuron}.mask.png",
                "feature_visualization": f"boat/{neuron}.fv.png" if index != 4 else None,
                "activation": 7.4 - 0.8 * index,
                "class_logit": 9.1,
                "real_p95": 3.1,
                "reached": 7.4 - 0.8 * index > 3.1,
                "restarts": 0,
                "guide_similarity": 0.27 if variant.guide else None,
                "core_relevance": 0.71 + 0.06 * index if index != 3 else None,
            }
        )
        for rank, picture in enumerate(_scenes(f"real{neuron}", 6, objects=index % 3, backgrounds=cue), start=1):
            path = f"boat/real/{neuron}-{rank}.png"
            heat = _spot(rank)[..., None]
            overlay = picture * (0.35 + 0.65 * heat) + np.array((255, 90, 20)) * 0.25 * heat
            _save(np.clip(overlay, 0, 255).astype(np.uint8), folder / path, side=160)
            called = variant.classes[(rank % 2) * (index % 3 != 0)]
            label = variant.classes[min(index % 3, len(variant.classes) - 1)]
            line = {"class": name, "neuron": neuron, "rank": rank, "path": "validation/x.png", "picture": path}
            real.append({**line, "activation": 6.0 - 0.4 * rank, "label": label, "prediction": called})
    write_table(folder / "illusions.parquet", pd.DataFrame(illusions))
    write_table(folder / "real.parquet", pd.DataFrame(real))
    words = ("water", "wave", "sea", None)
    named = [
        (neuron, words[neuron % 4], 0.62 - 0.005 * neuron, "sand", 0.11)
        if words[neuron % 4]
        else (neuron, None, 0.0, None, 0.0)
        for neuron in range(64 if variant.guide else 0)
    ]
    columns = ["neuron", "text_name", "text_name_score", "runner_up", "runner_up_score"]
    write_table(folder / "names.parquet", pd.DataFrame(named, columns=columns))


def _dream(seed: int, background: int | None) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(64, 64, 3))
    rows, columns = np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64), indexing="ij")
    fall = (rows**2 + columns**2 + 1e-3)[..., None] ** -0.6
    picture = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) * fall, axes=(0, 1)).real
    picture = 128 + 46 * picture / picture.std()
    if background is not None:
        picture = 0.45 * picture + 0.65 * _scenes(f"dream{seed}", 1, objects=seed % 3, backgrounds=[background])[0]
    return np.clip(picture, 0, 255).astype(np.uint8)


def _spot(seed: int) -> np.ndarray:
    rows, columns = np.meshgrid(np.arange(64), np.arange(64), indexing="ij")
    top, left = 18 + seed * 7 % 30, 14 + seed * 13 % 36
    return 0.35 + 0.65 * np.exp(-((rows - top) ** 2 + (columns - left) ** 2) / 320.0)


def _write_review(run: RunFolder, variant: Variant) -> None:
    name, approved = variant.classes[0], variant.status != "nothing_found"
    request = {
        "id": "ab" * 32,
        "class": name,
        "class_index": 0,
        "candidates": [],
        "model": "9f2c" * 16,
        "data_version": "md5:4be1d0c2a1",
    }
    write_json(run.stage("review") / "request.json", request)
    rule = "auto: the top 3 insufficient neurons (those of both directions included) by vote share"
    write_json(
        run.stage("review") / "decision.json",
        {
            "request": request["id"],
            "verdict": "approved" if approved else "rejected",
            "neurons": {name: [12, 31, 44]} if approved else {},
            "by": "auto" if variant.auto else "Ada",
            "rule": rule if variant.auto else None,
            "note": "" if variant.auto else "They all show water, not the boat.",
            "unverified": variant.auto,
        },
    )


def _edit(variant: Variant, recommended: str) -> dict:
    methods: dict[str, dict] = {"original": {"kind": "original", "title": "Original", "settings": {}, "tries": []}}
    if variant.status in {"found_and_helped", "found_no_gain"}:
        for number, name in enumerate(("retrain", *METHODS)):
            made = [
                {
                    "settings": {"strength": strength},
                    "average": 0.79 + 0.01 * number,
                    "worst_class": 0.5 + 0.06 * number + 0.01 * step,
                    "eligible": step < 4,
                    "chosen": step == 3,
                }
                for step, strength in enumerate((0.01, 0.05, 0.1, 0.5, 1.0))
            ]
            kind = "control" if name == "retrain" else "edit"
            methods[name] = {"kind": kind, "title": TITLES[name], "settings": {"strength": 0.5}, "tries": made}
        for name in PLACEBOS:
            for draw_number in range(10):
                methods[f"placebo.{name}.{draw_number}"] = {"kind": "control", "title": "", "settings": {}, "tries": []}
    clean = variant.status == "nothing_to_explain"
    neurons = [] if variant.status in {"nothing_found", "nothing_to_explain"} else [12, 31, 44]
    record = {"class": None if clean else variant.classes[0], "class_index": None if clean else 0, "neurons": neurons}
    return {**record, "family": [], "recommended": recommended, "methods": methods}


def _interval(value: float, width: float) -> dict:
    return {"value": value, "low": max(0.0, value - width), "high": min(1.0, value + 0.8 * width)}


def _row(name: str, variant: Variant) -> dict:
    average, class_accuracy, auroc, cross = FIGURES[name]
    if variant.status == "nothing_to_explain":
        average, class_accuracy, auroc = 0.95, 0.97, 0.995
    if variant.status == "found_no_gain":
        average, auroc, cross = (
            0.80 + (average - 0.8) * 0.1,
            0.949 + (auroc - 0.949) * 0.1,
            0.72 + (cross - 0.72) * 0.06,
        )
    others = np.linspace(0.78, 0.96, len(variant.classes) - 1)
    values = dict(zip(variant.classes, [class_accuracy, *others], strict=True))
    worst = min(values, key=lambda each: values[each])
    kind = "original" if name == "original" else "edit" if name in METHODS else "control"
    title = TITLES.get(name, name)
    return {
        "name": name,
        "kind": kind,
        "title": title,
        "average": _interval(average, 0.02),
        "group_weighted_average": _interval(average + 0.02, 0.02) if variant.groups else None,
        "class_accuracy": _interval(class_accuracy, 0.07),
        "worst_class": {"name": worst, **_interval(values[worst], 0.07)},
        "worst_group": {"name": f"{worst} on sand", **_interval(values[worst] / 2, 0.09)} if variant.groups else None,
        "class_auroc": _interval(auroc, 0.012),
        "cross_cue_auroc": _interval(cross, 0.03) if variant.groups else None,
        "per_class": {each: {**_interval(value, 0.05), "count": 160} for each, value in values.items()},
    }


def _differences(variant: Variant) -> list[dict]:
    metrics = {"class_auroc": 2, "cross_cue_auroc": 3, "average": 0, "class_accuracy": 1}
    found = []
    for name in METHODS:
        for against in ("original", "retrain", "placebo"):
            other = f"placebo.{name}" if against == "placebo" else against
            if other not in FIGURES:
                continue
            for metric, index in metrics.items():
                if metric == "cross_cue_auroc" and not variant.groups:
                    continue
                one, two = _row(name, variant)[metric]["value"], _row(other, variant)[metric]["value"]
                assert index < len(FIGURES[name])
                line = {"name": name, "against": against, "metric": metric, "value": one - two}
                found.append({**line, "low": one - two - 0.015, "high": one - two + 0.013})
    return found


def _metrics(variant: Variant, recommended: str) -> dict:
    clean, edited = variant.status == "nothing_to_explain", variant.status in {"found_and_helped", "found_no_gain"}
    names = list(FIGURES) if edited else ["original"]
    split = {
        "count": 960,
        "rows": [_row(name, variant) for name in names],
        "differences": _differences(variant) if edited else [],
    }
    sentence, details = VERDICTS[variant.status]
    return {
        "class": None if clean else variant.classes[0],
        "class_index": None if clean else 0,
        "cue_group": "water" if variant.groups else None,
        "recommended": recommended,
        "splits": {"judge": split, **({"test": {**split, "count": 1200}} if variant.test else {})},
        "verdict": {"status": variant.status, "sentence": sentence, "details": details},
    }


def _retest(variant: Variant) -> dict:
    """The re-test of the cue erasure; where it did not help another neuron has taken the place of the chosen ones."""
    edited, helped = variant.status in {"found_and_helped", "found_no_gain"}, variant.status == "found_and_helped"
    name = variant.classes[0]

    def neuron(number: int, before: int | None, after: int | None, correlation: float, carries: bool = True) -> dict:
        def standing(rank: int | None) -> dict:
            return {"rank": rank, "vote_share": 0.0 if rank is None else round(1 - rank / 20, 2)}

        way = {"neuron": number, "direction": "insufficient", "cue_correlation": correlation, "carries_cue": carries}
        return {**way, "before": standing(before), "after": standing(after)}

    def pictures(kind: str, count: int, right: tuple[int, int], called: tuple[int, int]) -> dict:
        sides = {"right_before": right[0], "right_after": right[1]}
        return {"kind": kind, "count": count, **sides, "called_before": called[0], "called_after": called[1]}

    counted = [
        pictures("class_without_cue", 133, (52, 120 if helped else 54), (52, 120 if helped else 54)),
        pictures("others_with_cue", 131, (88, 119 if helped else 86), (31, 6 if helped else 33)),
        pictures("class_with_cue", 27, (27, 26), (27, 26)),
        pictures("others_without_cue", 669, (601, 597), (2, 5)),
    ]
    told = "Those left no longer name the chosen neurons, "
    told += "nor others with the same cue in their place." if helped else "but now neuron 63, with the same cue."
    record = {
        "title": TITLES["cue_erasure"],
        "status": "gone" if helped else "replaced",
        "sentences": [
            f"Cue erasure: of 81 mistakes on {name}, 70 are fixed and 2 newly made. {told}",
            "Of 131 pictures of other classes that show the cue, 88 were right before and 119 after.",
        ],
        "of_class": {"before": 81, "after": 13, "fixed": 70, "made": 2},
        "of_others": {"before": 111, "after": 84, "fixed": 40, "made": 13},
        "chosen": [neuron(12, 1, None, 0.91), neuron(31, 2, None, 0.88), neuron(44, 4, None, 0.64)],
        "newcomers": [neuron(7, None, 1, 0.05, False), *([] if helped else [neuron(63, 14, 2, 0.71)])],
        "estimated": counted,
        "by_group": counted if variant.groups else [],
        "margin_before": 0.71,
        "margin_after": 0.06 if helped else 0.66,
    }
    group = "water" if variant.groups else None
    return {"class": name, "cue_group": group, "top": 10, "layers": {"cue_erasure": record} if edited else {}}


VARIANTS = {
    "helped": Variant(),
    "no_gain": Variant(status="found_no_gain", guide=False, groups=False, auto=False),
    "rejected": Variant(status="nothing_found", auto=False),
    "clean": Variant(status="nothing_to_explain", guide=False, groups=False),
    "many": Variant(test=True, classes=tuple(f"class number {index} with a long name" for index in range(40))),
}


if __name__ == "__main__":
    from neuroinspect.stages.report import report

    for key, variant in VARIANTS.items():
        result = report(*build_run(Path(sys.argv[1]) / key, replace(variant)))
        sys.stdout.write(f"{result.folder / 'report.html'}\n")
