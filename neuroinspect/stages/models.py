"""The classifier and the guide of a run, loaded once for each process."""

import importlib
from functools import lru_cache
from pathlib import Path

from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.classifier import Classifier, load_classifier
from neuroinspect.errors import ModelSpecError, StageOrderError
from neuroinspect.model_spec import importable
from neuroinspect.settings import ModelSettings, Params
from neuroinspect.text_guide import TextGuide, open_clip_guide


def classifier_of(params: Params) -> Classifier:
    """The classifier a params file names.

    Raises:
        ModelError: it cannot be loaded or used.
    """
    return _classifier(params.model, params.device, _stamp(params.model.weights))


def classifier_of_run(run: RunFolder, params: Params) -> Classifier:
    """The classifier a params file names, which must be the one the run's features come from.

    Raises:
        StageOrderError: extract has not run, or ran with another model.
        ModelError: it cannot be loaded or used.
    """
    classifier = classifier_of(params)
    known = read_json(run.require("extract") / "stage.json")["summary"].get("model")
    if known is not None and known != classifier.fingerprint:
        raise StageOrderError(
            f"the features in {run.root} come from another model than the one params.yaml names now; run `neuroinspect extract`"
        )
    return classifier


def guide_of(params: Params) -> TextGuide | None:
    """The text guide a params file names, or None.

    Raises:
        ModelSpecError: it cannot be loaded.
    """
    return None if params.guide.spec is None else _guide(params.guide.spec, params.model.python_path, params.device)


def load_described(model: ModelSettings, *, device: str | None) -> Classifier:
    """Load the classifier that settings describe.

    Raises:
        ModelError: it cannot be loaded or used.
        SettingsError: this machine does not have the device.
    """
    return load_classifier(
        model.spec,
        weights=model.weights,
        num_classes=model.num_classes,
        preprocessing=model.preprocessing,
        device=device,
        class_names=model.class_names,
        python_path=model.python_path,
    )


@lru_cache(maxsize=2)
def _classifier(model: ModelSettings, device: str | None, stamp: tuple[int, ...]) -> Classifier:  # noqa: ARG001 (of the cache)
    return load_described(model, device=device)


def _stamp(weights: Path | None) -> tuple[int, ...]:
    """Differs once a file of weights was written again: a process that lives for days must not go on with the old ones."""
    if weights is None or not weights.exists():
        return ()
    found = weights.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=2)
def _guide(spec: str, python_path: Path | None, device: str | None) -> TextGuide:
    source, _, name = spec.partition(":")
    if source == "open_clip":
        return open_clip_guide(name, device=device)
    with importable(python_path):
        try:
            guide = getattr(importlib.import_module(source), name)()
            fingerprint = getattr(guide, "fingerprint", None)
        except Exception as error:  # the module, the factory and the guide are the user's: they may raise anything
            raise ModelSpecError(
                f"guide {spec!r}: expected open_clip:NAME/TAG or package.module:factory ({error})"
            ) from error
    if not isinstance(guide, TextGuide) or not isinstance(fingerprint, str):
        raise ModelSpecError(
            f"guide {spec!r} returned {type(guide).__name__}; a guide has encode_images, encode_texts "
            "and a text as fingerprint"
        )
    return guide
