"""What a card says of one neuron: figures in words, what was tried with it, and what was said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from neuroinspect.report.neuron_facts import (
    DIRECTIONS,
    Fact,
    Vote,
    facts_of,
    known_value,
    unreached_note,
    votes_of,
    word_of,
)
from neuroinspect.report.words import percent
from neuroinspect.review import Candidate, Direction, NeuronJudgement
from neuroinspect.web.neurons.findings import Findings
from neuroinspect.web.neurons.tried_sets import TriedSets, Tries
from neuroinspect.web.times import Moment, moment_of

_SORTED_BY: Final = ("probability_ratio", "activation_gap", "core_relevance")
IN_WORDS: Final = {
    "insufficient": "Too weak in the mistakes: had it fired more, they would have been called right.",
    "excessive": "Too strong in the mistakes: had it fired less, they would have been called right.",
    "both": "Too weak in some of the mistakes, too strong in others.",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What was last said of a neuron; the verdict is "" where there is only a note, the time None where it is not known."""

    verdict: str
    note: str
    by: str
    at: Moment | None


@dataclass(frozen=True, slots=True)
class Card:
    """One candidate.

    Attributes:
        direction: "insufficient", "excessive" or "both".
        direction_title: the same as something to happen.
        meaning: the same as a sentence.
        vote_share: in [0, 1], as the review asks it.
        word: what tells best when it fires, as the text guide sees real photos; "" where that is not known.
        second_word: the next best.
        is_drawn: whether an illusion was drawn.
        votes: shares of the mistakes, with their bars.
        facts: every figure that is known.
        figures: those that lists are sorted by; None where one is not known.
        unreached: note on an illusion that stayed under what real photos reach; "" otherwise.
        tries: what edits of it gave when they were tried; None where none was.
        said: None where nothing stands.
    """

    neuron: int
    direction: Direction
    direction_title: str
    meaning: str
    vote_share: float
    word: str
    second_word: str
    is_drawn: bool
    votes: tuple[Vote, ...]
    facts: tuple[Fact, ...]
    figures: Mapping[str, float | None]
    unreached: str
    tries: Tries | None
    said: Said | None

    @property
    def verdict(self) -> str:
        """The verdict that stands; "" where none does."""
        return "" if self.said is None else self.said.verdict

    @property
    def is_suggested(self) -> bool:
        """Whether it belongs to the best set that was tried."""
        return self.tries is not None and self.tries.in_best

    @property
    def gain(self) -> float | None:
        """AUROC gain of the edit of this neuron alone, where that was tried."""
        return None if self.tries is None else self.tries.gain


def cards_of(
    candidates: Sequence[Candidate], findings: Findings, judgements: Mapping[int, NeuronJudgement]
) -> list[Card]:
    """A card for each candidate, in the order of the review."""
    tried = TriedSets(findings.tried)
    return [_card(one, findings, tried, judgements.get(one.neuron)) for one in candidates]


def _card(one: Candidate, findings: Findings, tried: TriedSets, judgement: NeuronJudgement | None) -> Card:
    asked = {"direction": one.direction, "vote_share": one.vote_share}
    row = {**findings.neurons.get(one.neuron, {}), **asked}
    second = row.get("runner_up")
    return Card(
        neuron=one.neuron,
        direction=one.direction,
        direction_title=DIRECTIONS[one.direction],
        meaning=IN_WORDS[one.direction],
        vote_share=one.vote_share,
        word=word_of(row),
        second_word=second if isinstance(second, str) else "",
        is_drawn=isinstance(row.get("picture"), str),
        votes=votes_of(row)
        or (Vote("of the mistakes voted for it", percent(one.vote_share, digits=0), 100 * one.vote_share),),
        facts=facts_of(row),
        figures={name: known_value(row, name) for name in _SORTED_BY},
        unreached=unreached_note(row),
        tries=tried.of(one.neuron),
        said=None if judgement is None else said(judgement),
    )


def said(judgement: NeuronJudgement) -> Said:
    """What stands of a neuron, for a page."""
    return Said(judgement.verdict or "", judgement.note, judgement.by, moment_of(judgement.at))
