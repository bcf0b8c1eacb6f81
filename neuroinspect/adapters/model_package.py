"""An edited model as a folder that loads anywhere: architecture.json, model.safetensors, and the modules of its factory.

Nothing in it is pickled. The weights are those of the whole model; the modules are those that lie in `model.python_path`.
"""

import importlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from neuroinspect.artifacts import read_json, write_json, write_tensors
from neuroinspect.classifier import Classifier
from neuroinspect.errors import ModelError, ModelSpecError
from neuroinspect.export import EditedModel
from neuroinspect.model_spec import importable
from neuroinspect.settings import ModelSettings, PreprocessingSettings
from neuroinspect.stages.models import load_described

PACKAGE: Final = "package"
"""Name of the folder among the artifacts of a logged model."""
ARCHITECTURE: Final = "architecture.json"
WEIGHTS: Final = "model.safetensors"
SOURCE: Final = "source"
_NOT_COPIED: Final = ("__pycache__", "*.py[co]", "*.pkl", "*.pickle", "*.pt", "*.pth", "*.ckpt", "*.joblib", ".*")


def write_package(folder: Path, edited: EditedModel, model: ModelSettings, *, facts: Mapping[str, Any]) -> str:
    """Fill an empty folder, and load the model from it once, so that what is kept is known to work.

    Args:
        folder: what to fill.
        edited: the model.
        model: how the model it was made from is loaded.
        facts: about the edit, kept in architecture.json.

    Returns:
        Fingerprint of the model as it loads from the folder.

    Raises:
        ModelError: it does not load from the folder alone.
        RunFolderError: the folder cannot be written.
    """
    classifier = edited.classifier
    architecture = {
        "spec": model.spec,
        "num_classes": classifier.num_classes,
        "class_names": list(classifier.class_names),
        "preprocessing": classifier.preprocessing.model_dump(mode="json"),
        "decision_layer": {
            "name": classifier.last_layer.name,
            "in_features": classifier.num_features,
            "out_features": classifier.num_classes,
        },
        "parent_fingerprint": classifier.fingerprint,
        "edit": dict(facts),
    }
    if model.python_path is not None:
        _copy_modules(model.spec.partition(":")[0], model.python_path, folder / SOURCE)
    write_tensors(folder / WEIGHTS, edited.state())
    write_json(folder / ARCHITECTURE, architecture)
    try:
        loaded = package_classifier(folder, device="cpu")
    except ModelError as error:
        raise ModelError(
            f"{model.spec} does not load from its modules in {model.python_path} alone ({error}). Import at the top of the "
            "module what the factory needs, and let it load no pickled weights: what `weights` names is kept already"
        ) from error
    write_json(folder / ARCHITECTURE, {**architecture, "fingerprint": loaded.fingerprint})
    return loaded.fingerprint


def package_settings(folder: Path, *, origin: str | None = None) -> ModelSettings:
    """How the model in a folder is loaded.

    Raises:
        ModelSpecError: the folder holds no such model.
    """
    try:
        architecture = read_json(folder / ARCHITECTURE)
        return ModelSettings(
            spec=architecture["spec"],
            weights=folder / WEIGHTS,
            num_classes=architecture["num_classes"],
            python_path=folder / SOURCE if (folder / SOURCE).is_dir() else None,
            class_names=tuple(architecture["class_names"]),
            preprocessing=PreprocessingSettings.model_validate(architecture["preprocessing"]),
            origin=origin,
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelSpecError(f"{folder} holds no model of NeuroInspect: {error}") from error


def package_classifier(folder: Path, *, device: str | None = None) -> Classifier:
    """Load the model in a folder.

    Raises:
        ModelError: it cannot be loaded.
        SettingsError: this machine does not have the device.
    """
    return load_described(package_settings(folder), device=device)


def _copy_modules(source: str, python_path: Path, target: Path) -> None:
    place = python_path.resolve()
    with importable(place):
        importlib.import_module(source)
        found = sorted(set(_modules_in(place)))
    for path in found:
        target.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        else:
            shutil.copyfile(path, target / path.name)


def _modules_in(place: Path) -> Iterator[Path]:
    for name, module in list(sys.modules.items()):
        if "." not in name:
            file = getattr(module, "__file__", None)
            origins = list(getattr(module, "__path__", None) or ([file] if file else []))
            yield from (path for origin in origins if (path := Path(origin).resolve()).parent == place)
