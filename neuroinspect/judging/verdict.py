"""The verdict in one sentence: was a cause found, and did the edit help beyond its controls.

A cause is claimed only where the edit of the chosen neurons raises the AUROC of the class margin, which no bias can move:
above retrain-only and above the mean placebo (paired bootstrap, lower bound above zero, at least `minimum_effect`), and
above every single placebo draw. The edit judged is named before the judging split is seen: the first of PRESPECIFIED that
was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

PRESPECIFIED = ("cue_erasure", "ablate_refit", "ratio", "con")
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
) -> Verdict:
    """Judge the edits.

    Args:
        rows: figures by name of the layer, from `Judge.row`.
        differences: from `Judge.differences`, against retrain, original and placebo.
        class_name: the class that was debugged.
        recommended: the layer the selection rule took.
        minimum_effect: smallest gain in AUROC that is claimed.
    """
    judged = next((name for name in PRESPECIFIED if name in rows), None)
    details = []
    claimed = judged is not None
    if judged is not None:
        for control, words in (("retrain", "retraining alone"), ("placebo", "the same edit on placebo neurons")):
            gain = _difference(differences, judged, against=control, metric="class_auroc")
            if gain is None:
                claimed = False
                continue
            claimed = claimed and gain["low"] > 0 and gain["value"] >= minimum_effect
            details.append(
                f"{_title(judged)} changes the AUROC of {class_name} by {_signed(gain)} against {words} "
                f"(95 % interval {gain['low']:+.3f} to {gain['high']:+.3f})."
            )
        placebo = rows.get(f"placebo.{judged}", {}).get("class_auroc")
        if placebo is not None:
            claimed = claimed and rows[judged]["class_auroc"]["value"] > placebo["high"]
    helped = _difference(differences, recommended, against="original", metric="class_accuracy")
    better = helped is not None and helped["low"] > 0
    if helped is not None:
        advice = "" if better else " That is no sure gain: keep the original."
        details.append(
            f"The recommended layer ({_title(recommended).lower()}) takes {class_name} from "
            f"{rows['original']['class_accuracy']['value']:.1%} to {rows[recommended]['class_accuracy']['value']:.1%}, and the "
            f"average from {rows['original']['average']['value']:.1%} to {rows[recommended]['average']['value']:.1%}.{advice}"
        )
    status: Status = "nothing_found" if not claimed else "found_and_helped" if better else "found_no_gain"
    return Verdict(status, _SENTENCES[status].format(name=class_name), tuple(details), better)


_SENTENCES: Mapping[Status, str] = {
    "nothing_found": "Nothing found: editing the suspected neurons of {name} gains no more than the controls do.",
    "found_and_helped": "Found and mended: {name} leans on a cue the chosen neurons carry, and taking it away helps beyond "
    "every control.",
    "found_no_gain": "Found, not mended: {name} leans on a cue the chosen neurons carry, but the recommended layer does not "
    "surely raise its accuracy.",
}
TITLES = {
    "original": "Original",
    "retrain": "Retrain-only",
    "bias": "Bias shift",
    "ratio": "The paper's edit",
    "con": "Contribution penalty",
    "ablate_refit": "Ablate and refit",
    "cue_erasure": "Cue erasure",
}


def _title(name: str) -> str:
    return TITLES.get(name, name)


def _difference(
    differences: Sequence[Mapping[str, Any]], name: str, *, against: str, metric: str
) -> Mapping[str, Any] | None:
    wanted = (name, against, metric)
    return next((one for one in differences if (one["name"], one["against"], one["metric"]) == wanted), None)


def _signed(gain: Mapping[str, Any]) -> str:
    return f"{gain['value']:+.3f}"
