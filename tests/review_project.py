"""A project whose run is drawn by hand up to the review, and the command line on it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from click.testing import Result
from safetensors.torch import save_file
from typer.testing import CliRunner

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder, write_json, write_table
from neuroinspect.cli import app
from neuroinspect.demo.backbone import scene_net
from neuroinspect.machinery import Machinery, load_machinery
from neuroinspect.ports import Tools
from neuroinspect.review import Decision, decide
from neuroinspect.settings import Params, load_params
from neuroinspect.stages.review import read_request, review


class Project:
    """A run whose stages before the review are drawn by hand."""

    def __init__(self, folder: Path) -> None:
        self.params_file = folder / "params.yaml"
        self.weights = folder / "weights.safetensors"
        params = {
            "model": {"spec": "neuroinspect.demo.backbone:scene_net", "weights": self.weights.name},
            "data": {"table": "t.csv"},
            "device": "cpu",
            "runs": "runs",
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.params_file.write_text(yaml.safe_dump(params))
        self.train(seed=0)
        self.run = RunFolder(folder / "runs" / "run")
        self.diagnose("fish")

    @property
    def params(self) -> Params:
        return load_params(self.params_file)

    @property
    def machinery(self) -> Machinery:
        return load_machinery(self.params_file.parent)

    @property
    def store(self) -> SqlReviews:
        return SqlReviews(self.machinery.review_store)

    @property
    def tools(self) -> Tools:
        return Tools(reviews=self.store)

    @property
    def copy(self) -> Path:
        return self.run.stage("review") / "decision.json"

    def train(self, *, seed: int) -> None:
        """Write other weights into the file of the model."""
        generator = torch.Generator().manual_seed(seed)
        weights = {
            name: torch.rand(values.shape, generator=generator).to(values)
            for name, values in scene_net().state_dict().items()
        }
        save_file(weights, self.weights)

    def diagnose(self, target: str) -> None:
        """Explain a class, and open the question about it."""
        for stage in ("validate", "diagnose", "visualize"):
            summary = {"status": "explained", "class": target, "class_index": len(target), "data_version": "d"}
            write_json(self.run.stage(stage) / "stage.json", {"inputs_hash": stage, "summary": summary})
        neurons = pd.DataFrame(
            {
                "neuron": [7, 3, 5],
                "direction": ["excessive", "insufficient", "both"],
                "vote_share": [0.2, 0.5, 0.5],
                "weight": 0.1,
                "probability_ratio": 1.5,
                "activation_gap": 0.2,
            }
        )
        write_table(self.run.stage("diagnose") / "neurons.parquet", neurons)
        review(self.run, self.params)

    def approval(self, by: str, neurons: tuple[int, ...] = (3,)) -> Decision:
        request = read_request(self.run)
        return decide(request, verdict="approved", neurons={request.class_name: neurons}, by=by)

    def call(self, command: str, *words: object) -> Result:
        arguments = ["review", *command.split(), *map(str, words), "--params", str(self.params_file)]
        return CliRunner().invoke(app, arguments)

    def printed(self, command: str, *words: object) -> Any:
        result = self.call(command, *words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)
