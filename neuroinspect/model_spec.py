"""From a model spec to a torch module, its preprocessing and its class names.

Specs: `timm:NAME`, `torchvision:NAME`, `package.module:factory`. Weights come as safetensors or as a state dict; a
pickled module is refused, because unpickling runs code.
"""

import importlib
import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from neuroinspect.errors import ModelSpecError, SettingsError, WeightsError
from neuroinspect.settings import PreprocessingSettings

_WAY_OUT = "save its state dict (`safetensors.torch.save_file(model.state_dict(), 'model.safetensors')`) and give that"


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A module with what its own configuration says about it (None where it says nothing)."""

    module: nn.Module
    preprocessing: PreprocessingSettings | None
    class_names: tuple[str, ...] | None


def pick_device(device: torch.device | str | None) -> torch.device:
    """The device of this name; None takes a GPU where there is one.

    Raises:
        SettingsError: torch does not know it, or this machine does not have it.
    """
    try:
        picked = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=picked).item()
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without CUDA
        reason = str(error).strip().partition("\n")[0]
        raise SettingsError(
            f"cannot use the device {str(device)!r} ({reason}); give cpu, or leave `device` out"
        ) from error
    return picked


def build_model(
    spec: str, *, weights: Path | None = None, num_classes: int | None = None, python_path: Path | None = None
) -> LoadedModel:
    """Build the model a spec names and load its weights.

    Args:
        spec: see the top of this module.
        weights: file to load; None keeps what the factory made (for timm and torchvision: random weights, refused).
        num_classes: outputs to ask of a timm or torchvision model, or to pass to a factory that takes them.
        python_path: folder in which `package.module` is looked for first.

    Raises:
        ModelSpecError: the spec names nothing that can be built.
        WeightsError: the weights are missing, pickled, or do not fit.
    """
    source, separator, name = spec.partition(":")
    if not separator or not source or not name:
        raise ModelSpecError(f"model spec {spec!r}: expected timm:NAME, torchvision:NAME or package.module:factory")
    if source in {"timm", "torchvision"} and weights is None:
        raise WeightsError(f"model spec {spec!r} has no weights; give `weights`, a safetensors file or a state dict")
    if weights is not None and not weights.is_file():
        raise WeightsError(f"no weights at {weights}; correct `weights`")
    if source == "timm":
        loaded = _build_timm(name, num_classes)
    elif source == "torchvision":
        loaded = _build_torchvision(name, num_classes)
    else:
        loaded = _build_factory(source, name, num_classes, python_path)
    if weights is not None:
        load_weights(loaded.module, weights)
    return loaded


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state dict into a module, every key of it.

    Raises:
        WeightsError: the file is damaged, pickled, or its keys or shapes do not fit; the message names the first ones.
    """
    own = module.state_dict()
    state = _unwrapped(read_state(path), own)
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    misshaped = [key for key in own if key in state and state[key].shape != own[key].shape]
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshaped))
        if keys
    ]
    if misshaped:
        first = misshaped[0]
        problems.append(f"{first} is {tuple(state[first].shape)} in the file, {tuple(own[first].shape)} in the model")
    if problems:
        raise WeightsError(
            f"{path} does not fit {type(module).__name__}: keys {'; '.join(problems)}. "
            "Check the model spec and num_classes"
        )
    module.load_state_dict(dict(state))


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Read a safetensors file or a torch state dict without running code from it.

    Raises:
        WeightsError: the file is damaged, or holds a pickled module.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if "global" not in str(error).lower():
            raise WeightsError(f"{path} is not a readable state dict; the file is damaged or something else") from error
        raise WeightsError(f"{path} holds a pickled object, and loading it could run any code; {_WAY_OUT}") from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is not a readable state dict: {error}") from error
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path} holds {type(state).__name__}, expected a state dict; {_WAY_OUT}")
    return state


def _unwrapped(state: Mapping[str, Any], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint under the model's own names: without wrappers of trainers, compilers and replicas."""
    for wrapper in ("state_dict", "model", "model_state_dict"):
        if isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
            break
    for prefix in ("_orig_mod.", "module.", "model."):
        wrapped = bool(state) and all(str(key).startswith(prefix) for key in state)
        if wrapped and not all(key.startswith(prefix) for key in own):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}


