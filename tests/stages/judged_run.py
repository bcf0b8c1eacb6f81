"""A run folder drawn by hand up to an approved review: a class that leans on a cue, found and chosen."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from neuroinspect.artifacts import RunFolder, write_array, write_json, write_table
from neuroinspect.review import decide
from neuroinspect.settings import Params, parse_params
from neuroinspect.stages.review import read_request, review, save_decision
from tests.unit.editing.conftest import CUE_NEURONS, draw_features

CLASSES = ("boat", "car", "tree")
FACTORY = """
import torch
from torch import nn

def leaning():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    generator = torch.Generator().manual_seed(0)
    model[0].weight.data = torch.randn(model[0].weight.shape, generator=generator)
    model[0].bias.data.zero_()
    model[4].weight.data = torch.zeros(3, 8)
    model[4].weight.data[0, :4] = torch.tensor([0.5, 0.5, 1.2, 1.2])
    model[4].weight.data[1, 4] = model[4].weight.data[2, 5] = 1.6
    model[4].bias.data = torch.tensor([-1.5, 0.0, 0.0])
    model.preprocessing = {"image_size": 8}
    model.class_names = ("boat", "car", "tree")
    return model
"""
SETTINGS = {
    "edit": {"placebo_draws": 2, "train": {"epochs": 6, "learning_rate": 0.02}},
    "evaluate": {"bootstrap": 200},
}


def make_params(folder: Path) -> Params:
    """Params whose model leans on neurons 2 and 3 for `boat`."""
    (folder / "leaning_for_edit.py").write_text(FACTORY)
    model = {"spec": "leaning_for_edit:leaning", "python_path": folder}
    return parse_params({"model": model, "data": {"table": "unused.csv"}, "device": "cpu", **SETTINGS})


def judged_run(
    folder: Path, *, verdict: str | None = "approved", explained: bool = True, strength: float = 1.0
) -> RunFolder:
    """The run folder; without a verdict nobody has decided yet."""
    run = RunFolder(folder / "run")
    extract = run.stage("extract")
    for number, split in enumerate(("train", "select", "judge")):
        features, labels, cue = draw_features(600, cue_follows_class=split == "train", seed=number)
        write_array(extract / f"features.{split}.npy", features.numpy())
        table = pd.DataFrame(
            {
                "path": [f"{split}/{k}.png" for k in range(600)],
                "label": [CLASSES[k] for k in labels],
                "target": labels.numpy(),
                "group": np.where(cue, "water", "sand"),
                "sha256": "0" * 64,
                "prediction": labels.numpy(),
            }
        )
        write_table(extract / f"samples.{split}.parquet", table)
    write_json(extract / "performance.json", {"classes": CLASSES, "splits": {}})
    _done(run, "validate", {"data_version": "d"})
    _done(run, "extract", {})
    status = {"status": "explained" if explained else "nothing_to_explain", "class": "boat", "class_index": 0}
    neurons = pd.DataFrame({"neuron": [2, 3, 1], "direction": "insufficient", "vote_share": 0.9})
    write_table(run.stage("diagnose") / "neurons.parquet", neurons)
    _done(run, "diagnose", status)
    if explained:
        _decide(run, make_params(folder), verdict, strength)
    return run


def _decide(run: RunFolder, params: Params, verdict: str | None, strength: float) -> None:
    review(run, params)
    request = read_request(run)
    if verdict is not None:
        neurons = {"boat": CUE_NEURONS} if verdict == "approved" else {}
        decision = decide(request, verdict=verdict, neurons=neurons, note="seen", by="ada", strength=strength)  # type: ignore[arg-type]
        save_decision(run, decision)


def _done(run: RunFolder, stage: str, summary: dict[str, object]) -> None:
    record = {"stage": stage, "inputs_hash": stage, "version": 1, "summary": summary}
    write_json(run.stage(stage) / "stage.json", record)


def backbone_bytes(params: Params) -> bytes:
    """Every parameter in front of the decision layer."""
    from neuroinspect.stages.models import classifier_of

    module = classifier_of(params).module
    return b"".join(
        tensor.numpy().tobytes() for name, tensor in module.state_dict().items() if not name.startswith("4.")
    )


def margin_auroc(weight: torch.Tensor, bias: torch.Tensor, features: torch.Tensor, labels: torch.Tensor) -> float:
    """AUROC of the margin of class 0 by counting pairs."""
    logits = features @ weight.T + bias
    margin = logits[:, 0] - logits[:, 1:].logsumexp(1)
    own, other = margin[labels == 0], margin[labels != 0]
    return float(((own[:, None] > other) + 0.5 * (own[:, None] == other)).float().mean())
