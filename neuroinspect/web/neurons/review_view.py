"""What every page of one review shows: the question, how far it is judged, what is selected, and what is in the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from neuroinspect.report.words import percent
from neuroinspect.review import NeuronJudgement, NeuronVerdict, selection
from neuroinspect.web.desk import OpenReview
from neuroinspect.web.neurons.cards import Card, cards_of
from neuroinspect.web.neurons.findings import Findings, findings_of
from neuroinspect.web.neurons.tried_sets import TriedSets
from neuroinspect.web.review_list import ReviewLine, review_line

VERDICTS: Final[tuple[str, ...]] = get_args(NeuronVerdict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a review is judged.

    Attributes:
        judged: neurons with a verdict.
        candidates: all neurons.
        counts: verdict to how many have it.
        selection: the neurons called spurious, ascending: what the edit would be about.
    """

    judged: int
    candidates: int
    counts: Mapping[str, int]
    selection: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReviewView:
    """One review.

    Attributes:
        line: what the list of reviews shows of it.
        sentence: what the model called how often; "" where that is not known.
        progress: how far it is judged.
        cards: one for each candidate, most votes first.
        tried: method of the edits that were tried ahead, and how many; ("", 0) where none were.
        notices: what a reviewer has to know before trusting the page.
        findings: the tables behind it.
    """

    line: ReviewLine
    sentence: str
    progress: Progress
    cards: tuple[Card, ...]
    tried: tuple[str, int]
    notices: tuple[str, ...]
    findings: Findings

    def card(self, neuron: int) -> Card | None:
        """The card of a candidate."""
        return next((card for card in self.cards if card.neuron == neuron), None)


def review_view(opened: OpenReview, judgements: Mapping[int, NeuronJudgement]) -> ReviewView:
    """Everything a page of one review is made from."""
    findings, request = findings_of(opened), opened.stored.request
    sets = TriedSets(findings.tried)
    return ReviewView(
        line=review_line(opened.stored),
        sentence=_sentence(findings),
        progress=progress_of(len(request.candidates), judgements),
        cards=tuple(cards_of(request.candidates, findings, judgements)),
        tried=(sets.method, len(sets)),
        notices=_notices(findings, knows_settings=opened.params is not None),
        findings=findings,
    )


def progress_of(candidates: int, judgements: Mapping[int, NeuronJudgement]) -> Progress:
    """How far a review is judged.

    Args:
        candidates: how many neurons there are to judge.
        judgements: what stands of them.
    """
    counts = {verdict: sum(one.verdict == verdict for one in judgements.values()) for verdict in VERDICTS}
    return Progress(sum(counts.values()), candidates, counts, tuple(selection(judgements.values())))


def _sentence(findings: Findings) -> str:
    found = findings.diagnosis
    wrong, size, accuracy = found.get("mistakes"), found.get("class_size"), found.get("class_accuracy")
    if not isinstance(wrong, int) or not isinstance(size, int) or not isinstance(accuracy, int | float):
        return ""
    return f"{wrong:,} of {size:,} held-out pictures of this class something else (accuracy {percent(accuracy)})"


def _notices(findings: Findings, *, knows_settings: bool) -> tuple[str, ...]:
    if findings.root is None:
        return (
            "No run folder of this review can be read from here, so there are no pictures and no figures. Bring the folder back, "
            "or let `neuroinspect run` ask again.",
        )
    notices = list(findings.problems)
    if not knows_settings:
        notices.append(
            "The settings kept with this review are not those of this version, so it can be looked at but not decided. "
            "`neuroinspect run` asks again with the settings it has now."
        )
    if not findings.fits and not notices:
        notices.append(
            "The run folder has changed since this was asked: what is shown may belong to another finding, and a decision will "
            "be refused. `neuroinspect run` asks the new question."
        )
    warnings = findings.diagnosis.get("warnings", ())
    return (*notices, *(str(text) for text in warnings if isinstance(text, str)))
