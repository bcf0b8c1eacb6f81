"""Where the figures come from: model, data, settings, versions, stages. No path, host or time of this machine."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from neuroinspect.artifacts import RunFolder
from neuroinspect.settings import Params, Settings

_PACKAGES: Final = (
    "neuroinspect",
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "numpy",
    "pandas",
    "scipy",
    "pillow",
    "matplotlib",
    "jinja2",
)
_OF_NO_RUN: Final = ("runs", "device", "nightly")  # of this machine, or of what starts runs


def settings_without_folders(params: Params) -> dict[str, Any]:
    """The settings as JSON; of every path only its last part, and nothing that says where or why the run was made."""
    values: dict[str, Any] = _plain(params)
    for name in _OF_NO_RUN:
        values.pop(name, None)
    spec = params.guide.spec
    if spec is not None:
        values["guide"]["spec"] = spec_without_folder(spec)
    return values


def spec_without_folder(spec: str) -> str:
    """`open_clip:NAME//home/me/file.bin` as `open_clip:NAME/file.bin`; other specs as they are."""
    source, colon, rest = spec.partition(":")
    name, slash, weights = rest.partition("/")
    if source != "open_clip" or not _is_absolute(weights):
        return spec
    return f"{source}{colon}{name}{slash}{PureWindowsPath(weights).name}"


def skipped_stages(run: RunFolder) -> frozenset[str]:
    """Stages that are not run where nothing is to explain: what lies in their folders belongs to an earlier finding."""
    found = (run.stage_record("diagnose") or {}).get("summary", {})
    return frozenset({"visualize", "review"} if found.get("status") == "nothing_to_explain" else ())


def settings_text(params: Params) -> str:
    """The same as indented text."""
    return json.dumps(settings_without_folders(params), indent=2, sort_keys=True, ensure_ascii=False)


def installed_versions() -> Mapping[str, str]:
    """Python and the packages the figures depend on; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        fields = type(value).model_fields
        return {fields[name].alias or name: _plain(item) for name, item in value}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _is_absolute(path: str) -> bool:
    return PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()