def _build_timm(name: str, num_classes: int | None) -> LoadedModel:
    import timm
    from timm.data.config import resolve_model_data_config

    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models())
        raise ModelSpecError(f"timm has no model {name!r}{'; near it: ' + ', '.join(near) if near else ''}")
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    module = timm.create_model(name, pretrained=False, **options)
    config: Mapping[str, Any] = resolve_model_data_config(module)  # type: ignore[no-untyped-call]
    size = int(config["input_size"][-1])
    preprocessing = PreprocessingSettings(
        image_size=size,
        resize=max(size, math.floor(size / float(config["crop_pct"]))),  # as timm rounds it
        mean=config["mean"],
        std=config["std"],
        interpolation=config["interpolation"]
        if config["interpolation"] in {"nearest", "bilinear", "bicubic"}
        else "bicubic",
    )
    return LoadedModel(module, preprocessing, None)


def _build_torchvision(name: str, num_classes: int | None) -> LoadedModel:
    from torchvision.models import get_model, get_model_weights
    from torchvision.transforms._presets import ImageClassification

    try:
        module = get_model(name, weights=None, **({} if num_classes is None else {"num_classes": num_classes}))
        published = next(iter(get_model_weights(name)), None)
    except ValueError as error:
        raise ModelSpecError(f"torchvision has no model {name!r}: {error}") from error
    preprocessing = None
    recipe = None if published is None else published.transforms()
    if isinstance(recipe, ImageClassification):
        preprocessing = PreprocessingSettings(
            image_size=recipe.crop_size[0],
            resize=recipe.resize_size[0],
            mean=tuple(recipe.mean),
            std=tuple(recipe.std),
            interpolation=recipe.interpolation.value,
        )
    return LoadedModel(module, preprocessing, None)


def _build_factory(source: str, name: str, num_classes: int | None, python_path: Path | None) -> LoadedModel:
    if python_path is not None and not python_path.is_dir():
        raise ModelSpecError(f"python_path {python_path} is not a folder; correct it")
    with importable(python_path):
        try:
            home = importlib.import_module(source)
        except Exception as error:  # the module is the user's: it may raise anything
            raise ModelSpecError(
                f"cannot import {source!r}: {error}; set `python_path` to the folder it lies in"
            ) from error
        factory = getattr(home, name, None)
        if factory is None:
            raise ModelSpecError(f"module {source!r} has no {name!r}")
        if not callable(factory):
            raise ModelSpecError(
                f"{source}:{name} is {type(factory).__name__}, expected a function that returns a module"
            )
        try:
            takes_classes = num_classes is not None and "num_classes" in inspect.signature(factory).parameters
            module = factory(num_classes=num_classes) if takes_classes else factory()
        except Exception as error:  # so is the factory
            raise ModelSpecError(f"{source}:{name} failed: {error}") from error
    if not isinstance(module, nn.Module):
        raise ModelSpecError(f"{source}:{name} returned {type(module).__name__}, expected a torch module")
    given = getattr(module, "preprocessing", None)
    try:
        preprocessing = None if given is None else PreprocessingSettings.model_validate(given)
    except ValidationError as error:
        raise ModelSpecError(f"{source}:{name} gives a `preprocessing` that does not fit: {error}") from error
    names = getattr(module, "class_names", None)
    return LoadedModel(module, preprocessing, tuple(map(str, names)) if names is not None else None)


@contextmanager
def importable(folder: Path | None) -> Iterator[None]:
    """Look for modules in a folder first.

    What is imported from the folder is forgotten at the end, so that a module of the same name elsewhere is found.
    """
    if folder is None:
        yield
        return
    place = folder.resolve()
    before = set(sys.modules)
    importlib.invalidate_caches()
    sys.path.insert(0, str(place))
    try:
        yield
    finally:
        sys.path.remove(str(place))
        new = set(sys.modules) - before
        ours = {name for name in new if "." not in name and _lies_in(sys.modules[name], place)}
        for name in new:
            if name.partition(".")[0] in ours:
                del sys.modules[name]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    packages = getattr(module, "__path__", None)
    origins = [getattr(module, "__file__", None)] if packages is None else list(packages)
    return any(Path(origin).parent == folder for origin in origins if origin is not None)
