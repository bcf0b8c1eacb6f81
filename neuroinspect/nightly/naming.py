"""Readable names of models, data and classes that every file system takes."""

import hashlib
import re
from typing import Final

from neuroinspect.artifacts import content_hash
from neuroinspect.settings import ModelSettings

_LONGEST: Final = 60
_DIGITS: Final = 8


def model_label(model: ModelSettings, *, version: str) -> str:
    """A readable name of a version: NAME-v3 of the registry, or the spec and the beginning of its fingerprint."""
    registered = re.fullmatch(r"models:/(.+)/(\d+)", model.origin or "")
    if registered is not None:
        return f"{safe_name(registered[1])}-v{registered[2]}"
    return f"{safe_name(model.spec.rpartition(':')[2])}-{version[:_DIGITS]}"


def short_version(version: str) -> str:
    """The beginning of a data version; of several ones, of their hash."""
    return (content_hash(version) if "+" in version else version.rpartition(":")[2])[:_DIGITS]


def safe_name(name: str) -> str:
    """A name that every file system takes and no other name gives; the same name where it is one already."""
    plain = re.sub(r"[^a-z0-9_.-]+", "-", name.lower())[:_LONGEST].strip("-.")
    if plain and plain == name:
        return name
    return f"{plain or 'x'}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:_DIGITS]}"
