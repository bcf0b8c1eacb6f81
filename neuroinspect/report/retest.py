"""What the page says of the re-test: do the mistakes that are left still name the cue?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from neuroinspect.report.material import Material
from neuroinspect.report.words import NOTHING, number, percent

_WAYS: Final = {"insufficient": "too weak", "excessive": "too strong"}
_OTHERS_SHOWN: Final = 3  # newcomers without the cue: enough to see what the mistakes that are left are about


@dataclass(frozen=True, slots=True)
class RetestedNeuron:
    """A line about a neuron: what it is, how the mistakes named it before and after, and how it goes with the cue."""

    neuron: int
    what: str
    before: str
    after: str
    correlation: str
    marked: bool


@dataclass(frozen=True, slots=True)
class RetestedPictures:
    """A line about pictures of one kind: how many, right before and after, called the class before and after."""

    kind: str
    count: str
    right: tuple[str, str]
    called: tuple[str, str]
    marked: bool


@dataclass(frozen=True, slots=True)
class RetestView:
    """Everything about one layer.

    Attributes:
        status: nothing_left, gone, replaced or remains.
        source: how it is known which pictures show the cue.
        estimated: the same table by the chosen neurons' cue score, where the main one is by group; may be empty.
    """

    title: str
    recommended: bool
    status: str
    finding: str
    sentences: tuple[str, ...]
    neurons: tuple[RetestedNeuron, ...]
    source: str
    pictures: tuple[RetestedPictures, ...]
    estimated: tuple[RetestedPictures, ...]


def retest_views(material: Material) -> list[RetestView]:
    """A view for each layer that was tested again; the recommended one first."""
    recommended = material.metrics.get("recommended")
    layers = material.retest.get("layers", {})
    order = sorted(layers, key=lambda name: (name != recommended, name))
    return [_view(layers[name], material, recommended=name == recommended) for name in order]


def _view(found: Mapping[str, Any], material: Material, *, recommended: bool) -> RetestView:
    name, cue = material.class_name or "", material.retest.get("cue_group")
    known, finding = found["by_group"], found["sentences"][0].removeprefix(f"{found['title']}: ")
    by_neurons = tuple(_pictures(one, name, "the cue") for one in found["estimated"])
    return RetestView(
        title=found["title"],
        recommended=recommended,
        status=found["status"],
        finding=finding[:1].upper() + finding[1:],
        sentences=tuple(found["sentences"][1:]),
        neurons=tuple(_neurons(found, top=material.retest["top"])),
        source=f"by their group, {cue}" if known else "as the chosen neurons see it",
        pictures=tuple(_pictures(one, name, str(cue)) for one in known) or by_neurons,
        estimated=by_neurons if known else (),
    )


def _neurons(found: Mapping[str, Any], *, top: int) -> list[RetestedNeuron]:
    lines = [_neuron(one, "chosen", top=top) for one in found["chosen"]]
    new: Sequence[Mapping[str, Any]] = found["newcomers"]
    lines += [_neuron(one, "new, carries the cue", top=top) for one in new if one["carries_cue"]]
    lines += [_neuron(one, "new", top=top) for one in [one for one in new if not one["carries_cue"]][:_OTHERS_SHOWN]]
    return lines


def _neuron(one: Mapping[str, Any], what: str, *, top: int) -> RetestedNeuron:
    before, after = (_standing(one[side], one["direction"]) for side in ("before", "after"))
    marked = what != "new" and (one["after"]["rank"] or top + 1) <= top
    return RetestedNeuron(one["neuron"], what, before, after, number(one["cue_correlation"], digits=2), marked)


def _standing(side: Mapping[str, Any], direction: str) -> str:
    if side["rank"] is None:
        return "not named"
    return f"{_WAYS[direction]} in {percent(side['vote_share'], digits=0)}, rank {side['rank']}"


def _pictures(one: Mapping[str, Any], class_name: str, cue: str) -> RetestedPictures:
    kinds = {
        "class_without_cue": f"{class_name} without {cue}",
        "others_with_cue": f"other classes with {cue}",
        "class_with_cue": f"{class_name} with {cue}",
        "others_without_cue": f"other classes without {cue}",
    }
    count, marked = one["count"], one["kind"] in {"class_without_cue", "others_with_cue"}
    right, called = (
        tuple(_share(one[f"{what}_{side}"], count) for side in ("before", "after")) for what in ("right", "called")
    )
    return RetestedPictures(
        kinds[one["kind"]], f"{count:,}", (right[0], right[1]), (called[0], called[1]), marked=marked
    )


def _share(part: int, count: int) -> str:
    return percent(part / count) if count else NOTHING
