"""Reads the files of the production set-up the way their programs do: units, files of variables, and the composition."""

import configparser
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "mlflow"
UNITS: Final = tuple(sorted((FOLDER / "systemd").glob("*.service")))
EXAMPLES: Final = tuple(sorted([*FOLDER.glob("*.env*"), *(FOLDER / "systemd").glob("*.env.example")]))
_PROGRAMS: Final = "/opt/neuroinspect/.venv/bin/"
# $$ is a dollar of the shell; ${NAME}, ${NAME:-default} and ${NAME:?what is missing} are all that the file uses.
_REFERENCE: Final = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[-?])([^}]*))?\})")


class _Sections(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


class _Repeated(dict[str, str]):
    """systemd gathers what is said twice; a parser of the library would take the last."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and key in self:
            self[key].extend(value)  # type: ignore[attr-defined]
        else:
            super().__setitem__(key, value)


@dataclass(frozen=True)
class Unit:
    """A unit of systemd: section -> key -> every value it was given."""

    path: Path
    values: Mapping[str, Mapping[str, list[str]]]

    def one(self, key: str) -> str:
        (value,) = self.values["Service"][key]
        return value

    @property
    def environment(self) -> dict[str, str]:
        """What the unit itself sets, as written."""
        words = [word for line in self.values["Service"].get("Environment", []) for word in shlex.split(line)]
        return dict(word.split("=", 1) for word in words)

    @property
    def words(self) -> list[str]:
        """The command, its program by its bare name."""
        return shlex.split(self.one("ExecStart").removeprefix(_PROGRAMS))

    @property
    def example(self) -> Path:
        """The example of its file of variables."""
        return self.path.with_name(Path(self.one("EnvironmentFile")).name + ".example")


def read_unit(path: Path) -> Unit:
    parser = _Sections(dict_type=_Repeated, strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.read_string(path.read_text())
    return Unit(path, {name: {key: text.split("\n") for key, text in parser.items(name)} for name in parser.sections()})


def read_variables(path: Path) -> dict[str, str]:
    """NAME=VALUE, one a line, and comments: what systemd, compose and a shell all read in the same way."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read_composition() -> dict[str, Any]:
    """As it is written, with its anchors followed."""
    read: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return read


def references(value: Any) -> dict[str, set[tuple[str, str]]]:
    """Variable -> the ways in which it is asked for: (":-" or ":?" or "", default or message)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for text in _texts(value):
        for match in _REFERENCE.finditer(text):
            if match.group(2):
                found.setdefault(match.group(2), set()).add((match.group(3) or "", match.group(4) or ""))
    return found


def resolved(value: Any, variables: Mapping[str, str]) -> Any:
    """The composition as it is with these variables.

    Raises:
        KeyError: one that is needed is not there, or is empty.
    """
    if isinstance(value, dict):
        return {key: resolved(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, variables) for one in value]
    return _REFERENCE.sub(lambda match: _answer(match, variables), value) if isinstance(value, str) else value


def filled(example: Path, **values: str) -> dict[str, str]:
    """An example with something in every place that is to be filled in."""
    return {name: values.get(name, given or f"filled-in-{name}") for name, given in read_variables(example).items()}


def expanded(words: list[str], variables: Mapping[str, str], instance: str = "0") -> list[str]:
    """A command as systemd starts it."""
    marks = {"%i": instance, "%H": os.uname().nodename, "%%": "%"}
    words = [re.sub(r"%[iH%]", lambda match: marks[match.group()], word) for word in words]
    return [re.sub(r"\$\{(\w+)\}", lambda match: variables[match.group(1)], word) for word in words]


def _answer(match: re.Match[str], variables: Mapping[str, str]) -> str:
    dollar, name, kind, more = match.groups()
    if dollar:
        return "$"
    given = variables.get(name, "")
    if kind == ":?" and not given:
        raise KeyError(name)
    return given or (more or "" if kind == ":-" else "")


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []
