"""Saving an edited model as MLflow keeps models: signature, example, requirements, and the file that loads it."""

import re
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

import numpy as np

from neuroinspect.adapters.model_package import PACKAGE, write_package
from neuroinspect.export import EditedModel
from neuroinspect.settings import ModelSettings


def save_edited_model(
    folder: Path, edited: EditedModel, model: ModelSettings, *, facts: Mapping[str, str], model_id: str, run_id: str
) -> Path:
    """Write the model as MLflow keeps it, without telling MLflow's server anything.

    Args:
        folder: an empty one, to work in.
        edited: the model.
        model: how the model it was made from is loaded.
        facts: kept beside the architecture.
        model_id: under which MLflow will keep it.
        run_id: the run it comes from.

    Returns:
        Folder with the saved model.

    Raises:
        ModelError: the model does not load from its own files alone.
        RunFolderError: the folder cannot be written.
    """
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import Schema, TensorSpec

    write_package(folder / PACKAGE, edited, model, facts=facts)
    # MLflow writes down where it found the file; this place says nothing of the machine.
    code = Path(shutil.copyfile(Path(__file__).with_name("mlflow_model.py"), folder / "edited_classifier.py"))
    side, classes = edited.classifier.preprocessing.image_size, edited.classifier.num_classes
    number = np.dtype(np.float32)
    save_model(
        folder / "model",
        python_model=str(code),
        artifacts={PACKAGE: str(folder / PACKAGE)},
        signature=ModelSignature(
            inputs=Schema([TensorSpec(number, (-1, 3, side, side))]),
            outputs=Schema([TensorSpec(number, (-1, classes))]),
        ),
        input_example=np.zeros((2, 3, side, side), np.float32),
        pip_requirements=model_requirements(model.spec),
        mlflow_model=Model(model_id=model_id, run_id=run_id),
    )
    return folder / "model"


def model_requirements(spec: str) -> list[str]:
    """What the model needs to run, at the versions installed here: the core, MLflow, and the package of its factory."""
    core = [
        name for one in requires("neuroinspect") or () if "extra ==" not in one for name in re.findall(r"^[\w.-]+", one)
    ]
    factory = packages_distributions().get(spec.partition(":")[0].partition(".")[0], [])
    pinned = []
    for name in sorted({"neuroinspect", "mlflow", *core, *factory}, key=str.lower):
        try:
            pinned.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return pinned
