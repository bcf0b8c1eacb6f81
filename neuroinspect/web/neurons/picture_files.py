"""The pictures of a review on the disk: their names come from the tables of the run and never from a request."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from neuroinspect.dataset.sources import data_root
from neuroinspect.settings import Params
from neuroinspect.web.neurons.findings import Findings

Kind = Literal["illusion", "mask", "fv"]
LARGEST: Final = 256 * 2**20  # bytes; no picture or report of a run comes near
COLUMNS: Final[dict[Kind, str]] = {"illusion": "picture", "mask": "mask", "fv": "feature_visualization"}


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A file that is there.

    Attributes:
        path: without links, inside the folder it belongs to.
        stamp: differs when the file was written again.
    """

    path: Path
    stamp: str


def drawn_file(findings: Findings, neuron: int, kind: Kind) -> PictureFile | None:
    """A picture made for a neuron; None where there is none."""
    return file_inside(findings.visualized, findings.neurons.get(neuron, {}).get(COLUMNS[kind]))


def real_file(findings: Findings, neuron: int, rank: int) -> PictureFile | None:
    """A real picture of a neuron with its heatmap, by its rank from 1; None where there is none."""
    line = next((line for line in findings.real.get(neuron, ()) if int(line["rank"]) == rank), {})
    return file_inside(findings.visualized, line.get("picture"))


def mistake_file(findings: Findings, params: Params | None, row: int) -> PictureFile | None:
    """The misclassified picture of a row of the select split; None where there is none."""
    if params is None:
        return None
    return file_inside(data_root(params.data), findings.mistake_rows.get(row, {}).get("path"))


def file_inside(folder: Path | None, name: Any) -> PictureFile | None:
    """A file by its name in a table; None where it is missing, huge, no plain file, or lies outside, be it through a link.

    Args:
        folder: where it must lie; None: nowhere.
        name: relative to the folder, as the table has it; anything but a text is none.
    """
    if folder is None or not isinstance(name, str) or not name or "\0" in name:
        return None
    try:
        root = folder.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        found = path.stat()
    except (OSError, ValueError, RuntimeError):
        return None
    if not path.is_relative_to(root) or not path.is_file() or found.st_size > LARGEST:
        return None
    return PictureFile(path, f"{found.st_mtime_ns:x}-{found.st_size:x}")
