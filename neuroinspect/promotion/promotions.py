"""Which version serves: judged by the rules, written on the trail, and then shown by the registry's aliases.

The trail is the truth, because a database can say who came first and a registry's alias cannot. Between the entry and the
aliases a process may die: `settle` lets the aliases stand for what the trail says, and everybody who looks calls it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from neuroinspect.errors import (
    ModelSpecError,
    NeuroInspectError,
    OutsideError,
    PromotionConflictError,
    PromotionError,
    PromotionRefusedError,
)
from neuroinspect.promotion.book import PromotionBook, VersionShelf
from neuroinspect.promotion.facts import BASELINE, BIAS, NO_FIGURES, Figures, Version, read_figures
from neuroinspect.promotion.policy import Policy
from neuroinspect.promotion.record import Promotion, Standing, standing
from neuroinspect.promotion.rules import Case, Rule, judge

CHAMPION: Final = "champion"
"""Alias of the version in service."""
PREVIOUS: Final = "previous"
"""Alias of the version to which a rollback goes."""
_MOVES: Final = 20
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say of a candidate.

    Attributes:
        candidate: the version.
        champion: the version in service when it was judged; None where there was none.
        number: of the trail's last entry then.
        rules: every rule that the policy asks; empty where the candidate is the champion already.
        entry: the entry that made it the champion; None where it is not.
    """

    candidate: Version
    champion: Version | None
    number: int
    rules: tuple[Rule, ...]
    entry: Promotion | None = None

    @property
    def holds(self) -> bool:
        """Whether every rule holds."""
        return all(rule.holds for rule in self.rules)

    @property
    def broken(self) -> tuple[Rule, ...]:
        """Those that do not."""
        return tuple(rule for rule in self.rules if not rule.holds)

    def record(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "model": self.candidate.name,
            "version": self.candidate.number,
            "method": self.candidate.method,
            "champion": None if self.champion is None else self.champion.number,
            "holds": self.holds,
            "rules": [rule.record() for rule in self.rules],
        }


