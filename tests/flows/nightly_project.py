"""A tiny project whose data DVC keeps in two versions, with a champion in a real MLflow registry."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from neuroinspect.adapters.mlflow_registry import MlflowRegistry
from neuroinspect.adapters.mlflow_store import open_client
from neuroinspect.adapters.mlflow_tracker import MlflowTracker
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import run_chain
from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params, load_params
from tests.dvc_repository import dvc, make_repository
from tests.tiny import make_project

NAME = "neuroinspect.demo.backbone.scene_net-classifier"
CHAMPION = f"models:/{NAME}@champion"
_WRONG = 5


@dataclass(frozen=True)
class Project:
    """Where it is; `versions` are the texts of data.dvc."""

    root: Path
    versions: tuple[str, str]

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    @property
    def machinery(self) -> Machinery:
        return Machinery(state=self.root / ".neuroinspect")

    def name_data(self, version: int) -> None:
        """What a person does who checks out a commit that names this version of the data."""
        (self.root / "data.dvc").write_text(self.versions[version])

    def copy(self, folder: Path) -> "Project":
        shutil.copytree(self.root, folder)
        return replace(self, root=folder)


def make_nightly_project(folder: Path, **nightly: Any) -> Project:
    """Make it, with the edited model of a first run as champion; version 0 of the data is here.

    The mistakes are wrong labels of the select split: in both versions some houses are called mug, and some boats fish; in
    version 1 some stars are called fish too.
    """
    root = make_repository(folder / "project", state=folder)
    given = yaml.safe_load(make_project(root / "data").read_text())
    (root / "data" / "params.yaml").unlink()
    (root / "data" / "classifier.safetensors").rename(root / "classifier.safetensors")
    given |= {"data": {"table": "data/pictures.csv"}, "nightly": {"model": CHAMPION, "classes": 2, **nightly}}
    (root / "params.yaml").write_text(yaml.safe_dump(given))
    _register(Project(root, ("", "")))
    versions = []
    for wrong in ({"house": "mug", "boat": "fish"}, {"star": "fish"}):
        _mislabel(root / "data" / "pictures.csv", wrong)
        dvc(root, "add", "-q", "data", state=folder)
        versions.append((root / "data.dvc").read_text())
    project = Project(root, (versions[0], versions[1]))
    project.name_data(0)
    dvc(root, "checkout", "-q", state=folder)
    return project


def _mislabel(path: Path, wrong: Mapping[str, str]) -> None:
    table = pd.read_csv(path)
    for label, called in wrong.items():
        rows = table.index[(table["split"] == "select") & (table["label"] == label)]
        table.loc[rows[:_WRONG], "label"] = called
    table.to_csv(path, index=False)


def _register(project: Project) -> None:
    params, machinery = project.params, project.machinery
    run = RunFolder(params.runs / "first")
    assert run_chain(run, params, auto_review=True).status == "done"
    tracked = MlflowTracker(machinery).track(run.root, params)
    version = MlflowRegistry(machinery).register(run.root, params, tracked=tracked)
    assert version is not None
    open_client(machinery).set_registered_model_alias(NAME, "champion", version.version)
