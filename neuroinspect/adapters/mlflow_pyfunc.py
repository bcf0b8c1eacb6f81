"""Saving an edited model as MLflow keeps models: signature, example, requirements, and the file that loads it."""

import re
import shutil
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

import numpy as np

from neuroinspect.adapters.model_package import PACKAGE, package_settings
from neuroinspect.settings import PreprocessingSettings


def save_edited_model(folder: Path, package: Path, *, model_id: str, run_id: str | None) -> Path:
    """Write a model as MLflow keeps it, without telling MLflow's server anything.

    Args:
        folder: to work in.
        package: what `write_package` wrote.
        model_id: under which MLflow will keep it.
        run_id: the run it comes from, if one.

    Returns:
        Folder with the saved model.

    Raises:
        ModelSpecError: the package is damaged.
    """
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import Schema, TensorSpec

    settings = package_settings(package)
    preprocessing = settings.preprocessing or PreprocessingSettings()
    # MLflow writes down where it found the file; this place says nothing of the machine.
    code = Path(shutil.copyfile(Path(__file__).with_name("mlflow_model.py"), folder / "edited_classifier.py"))
    classes = len(settings.class_names or ())
    picture = (preprocessing.channels, preprocessing.image_size, preprocessing.image_size)
    number = np.dtype(np.float32)
    save_model(
        folder / "model",
        python_model=str(code),
        artifacts={PACKAGE: str(package)},
        signature=ModelSignature(
            inputs=Schema([TensorSpec(number, (-1, *picture))]),
            outputs=Schema([TensorSpec(number, (-1, classes))]),
        ),
        input_example=np.zeros((2, *picture), np.float32),
        pip_requirements=model_requirements(settings.spec),
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
