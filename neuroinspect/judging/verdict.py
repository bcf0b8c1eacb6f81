"""The verdict in one sentence: was a cause found, and did the edit help beyond its controls.

A cause is claimed only where the edit of the chosen neurons raises the AUROC of the class margin, which no bias can move:
above retrain-only and above the mean placebo (paired bootstrap, lower bound above zero, at least `minimum_effect`), and
above every single placebo draw. The edit judged is named before the judging split is seen: the first of PRESPECIFIED that
was made. A cause is called mended only where the recommended layer passes the same test, and surely raises the accuracy of
the class: a bias shift may raise it too, and leaves the reliance where it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from neuroinspect.judging.titles import refusals, title_of

PRESPECIFIED = tuple(
    name
    for method in ("cue_erasure", "ablate_refit", "ratio", "con", "silencing")
    for name in (method, f"{method}+bias")
)
Status = Literal["nothing_to_explain", "nothing_found", "found_and_helped", "found_no_gain"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reader should take away.

    Attributes:
        status: one of four.
        sentence: the verdict in plain words.
        details: the figures behind it, one sentence each.
        surely_better: the recommended layer surely raises the accuracy of the class; else the original is the one to keep.
    """

    status: Status
    sentence: str
    details: tuple[str, ...]
    surely_better: bool = False


def nothing_to_explain(class_name: str | None) -> Verdict:
    """The verdict where no mistake was made."""
    which = "any class" if class_name is None else f"class {class_name}"
    return Verdict("nothing_to_explain", f"Nothing to explain: the classifier makes no mistake on {which}.", ())


def reach_verdict(
    rows: Mapping[str, Mapping[str, Any]],
    differences: Sequence[Mapping[str, Any]],
    *,
    class_name: str,
    recommended: str,
    minimum_effect: float,
    refused: Mapping[str, str] | None = None,
) -> Verdict:
    """Judge the edits.

    Args:
        rows: figures by name of the layer, from `Judge.row`.
        differences: from `Judge.differences`, against retrain, original and placebo.
        class_name: the class that was debugged.
        recommended: the layer the selection rule took.
        minimum_effect: smallest gain in AUROC that is claimed.
        refused: why a method made no edit, by its name.
    """
    judged = next((name for name in PRESPECIFIED if name in rows), None)
    refused = refused or {}
    details = refusals(refused)
    for control, words in _CONTROLS.items():
        gain = _difference(differences, judged, against=control, metric="class_auroc")
        if gain is not None and judged is not None:
            details.append(
                f"{title_of(judged)} changes the AUROC of {class_name} by {gain['value']:+.3f} against {words} "
                f"(interval {gain['low']:+.3f} to {gain['high']:+.3f})."
            )
    helped = _difference(differences, recommended, against="original", metric="class_accuracy")
    better = helped is not None and helped["low"] > 0
    if helped is not None:
        advice = "" if better else " That is no sure gain: keep the original."
        details.append(
            f"The recommended layer ({title_of(recommended).lower()}) takes {class_name} from "
            f"{rows['original']['class_accuracy']['value']:.1%} to {rows[recommended]['class_accuracy']['value']:.1%}, and the "
            f"average from {rows['original']['average']['value']:.1%} to {rows[recommended]['average']['value']:.1%}.{advice}"
        )
    if judged is None:
        sentence = _NOT_ESTIMATED if refused else _NOTHING_EDITED
        return Verdict("nothing_found", sentence.format(name=class_name), tuple(details), better)
    if f"placebo.{judged}" not in rows:
        return Verdict("nothing_found", _NO_PLACEBO.format(name=class_name), tuple(details), better)
    if not _beyond_controls(rows, differences, judged, minimum_effect=minimum_effect):
        return Verdict("nothing_found", _NOTHING_FOUND.format(name=class_name), tuple(details), better)
    if not better:
        return Verdict("found_no_gain", _NO_GAIN.format(name=class_name), tuple(details), better)
    if not _beyond_controls(rows, differences, recommended, minimum_effect=minimum_effect):
        return Verdict("found_no_gain", _NOT_TAKEN_AWAY.format(name=class_name), tuple(details), better)
    return Verdict("found_and_helped", _MENDED.format(name=class_name), tuple(details), better)


_CONTROLS = {"retrain": "retraining alone", "placebo": "the same edit on placebo neurons"}
_NOTHING_EDITED = "Nothing claimed: no neuron of {name} was edited, so whether it leans on a cue was not tested."
_NOT_ESTIMATED = "Nothing claimed: the samples are too few or too alike to estimate what {name} leans on."
_NO_PLACEBO = (
    "Nothing claimed: no placebo could be made, so what the edit of {name} owes to the chosen neurons is open."
)
_NOTHING_FOUND = "Nothing found: editing the suspected neurons of {name} gains no more than the controls do."
_FOUND = "{name} leans on a cue the chosen neurons carry"
_MENDED = f"Found and mended: {_FOUND}, and taking it away helps beyond every control."
_NO_GAIN = f"Found, not mended: {_FOUND}, but the recommended layer does not surely raise its accuracy."
_NOT_TAKEN_AWAY = (
    f"Found, not mended: {_FOUND}; the recommended layer raises its accuracy, but is not shown to take the cue away."
)


def _beyond_controls(
    rows: Mapping[str, Mapping[str, Any]],
    differences: Sequence[Mapping[str, Any]],
    name: str,
    *,
    minimum_effect: float,
) -> bool:
    """Whether a layer surely raises the class AUROC above both controls, and above every single placebo draw."""
    gains = [_difference(differences, name, against=control, metric="class_auroc") for control in _CONTROLS]
    if any(gain is None or gain["low"] <= 0 or gain["value"] < minimum_effect for gain in gains):
        return False
    placebo = rows.get(f"placebo.{name}", {}).get("class_auroc")
    return placebo is None or bool(rows[name]["class_auroc"]["value"] > placebo["high"])


def _difference(
    differences: Sequence[Mapping[str, Any]], name: str | None, *, against: str, metric: str
) -> Mapping[str, Any] | None:
    wanted = (name, against, metric)
    return next((one for one in differences if (one["name"], one["against"], one["metric"]) == wanted), None)
