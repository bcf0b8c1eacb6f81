"""The rules of a promotion: each says what was asked, what came, and whether it holds. A figure that is not known never holds."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from neuroinspect.promotion.facts import BASELINE, Answer, Difference, Figures, Version
from neuroinspect.promotion.policy import Bound, Policy

AUTO: Final = "auto"
"""The reviewer that is a rule."""
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and its answer.

    Attributes:
        name: of the rule.
        asked: in words.
        came: in words.
        holds: whether what came is what was asked.
        bias: what the bias-only edit of the same run gives, in words; empty where the rule has no figure or there is none.
        figure: value, low and high of a difference; None where the rule has none, or it is not known.
    """

    name: str
    asked: str
    came: str
    holds: bool
    bias: str = ""
    figure: Difference | None = None

    def record(self) -> dict[str, Any]:
        """As the trail keeps it."""
        return asdict(self)

    def sentence(self) -> str:
        """Rule and figure in one line."""
        return f"{self.name}: asked {self.asked}; came {self.came}"


@dataclass(frozen=True, slots=True)
class Case:
    """All that the rules look at.

    Attributes:
        candidate: the version that wants to serve.
        champion: the version that serves; None where there is none yet.
        figures: of the candidate.
        bias: of the bias-only edit of the same run.
        problem: why the figures are not known, in words; empty where they are.
        answer: what stands on the candidate's review now; None where the review store does not know it, which is no approval.
    """

    candidate: Version
    champion: Version | None
    figures: Figures
    bias: Figures
    problem: str = ""
    answer: Answer | None = None


def judge(case: Case, policy: Policy) -> tuple[Rule, ...]:
    """Every rule that the policy asks, in the order a reader wants them."""
    return tuple(_rules(case, policy))


def _rules(case: Case, policy: Policy) -> Iterator[Rule]:
    yield _made_from_champion(case)
    if policy.same_data:
        yield _same_data(case)
    if policy.person:
        yield _approved_by_a_person(case)
    for name, metric, against in _ROWS:
        bound: Bound | None = getattr(policy, name)
        if bound is not None:
            show = _auroc if metric == "class_auroc" else _points
            yield _difference(case, name, bound, metric=metric, against=against, show=show)
    if policy.largest_class_loss is not None:
        yield _largest_class_loss(case, policy.largest_class_loss)
    if policy.least_class_accuracy is not None:
        yield _least_class_accuracy(case, policy.least_class_accuracy)


_ROWS: Final[tuple[tuple[str, str, str], ...]] = (
    ("worst_class_over_parent", "worst_class", "original"),
    ("worst_class_over_placebo", "worst_class", "placebo"),
    ("class_auroc_over_parent", "class_auroc", "original"),
    ("class_auroc_over_retrain", "class_auroc", "retrain"),
    ("class_auroc_over_placebo", "class_auroc", "placebo"),
    ("average_over_parent", "average", "original"),
)
"""Name of the rule, and the metric and the control of its difference in metrics.json."""


def _made_from_champion(case: Case) -> Rule:
    candidate, champion = case.candidate, case.champion
    name = "made_from_champion"
    if champion is None:
        came = "there is no champion; `neuroinspect register` makes the untouched model the first"
        return Rule(name, "an edit of the champion", came, holds=False)
    asked = f"an edit of the champion, version {champion.number}"
    if candidate.kind == BASELINE:
        return Rule(name, asked, "no edit, the untouched model", holds=False)
    if candidate.parent_fingerprint is not None and champion.fingerprint is not None:
        holds = candidate.parent_fingerprint == champion.fingerprint
    else:
        holds = candidate.parent_version == champion.number
    known = f"version {candidate.parent_version}" if candidate.parent_version is not None else "another model"
    made_from = f"version {champion.number}" if holds else known
    # By number it may be the same, and its weights another's.
    note = ", of which the weights differ" if not holds and candidate.parent_version == champion.number else ""
    return Rule(name, asked, f"an edit of {made_from}{note}", holds=holds)


def _same_data(case: Case) -> Rule:
    champion = None if case.champion is None else case.champion.known_on
    candidate = case.candidate.data_version
    holds = candidate is not None and candidate == champion
    of_champion, of_candidate = _named(champion, candidate)
    asked = f"judged on the champion's data, {of_champion}"
    return Rule("same_data", asked, f"judged on {of_candidate}", holds=holds)


