"""Reads the machinery from the environment, `neuroinspect.env` and the addresses of a running stack."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError

from neuroinspect.errors import SettingsError
from neuroinspect.machinery.settings import PREFIX, Machinery

ENV_FILE: Final = "neuroinspect.env"
STACK_FILE: Final = "stack.env"
"""Below `state`, while `neuroinspect up` runs servers there: their addresses."""
PROMOTION_POLICY: Final = Path("mlflow") / "promotion.yaml"
"""Where a project keeps what it asks of a champion, seen from params.yaml."""
_PATHS: Final = ("state", "signing_key", "trusted_keys", "promotion_policy")


def load_machinery(folder: Path) -> Machinery:
    """Read the environment, beneath it the file `neuroinspect.env` of a folder, and beneath that the addresses of the stack.

    Args:
        folder: from it relative paths are meant.

    Raises:
        SettingsError: an unknown name or a wrong value. The message never shows the value: it may be a secret.
    """
    file = folder.resolve() / ENV_FILE
    try:
        _refuse_unknown_names((name for name in os.environ if name.upper().startswith(PREFIX)), "the environment")
        _refuse_unknown_names(_names(file), str(file))
        stack = file.parent / _read(file).state / STACK_FILE
        _refuse_unknown_names(_names(stack), str(stack))
        read = _read(stack, file)
        paths = {name: file.parent / value for name in _PATHS if (value := getattr(read, name)) is not None}
        if (file.parent / PROMOTION_POLICY).is_file():
            paths.setdefault("promotion_policy", file.parent / PROMOTION_POLICY)
        return Machinery.model_validate({**read.model_dump(), **paths})
    except ValidationError as error:
        lines = [f"  {_name(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
        # Not chained: pydantic's own message holds the values.
        source = f"the environment or {file}" if file.exists() else "the environment"
        raise SettingsError(f"{source} does not fit:\n" + "\n".join(lines)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {type(error).__name__}") from None


def stack_way_out(machinery: Machinery, field: str) -> str | None:
    """What to do where a server does not answer whose address is that of the stack; None where somebody else named it.

    Args:
        machinery: which names the server.
        field: `prefect_url` or `mlflow_url`.
    """
    with suppress(OSError, UnicodeDecodeError):
        named = dotenv_values(machinery.state / STACK_FILE).get(f"{PREFIX}{field.upper()}")
        if named is not None and named == getattr(machinery, field):
            return (
                "it is a server of `neuroinspect up`; start it again with that, or forget it with `neuroinspect down`"
            )
    return None


def _read(*files: Path) -> Machinery:
    """Settings of the environment, and beneath it of files, the last first."""
    settings: Any = Machinery
    read: Machinery = settings(_env_file=files)
    return read


def _names(file: Path) -> list[str]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8") as stream:
        bindings = list(parse_stream(stream))
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingsError(f"{file}, line {binding.original.line}: expected NAME=VALUE, or a comment after #")
    return [binding.key for binding in bindings if binding.key is not None]


def _refuse_unknown_names(names: Iterable[str], source: str) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Machinery.model_fields}
    unknown = sorted(name for name in names if name.upper() not in known)
    if unknown:
        raise SettingsError(
            f"{', '.join(unknown)} in {source}: no setting of NeuroInspect; there are {', '.join(sorted(known))}"
        )


def _name(location: tuple[int | str, ...]) -> str:
    name = ".".join(map(str, location)).upper()
    return name if name.startswith(PREFIX) else f"{PREFIX}{name}"
