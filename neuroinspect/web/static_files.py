"""The page's own style sheets and scripts, each under an address that changes with its content."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file: its bytes, media type and a stamp of its content."""

    content: bytes
    media_type: str
    stamp: str


@cache
def static_files() -> dict[str, StaticFile]:
    """All of them by name; read once, so that no request chooses what is read from the disk."""
    found = {}
    for entry in files("neuroinspect.web").joinpath("static").iterdir():
        ending = f".{entry.name.rpartition('.')[2]}"
        if ending in TYPES:
            content = entry.read_bytes()
            found[entry.name] = StaticFile(content, TYPES[ending], hashlib.sha256(content).hexdigest()[:16])
    return found


def static_url(name: str) -> str:
    """Where a page finds one of these files.

    Raises:
        KeyError: there is none of that name.
    """
    return f"/static/{name}?v={static_files()[name].stamp}"
