"""From a model spec to a torch module, its preprocessing and its class names.

Specs: `timm:NAME`, `torchvision:NAME`, `package.module:factory`. Weights come as safetensors or as a state dict; a
pickled module is refused, because unpickling runs code.
"""

import importlib
import inspect
import math
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
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
from neuroinspect.preprocessing import to_grey
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
    state = None if weights is None else read_state(weights)
    if source == "timm":
        loaded = _build_timm(name, num_classes, state or {})
    elif source == "torchvision":
        loaded = _build_torchvision(name, num_classes)
    else:
        loaded = _build_factory(source, name, num_classes, python_path)
    if weights is not None and state is not None:
        _load_state(loaded.module, state, weights)
    return loaded


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state dict into a module, every key of it.

    Where the one key too many is the bias of a linear layer that has none, the layer gets it: an edit may have added it.

    Raises:
        WeightsError: the file is damaged, pickled, or its keys or shapes do not fit; the message names the first ones.
    """
    _load_state(module, read_state(path), path)


def _load_state(module: nn.Module, state: Mapping[str, Any], path: Path) -> None:
    own = module.state_dict()
    state = unwrapped(state, own)
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    unbiased = _layer_without_bias(module, unexpected)
    if unbiased is not None:
        unexpected = []
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
    if unbiased is not None:
        unbiased.bias = nn.Parameter(torch.zeros(len(unbiased.get_parameter("weight"))))
    whole = OrderedDict(state)
    # A file of tensors keeps no versions of layers, which some models (MNASNet) insist on: they are those of the model.
    whole._metadata = getattr(module.state_dict(), "_metadata", {})  # type: ignore[attr-defined]
    module.load_state_dict(whole)


def _layer_without_bias(module: nn.Module, unexpected: Sequence[str]) -> nn.Module | None:
    """The linear layer whose missing bias is the only key too many."""
    name, _, kind = unexpected[0].rpartition(".") if len(unexpected) == 1 else ("", "", "")
    layer = dict(module.named_modules()).get(name)
    without = kind == "bias" and isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is None
    return layer if without else None


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


def unwrapped(state: Mapping[str, Any], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint under the model's own names: without wrappers of trainers, compilers and replicas.

    Args:
        state: what `read_state` gave.
        own: tensors of the model by their own names; those of one layer are enough.
    """
    for wrapper in ("state_dict", "model", "model_state_dict"):
        if isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
            break
    for prefix in ("_orig_mod.", "module.", "model."):
        wrapped = bool(state) and all(str(key).startswith(prefix) for key in state)
        if wrapped and not all(key.startswith(prefix) for key in own):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}


def _build_timm(name: str, num_classes: int | None, state: Mapping[str, Any]) -> LoadedModel:
    import timm

    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models())
        raise ModelSpecError(f"timm has no model {name!r}{'; near it: ' + ', '.join(near) if near else ''}")
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    module = timm.create_model(name, pretrained=False, **options)
    first = _first_convolution(module)
    held = unwrapped(state, module.state_dict()).get(first or "")
    if held is not None and held.dim() == 4 and held.shape[1] == 1:
        module = timm.create_model(name, pretrained=False, in_chans=1, **options)
    return LoadedModel(module, timm_preprocessing(module), None)


def timm_preprocessing(module: nn.Module) -> PreprocessingSettings:
    """What a timm model's own configuration says.

    For a model of one channel, made with `in_chans=1`, it still gives three values; their luma is taken.
    """
    from timm.data.config import resolve_model_data_config

    config: Mapping[str, Any] = resolve_model_data_config(module)  # type: ignore[no-untyped-call]
    size, mean, std = int(config["input_size"][-1]), config["mean"], config["std"]
    first = _first_convolution(module)
    if first is not None and len(mean) == 3 and module.get_parameter(first).shape[1] == 1:
        mean, std = ([to_grey(torch.tensor(three).view(1, 3, 1, 1)).item()] for three in (mean, std))
    return PreprocessingSettings(
        image_size=size,
        resize=max(size, math.floor(size / float(config["crop_pct"]))),  # as timm rounds it
        mean=mean,
        std=std,
        interpolation=config["interpolation"]
        if config["interpolation"] in {"nearest", "bilinear", "bicubic"}
        else "bicubic",
    )


def _first_convolution(module: nn.Module) -> str | None:
    """Name of the weight that reads the picture, where a timm model says it."""
    first = (getattr(module, "pretrained_cfg", None) or {}).get("first_conv")
    name = f"{first}.weight"
    return name if isinstance(first, str) and name in dict(module.named_parameters()) else None


def _build_torchvision(name: str, num_classes: int | None) -> LoadedModel:
    from torchvision.models import get_model, get_model_weights
    from torchvision.transforms._presets import ImageClassification

    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if name in {"googlenet", "inception_v3"}:
        options["init_weights"] = False  # a slow drawing, and a warning, for values that the weights replace
    try:
        module = get_model(name, weights=None, **options)
        published = next(iter(get_model_weights(name)), None)
    except ValueError as error:
        raise ModelSpecError(f"torchvision has no model {name!r}: {error}") from error
    preprocessing = None
    recipe = None if published is None else published.transforms()
    if isinstance(recipe, ImageClassification):
        if hasattr(module, "transform_input"):
            # Inception and GoogLeNet: what torchvision sets with published weights, whose preprocessing is taken here.
            module.transform_input = True
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
        if given is None and getattr(module, "pretrained_cfg", None):
            preprocessing = timm_preprocessing(module)
    except ValidationError as error:
        raise ModelSpecError(f"{source}:{name} gives a `preprocessing` that does not fit: {error}") from error
    names = getattr(module, "class_names", None)
    return LoadedModel(module, preprocessing, tuple(map(str, names)) if names is not None else None)


@contextmanager
def importable(folder: Path | None) -> Iterator[None]:
    """Look for modules in a folder first.

    What is imported from the folder is forgotten at the end, so that a module of the same name elsewhere is found.
    `sys.path` is replaced and never changed in place: a search under way in another thread would skip an entry.
    """
    if folder is None:
        yield
        return
    place = folder.resolve()
    before = set(sys.modules)
    importlib.invalidate_caches()
    sys.path = [str(place), *sys.path]
    try:
        yield
    finally:
        position = sys.path.index(str(place))
        sys.path = sys.path[:position] + sys.path[position + 1 :]
        new = set(sys.modules) - before
        ours = {name for name in new if "." not in name and _lies_in(sys.modules[name], place)}
        for name in new:
            if name.partition(".")[0] in ours:
                del sys.modules[name]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    packages = getattr(module, "__path__", None)
    origins = [getattr(module, "__file__", None)] if packages is None else list(packages)
    return any(Path(origin).parent == folder for origin in origins if origin is not None)