def _approved_by_a_person(case: Case) -> Rule:
    candidate, now = case.candidate, case.answer
    came, holds = _made_for(candidate), False
    if now is None:
        review = "no review" if candidate.request is None else f"review {candidate.request[:_SHOWN]}"
        came += f", says the version; the review store has no answer to {review}: name the store it was decided in"
    elif _about(now) != (candidate.parent_fingerprint, candidate.pictures, candidate.class_name):
        came += f", says the version; its review asks about another model, other pictures or another class ({now.class_name})"
    elif now.verdict != candidate.review or sorted(now.neurons) != sorted(candidate.neurons or ()):
        came += f"; decided otherwise since: {_told(now.verdict, now.by, unverified=now.unverified)}"
    else:
        # A person may have confirmed what a rule had decided, or the other way round: what stands now counts.
        came = _told(now.verdict, now.by, unverified=now.unverified)
        is_a_person = candidate.reviewer is not None and now.by != AUTO and not now.unverified
        holds = is_a_person and now.verdict == "approved"
    return Rule("person", "approved by a person, and not decided otherwise since", came, holds=holds)


def _about(answer: Answer) -> tuple[str, str, str]:
    return answer.model, answer.pictures, answer.class_name


def _made_for(version: Version) -> str:
    """The decision that a version was made for, as its tags say."""
    unverified = version.unverified is not False
    return _told(version.review or "no review", version.reviewer or "nobody", unverified=unverified)


def _told(verdict: str, by: str, *, unverified: bool) -> str:
    return f"{verdict} by {by}{', unverified' if unverified else ''}"


def _difference(
    case: Case, name: str, bound: Bound, *, metric: str, against: str, show: Callable[[float], str]
) -> Rule:
    asked = f"at least {show(bound.least)}" + (f", interval above {show(bound.low)}" if bound.low is not None else "")
    found = case.figures.difference(metric, against=against)
    beside = case.bias.difference(metric, against=against)
    bias = "" if beside is None else _interval(beside, show)
    if found is None:
        unknown = case.problem or f"not known: no difference of {case.candidate.method} to {_CONTROLS[against]}"
        return Rule(name, asked, unknown, holds=False, bias=bias)
    holds = found.value >= bound.least and (bound.low is None or found.low > bound.low)
    return Rule(name, asked, _interval(found, show), holds=holds, bias=bias, figure=found)


_CONTROLS: Final = {"original": "the parent", "placebo": "a placebo", "retrain": "retraining alone"}


def _largest_class_loss(case: Case, largest: float) -> Rule:
    asked = f"no class loses more than {largest:.1%}"
    came, worst = _class_loss(case.figures)
    bias, _ = _class_loss(case.bias)
    # Written so that NaN does not hold; what is lost to the last bit of a float is not lost.
    holds = worst is not None and worst <= largest + 1e-9
    return Rule("largest_class_loss", asked, came or case.problem or _NO_CLASSES, holds=holds, bias=bias)


def _class_loss(figures: Figures) -> tuple[str, float | None]:
    losses = {name: before - after for name, (before, after) in figures.classes.items()}
    unknown = [name for name, loss in losses.items() if loss != loss]
    if unknown or not losses:
        return (f"not known of {unknown[0]}" if unknown else ""), None
    name = max(losses, key=lambda one: losses[one])
    before, after = figures.classes[name]
    return f"{name} goes from {before:.1%} to {after:.1%}", losses[name]


def _least_class_accuracy(case: Case, least: float) -> Rule:
    asked = f"every class at {least:.1%} or above"
    came, worst = _worst_class(case.figures)
    bias, _ = _worst_class(case.bias)
    holds = worst is not None and worst >= least - 1e-9
    return Rule("least_class_accuracy", asked, came or case.problem or _NO_CLASSES, holds=holds, bias=bias)


def _worst_class(figures: Figures) -> tuple[str, float | None]:
    after = {name: value for name, (_, value) in figures.classes.items()}
    unknown = [name for name, value in after.items() if value != value]
    if unknown or not after:
        return (f"not known of {unknown[0]}" if unknown else ""), None
    name = min(after, key=lambda one: after[one])
    return f"{name} at {after[name]:.1%}", after[name]


_NO_CLASSES: Final = "not known: no accuracy of single classes"


def _interval(found: Difference, show: Callable[[float], str]) -> str:
    return f"{show(found.value)} ({show(found.low)} to {show(found.high)})"


def _points(value: float) -> str:
    return f"{value:+.1%}"


def _auroc(value: float) -> str:
    return f"{value:+.3f}"


def _named(*versions: str | None) -> list[str]:
    """Data versions by the first letters of their hash, where these tell them apart."""
    short = ["an unknown version" if one is None else _shortened(one) for one in versions]
    is_clear = len(set(short)) == len(set(versions))
    return short if is_clear else [str(one) for one in versions]


def _shortened(version: str) -> str:
    kind, colon, digest = version.partition(":")
    return f"{kind}{colon}{digest[:_SHOWN]}"
