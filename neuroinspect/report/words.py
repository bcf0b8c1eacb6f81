"""The page's words: how numbers are written, what methods and metrics are called, and how each figure is read."""

from collections.abc import Mapping
from typing import Any, Final

from neuroinspect.judging.titles import title_of

MINUS: Final = "\N{MINUS SIGN}"
NOTHING: Final = "\N{EN DASH}"

METRIC_TITLES: Final[Mapping[str, str]] = {
    "class_auroc": "Class AUROC",
    "cross_cue_auroc": "Cross-cue AUROC",
    "class_accuracy": "Class accuracy",
    "average": "Average accuracy",
    "group_weighted_average": "Average, weighted by training groups",
    "worst_class": "Worst class",
    "worst_group": "Worst group",
}
METRIC_MEANINGS: Final[Mapping[str, str]] = {
    "class_auroc": "How well the class is told from the others. A bias cannot move it: 0.5 is chance, 1 is perfect.",
    "cross_cue_auroc": "Pictures of the class without the cue against other pictures with it. Under 0.5 the model "
    "follows the cue, at 1 it follows the class. A bias cannot move it.",
    "class_accuracy": "Part of the class's pictures that are called right. A bias can buy this one, so read it last.",
    "average": "Part of all pictures that are called right: the price of the edit shows here.",
    "worst_class": "Accuracy of the class the model does worst on.",
}
PERCENT_METRICS: Final = frozenset(
    {"class_accuracy", "average", "group_weighted_average", "worst_class", "worst_group"}
)

METHOD_MEANINGS: Final[Mapping[str, str]] = {
    "original": "The classifier as it came.",
    "retrain": "Control: the decision layer trained again, with no neuron chosen.",
    "bias": "Only the bias of the class is moved. The cheapest rival, it must be beaten.",
    "ratio": "The decision layer retrained so that the chosen neurons no longer speak for the class.",
    "ablate_refit": "The chosen neurons and their family silenced, the rest of the decision layer refitted.",
    "cue_erasure": "The direction the chosen neurons mark is erased from the features, the decision layer refitted.",
    "con": "The class's output from the chosen neurons alone is pushed to zero.",
    "silencing": "The class's weights for the chosen neurons and their family set to zero, nothing trained.",
    "class_weighting": "The decision layer retrained with the other classes counting less.",
    "focal": "The decision layer retrained with sure samples counting less.",
}
SPLIT_MEANINGS: Final[Mapping[str, str]] = {
    "train": "the pictures the decision layer was fitted on",
    "validation": "all pictures held out from training",
    "select": "held out, but neurons and settings were chosen on it",
    "judge": "held out, and used for nothing but these figures",
    "test": "the test split as it came",
}
DIRECTION_TITLES: Final[Mapping[str, str]] = {
    "insufficient": "Insufficient neurons",
    "excessive": "Excessive neurons",
}
DIRECTION_MEANINGS: Final[Mapping[str, str]] = {
    "insufficient": "The mistakes would have been right had these neurons been stronger. Where a picture shows "
    "something other than the class itself, the model leans on it, and misses the class where it is absent.",
    "excessive": "The mistakes would have been right had these neurons been weaker: they pull the pictures into other "
    "classes.",
}
NEURON_FIGURES: Final[Mapping[str, str]] = {
    "Vote share": "Part of the mistakes that had the neuron among the few that most had to change.",
    "Weight": "What the decision layer adds to the class for one unit of the neuron's activation.",
    "Probability ratio": "Probability of the class on the mistakes, with the neuron over without it. Above 1 the "
    "neuron speaks for the class, below 1 against it.",
    "Activation gap": "Mean activation on pictures of the class called right, minus that on those called wrong.",
    "Core relevance": "How much the neuron's own pixels of the illusion speak for the class beside other classes. Low: "
    "more likely a cue than the class itself. A hint, never a decision.",
    "Activation reached": "By the illusion, beside the 95th percentile on real photos. An illusion that stays under it "
    "is weak evidence.",
    "Word": "Of the text guide's words, the one whose presence in real photos goes most with the neuron's firing, and that "
    "correlation (1 is perfect); then the second. A name for it, no proof of what it sees.",
    "Text likeness": "Cosine of the illusion and the class name, as the text guide sees them.",
}


def percent(value: float | None, *, digits: int = 1) -> str:
    """0.8423 as `84.2 %`, with a no-break space."""
    return NOTHING if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def number(value: float | None, *, digits: int = 3) -> str:
    """A figure with a true minus sign."""
    return NOTHING if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def metric_value(metric: str, value: float | None) -> str:
    """Accuracies in percent, AUROCs from 0 to 1."""
    return percent(value) if metric in PERCENT_METRICS else number(value)


def change(metric: str, value: float | None) -> str:
    """A difference with its sign: percentage points for accuracies."""
    if value is None:
        return NOTHING
    scaled = round(100 * value, 1) if metric in PERCENT_METRICS else round(value, 3)
    sign = "+" if scaled > 0 else MINUS if scaled < 0 else "±"
    digits = 1 if metric in PERCENT_METRICS else 3
    return f"{sign}{abs(scaled):.{digits}f}" + ("\N{NO-BREAK SPACE}points" if metric in PERCENT_METRICS else "")


def interval(metric: str, figure: Mapping[str, Any] | None) -> str:
    """`82.1 to 86.0 %`, or nothing where the interval is not known."""
    if figure is None or figure.get("low") is None or figure.get("high") is None:
        return ""
    low, high = float(figure["low"]), float(figure["high"])
    if metric in PERCENT_METRICS:
        return f"{100 * low:.1f} to {percent(high)}"
    return f"{number(low)} to {number(high)}"


def change_interval(metric: str, low: float | None, high: float | None) -> str:
    """Interval of a difference, both ends with their sign."""
    if low is None or high is None:
        return ""
    first, _, _ = change(metric, low).partition("\N{NO-BREAK SPACE}")
    return f"{first} to {change(metric, high)}"


def method_title(name: str, given: str | None = None) -> str:
    """What a method is called on the page: as the stages call it, else as this page does; a placebo after its edit."""
    if given:
        return given
    if name.startswith("placebo."):
        return f"Placebo: {method_title(name.split('.')[1])}"
    return title_of(name)


def split_title(split: str, count: int | None = None) -> str:
    """`Judge split, 480 pictures`."""
    return f"{split[:1].upper()}{split[1:]} split" + (
        "" if count is None else f", {count:,} picture{'' if count == 1 else 's'}"
    )


def shortened(text: str, length: int = 24) -> str:
    """One line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
