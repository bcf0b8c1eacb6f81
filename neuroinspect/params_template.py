"""The params file that `neuroinspect init` writes: made from the settings, so it never says anything they do not."""

from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from neuroinspect.settings import Params

_HEAD = """\
# What to debug. Every setting that is commented out has the value it has when it is left out;
# to change one, uncomment it together with the name of its section. Relative paths are meant from this file.
"""
_EXAMPLES = {
    "model.spec": "timm:resnet50",
    "model.weights": "model.safetensors",
    "data.train": "data/train",
    "data.validation": "data/validation",
}


def params_template() -> str:
    """A commented params file (YAML) with an example of what must be given."""
    return _HEAD + "\n".join(_lines(Params, prefix="", depth=0)) + "\n"


def _settings_in(annotation: Any) -> type[BaseModel] | None:
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _lines(model: type[BaseModel], *, prefix: str, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        key = f"{prefix}{name}"
        inner = _settings_in(field.annotation)
        if inner is not None:
            lines = list(_lines(inner, prefix=f"{key}.", depth=depth + 1))
            live = any(not line.startswith("#") for line in lines)
            if depth == 0:
                yield ""
            yield f"{'' if live else '# '}{indent}{name}:"
            yield from lines
            continue
        note = f"  # {field.description}" if field.description else ""
        live = key in _EXAMPLES
        default = field.get_default(call_default_factory=True) if field.default is not PydanticUndefined else None
        yield f"{'' if live else '# '}{indent}{name}: {_yaml(_EXAMPLES.get(key, default))}{note}"


def _yaml(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    elif value is not None and not isinstance(value, bool | int | float | str | dict):
        value = str(value)
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
