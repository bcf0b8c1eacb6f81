"""Which other neurons carry the same cue as one, for its page."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from neuroinspect.artifacts import RunFolder, read_array
from neuroinspect.errors import NeuroInspectError
from neuroinspect.masking import cue_correlation, neuron_family
from neuroinspect.stages.edit import read_split
from neuroinspect.web.neurons.findings import Findings

MOST: Final = 12
# Below this many activations the family is found in a moment; above it only when asked for.
_AT_ONCE: Final = 2_000_000
_one_at_a_time = threading.Lock()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Relative:
    """A neuron that fires where another says that the cue shows.

    Attributes:
        correlation: of its activation with that, seen within each class.
        is_candidate: whether the review shows it.
        word: what tells best when it fires; "" where that is not known.
    """

    neuron: int
    correlation: float
    is_candidate: bool
    word: str


@dataclass(frozen=True, slots=True)
class Family:
    """The family of a neuron, the closest first.

    Attributes:
        relatives: at most MOST of them.
        more: how many are left out.
        problem: why it cannot be told; "" where it can.
    """

    relatives: tuple[Relative, ...]
    more: int
    problem: str = ""


def family_of(findings: Findings, neuron: int, *, candidates: Sequence[int], asked: bool) -> Family | None:
    """The family of a neuron; None where it would take long and was not asked for.

    Args:
        findings: the tables of the run.
        neuron: which.
        candidates: the neurons of the review.
        asked: wait for it, however long it takes.
    """
    if findings.root is None:
        return Family((), 0, "no run folder can be read")
    path = RunFolder(findings.root).stage("extract") / "features.select.npy"
    try:
        features = read_array(path)
        if not asked and features.size > _AT_ONCE:
            return None
        with _one_at_a_time:
            found = _found(findings.root, path.stat().st_mtime_ns, neuron)
    except (NeuroInspectError, OSError, KeyError, ValueError) as error:
        log.warning("the page cannot tell the family of neuron %d: %s", neuron, error)
        return Family((), 0, "the features of the select split cannot be read")
    relatives = tuple(
        Relative(other, correlation, other in candidates, str(findings.neurons.get(other, {}).get("text_name") or ""))
        for other, correlation in found[:MOST]
    )
    return Family(relatives, len(found) - len(relatives))


@lru_cache(maxsize=4096)
def _found(root: Path, stamp: int, neuron: int) -> tuple[tuple[int, float], ...]:  # noqa: ARG001 (of the cache)
    features, labels = read_split(RunFolder(root), "select")
    found = neuron_family(features, [neuron], labels=labels)
    # Of these alone: the correlations of all others would take as long again.
    correlation = cue_correlation(features[:, [neuron, *found]], [0], labels=labels)[1:]
    return tuple(zip(found, correlation.tolist(), strict=True))
