"""The edited model as MLflow serves it. MLflow keeps this file beside the weights and runs it to load the model: no pickle."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from neuroinspect.adapters.model_package import PACKAGE, package_classifier
from neuroinspect.classifier import Classifier


class EditedClassifier(PythonModel):
    """Preprocessed pictures (N, channels, H, W) float32 to logits (N, C) float32."""

    _classifier: Classifier

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model, on a GPU where there is one."""
        self._classifier = package_classifier(Path(context.artifacts[PACKAGE]))

    def predict(  # MLflow reads the type of model_input, and knows no other name for an array.
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Logits of a batch."""
        with torch.inference_mode():
            images = torch.from_numpy(np.array(model_input, dtype=np.float32))
            return np.asarray(self._classifier(images).cpu())


set_model(EditedClassifier())