class Promotions:
    """Promotes, rolls back, and lets the aliases follow.

    Args:
        book: keeps the trail.
        shelf: keeps the versions and their aliases.
        policy: what is asked of a candidate.
    """

    def __init__(self, book: PromotionBook, shelf: VersionShelf, policy: Policy) -> None:
        self._book, self._shelf, self._policy = book, shelf, policy

    def trail(self, name: str) -> Sequence[Promotion]:
        """The trail of a model, the oldest entry first; its aliases stand for what it says afterwards."""
        self.settle(name)
        return self._book.trail(name)

    def judge(self, name: str, which: str) -> Judgement:
        """What the rules say of a version now; nothing is moved.

        Args:
            name: of the registered model.
            which: number or alias of the version.

        Raises:
            ModelSpecError: there is no such model, version or alias.
            OutsideError: trail or registry cannot be reached.
        """
        now = standing(self._book.trail(name))
        candidate = self._shelf.version(name, which)
        champion = None if now.champion is None else self._serving(now.champion)
        if now.champion is not None and candidate.number == now.champion.after:
            return Judgement(candidate, champion, now.number, (), entry=now.champion)
        figures, bias, problem = self._figures(candidate)
        answer = None if candidate.request is None else self._book.answer(candidate.request)
        case = Case(candidate, champion, figures, bias, problem, answer)
        return Judgement(candidate, champion, now.number, judge(case, self._policy))

    def promote(self, judged: Judgement, *, by: str, override: str | None = None) -> Promotion:
        """Make a judged version the champion; the entry that did, also where it did before.

        Args:
            judged: from `judge`.
            by: who promotes.
            override: why the version is to serve although a rule does not hold.

        Raises:
            PromotionRefusedError: a rule does not hold; the message gives each with its figure.
            PromotionConflictError: another version came to serve since it was judged; the message names who did that.
            PromotionError: the override gives no reason, the version was not registered by this tool, or a version serves of
                which the trail knows nothing.
            OutsideError: trail or registry cannot be reached, also where the entry is kept and only the aliases are not moved.
        """
        candidate = judged.candidate
        if judged.entry is not None:
            self.settle(candidate.name)
            return judged.entry
        if override is not None and not override.strip():
            raise PromotionError("an override needs a reason: it is what the trail keeps in place of the rules")
        if not judged.holds and override is None:
            broken = "\n".join(f"  {rule.sentence()}" for rule in judged.broken)
            raise PromotionRefusedError(
                f"version {candidate.number} of {candidate.name} is not promoted; {len(judged.broken)} of {len(judged.rules)} "
                f"rules do not hold:\n{broken}"
            )
        if judged.number == 0:
            self._refuse_a_stranger(candidate.name)
        entry = Promotion(
            model=candidate.name,
            number=judged.number + 1,
            kind="promote" if judged.holds else "override",
            before=None if judged.champion is None else judged.champion.number,
            after=candidate.number,
            layer=_layer(candidate),
            by=by,
            reason=override,
            rules=tuple(rule.record() for rule in judged.rules),
            metrics_hash=candidate.metrics_hash,
        )
        return self._kept(entry)

    def begin(self, name: str, which: str, *, by: str, adopt: bool = False) -> Promotion | None:
        """Make the untouched model the first champion; None where there is a champion already.

        Args:
            name: of the registered model.
            which: number or alias of the untouched version.
            by: who does it.
            adopt: where the registry's champion stands already and the trail is empty: begin the trail with that one.

        Raises:
            PromotionError: the version is an edit, or a version serves of which the trail knows nothing.
            ModelSpecError: there is no such version.
            OutsideError: trail or registry cannot be reached.
        """
        stranger = self._stranger(name)
        if self._book.trail(name):
            self.settle(name)
            return None
        if stranger is not None and not adopt:
            self._refuse_a_stranger(name)
        version = self._shelf.version(name, which if stranger is None else str(stranger))
        if stranger is None and version.kind != BASELINE:
            raise PromotionError(
                f"version {version.number} of {name} is an edit, and the first champion is the untouched model; run "
                "`neuroinspect register` with a params file that names it"
            )
        reason = None if stranger is None else "adopted: it served in MLflow, and this trail was empty"
        try:
            return self._kept(Promotion(name, 1, "first", None, version.number, _layer(version), by, reason))
        except PromotionConflictError:  # somebody else was faster, which is as good
            self.settle(name)
            return None

    def rollback(self, name: str, *, by: str, reason: str | None = None, expected: int | None = None) -> Promotion:
        """Put the version before the champion back into service; twice goes back two steps.

        A rollback whose aliases were never moved is finished in place of a further step, and its entry returned: whoever was
        cut off and says it again means the same one.

        Args:
            name: of the registered model.
            by: who does it.
            reason: why, for the trail.
            expected: version that is to be taken out of service. Where the last entry took it out already, that entry is given
                back: so said, a rollback can be said again without a further step.

        Raises:
            PromotionError: there is no version before the champion.
            PromotionConflictError: somebody else was faster, or another version than the expected one serves; the message names
                who brought that about.
            OutsideError: trail or registry cannot be reached, also where the rollback is kept and only the aliases are not moved.
        """
        trail = self._book.trail(name)
        now = standing(trail)
        if trail and trail[-1].kind == "rollback" and self._shelf.pointed(name).get(CHAMPION) == trail[-1].before:
            self.settle(name)
            log.warning("entry %d of %s was not followed yet: %s; it is now", now.number, name, trail[-1].told())
            return trail[-1]
        if expected is not None and now.champion is not None and now.champion.after != expected:
            self.settle(name)
            if trail[-1].kind == "rollback" and trail[-1].before == expected:
                return trail[-1]
            raise PromotionConflictError(
                f"version {expected} of {name} does not serve, version {now.champion.after} does: {trail[-1].told()}; nothing "
                "was changed"
            )
        if now.champion is None or now.previous is None:
            self.settle(name)
            what = "no champion" if now.champion is None else f"no champion before version {now.champion.after}"
            raise PromotionError(f"{name} has {what}, so there is nothing to roll back to; nothing was changed")
        self._serving(now.previous)
        entry = Promotion(
            model=name,
            number=now.number + 1,
            kind="rollback",
            before=now.champion.after,
            after=now.previous.after,
            layer=now.previous.layer,
            by=by,
            reason=reason,
        )
        return self._kept(entry)

    def settle(self, name: str) -> Standing:
        """Let the aliases stand for what the trail says; as often as it takes, and nothing where they do already.

        Whoever moves them looks at the trail again afterwards, so that the last to move has seen the last entry.

        Raises:
            PromotionError: the registry holds another model under the number of a champion.
            OutsideError: trail or registry cannot be reached.
        """
        trail = self._book.trail(name)
        now = standing(trail)
        for _ in range(_MOVES):
            if now.champion is None:
                return now
            self._serving(now.champion)
            previous = None if now.previous is None else self._still_there(now.previous)
            stood = self._shelf.point(name, {CHAMPION: now.champion.after, PREVIOUS: previous}).get(CHAMPION)
            # An entry that was not followed yet leaves it at `before`.
            if stood not in {now.champion.after, trail[-1].before, None}:
                log.warning(
                    "the alias %s of %s stood for version %d, which its trail does not say; it stands for version %d again. "
                    "Move it with `neuroinspect promote` alone, and let all who do name the same review store",
                    CHAMPION,
                    name,
                    stood,
                    now.champion.after,
                )
            moved, trail = now, self._book.trail(name)
            now = standing(trail)
            if now.number == moved.number:
                break
        return now

    def settle_all(self) -> None:
        """Settle every model that has a trail.

        Raises:
            NeuroInspectError: of the first that cannot be settled; the others are.
        """
        problems = []
        for name in self._book.models():
            try:
                self.settle(name)
            except NeuroInspectError as error:
                problems.append(error)
        if problems:
            raise problems[0]

    def _stranger(self, name: str) -> int | None:
        """The registry's champion where the trail is empty: another store's trail put it there, or a hand."""
        serves = self._shelf.pointed(name).get(CHAMPION)  # before the trail: who has just begun it writes there first
        return None if self._book.trail(name) else serves

    def _refuse_a_stranger(self, name: str) -> None:
        stranger = self._stranger(name)
        if stranger is not None:
            raise PromotionError(
                f"version {stranger} of {name} serves in MLflow already, and this review store has no trail of it; name the "
                "team's store in NEUROINSPECT_REVIEW_URL. Where no other store has one, `neuroinspect register --adopt` begins "
                "the trail with that version"
            )

    def _kept(self, entry: Promotion) -> Promotion:
        kept = self._book.append(entry)
        try:
            self.settle(entry.model)
        except NeuroInspectError as error:
            raise OutsideError(
                f"{kept.told()}: that is kept as entry {kept.number} of the trail of {kept.model}, and only MLflow's aliases "
                f"are not moved yet ({error}). Do not do it again: they follow with the next look, such as "
                "`neuroinspect promote --list`"
            ) from error
        log.info("%s is version %d now: %s", entry.model, kept.after, kept.told())
        return kept

    def _serving(self, entry: Promotion) -> Version:
        """The version of an entry; the number alone is not enough, a registry that was begun anew counts from 1 again."""
        found = self._shelf.version(entry.model, str(entry.after))
        if found.layer != entry.layer:
            raise PromotionError(
                f"version {entry.after} of {entry.model} is another model than the one that {entry.told()}; the registry was "
                "begun anew or its tags were changed. Bring back its backup, or name another review store"
            )
        return found

    def _still_there(self, entry: Promotion) -> int | None:
        """The version of an entry, of which nothing hangs on its being there; None where it was deleted."""
        try:
            return self._shelf.version(entry.model, str(entry.after)).number
        except ModelSpecError as error:
            log.warning("there is nothing to roll back to: %s", error)
            return None

    def _figures(self, candidate: Version) -> tuple[Figures, Figures, str]:
        """Figures of a candidate and of the bias-only edit beside it, or why there are none."""
        try:
            metrics = self._shelf.metrics(candidate)
        except PromotionError as error:
            return NO_FIGURES, NO_FIGURES, f"not known: {error}"
        own = read_figures(metrics, method=candidate.method, classes=candidate.classes)
        return own, read_figures(metrics, method=BIAS, classes=candidate.classes), ""


def _layer(version: Version) -> str:
    if version.layer is None:
        raise PromotionError(
            f"version {version.number} of {version.name} was not registered by NeuroInspect; promote one that was"
        )
    return version.layer
