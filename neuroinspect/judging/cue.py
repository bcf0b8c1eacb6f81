"""Which attribute goes with a class in the training set, where attributes are known."""

from collections import Counter
from collections.abc import Sequence

from numpy.typing import ArrayLike

from neuroinspect.intervals import as_array


def cue_group(targets: ArrayLike, groups: Sequence[str | None], *, class_index: int) -> str | None:
    """The group most over-represented in a class: share inside minus share outside is largest.

    Args:
        targets: (N,) class numbers of the training samples.
        groups: their attributes, None where unknown.
        class_index: the class.

    Returns:
        None where no attribute is known on both sides, or none is more frequent inside than outside.
    """
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for target, group in zip(as_array(targets), groups, strict=True):
        if group is not None:
            (inside if target == class_index else outside)[group] += 1
    if not inside or not outside:
        return None
    excess = {name: inside[name] / inside.total() - outside[name] / outside.total() for name in inside}
    name = max(sorted(excess), key=lambda key: excess[key])
    return name if excess[name] > 0 and inside.keys() | outside.keys() != {name} else None
