"""The re-test: with the edited layer, do the mistakes that are left still name the chosen neurons, or others with the same cue?

Mistakes of the class on a split that selected nothing are explained twice, under the original and under the edited layer. Three
things can go wrong after an edit: the chosen neurons still have to rise, neurons that carry the same cue have taken their place,
or pictures of other classes that show the cue pay for it.

Reference: the question is that of SpuFix (Neuhaus et al. 2023) and Reveal2Revise (Pahde et al. 2023), who look again after a
correction; the votes are those of the diagnosis (Ju et al. 2023, section III-C).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroinspect.counterfactual import explain_mistakes
from neuroinspect.judging.rows import JudgedSplit
from neuroinspect.masking import PRESENT, cue_correlation, cue_score, neuron_family
from neuroinspect.metrics import class_margin
from neuroinspect.ranking import Direction, VoteShares, vote_shares
from neuroinspect.settings import DiagnoseSettings

TOP = 10
"""A neuron counts as named by the mistakes where it is among this many of its direction."""
Layer = tuple[Tensor, Tensor]
Kind = Literal["class_without_cue", "others_with_cue", "class_with_cue", "others_without_cue"]
Status = Literal["nothing_left", "gone", "replaced", "remains"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a neuron stands in the votes of the mistakes: its rank from 1, None without a vote, and its vote share in 0..1."""

    rank: int | None
    vote_share: float

    @property
    def named(self) -> bool:
        """Whether it is among the first."""
        return self.rank is not None and self.rank <= TOP


@dataclass(frozen=True, slots=True)
class NeuronRetest:
    """One neuron before and after.

    Attributes:
        direction: the list it stands in: insufficient or excessive.
        cue_correlation: within classes, of its activation with whether the cue of the chosen neurons shows, in -1..1.
        carries_cue: it is one of the chosen neurons or of their family.
    """

    neuron: int
    direction: Direction
    before: Standing
    after: Standing
    cue_correlation: float
    carries_cue: bool


@dataclass(frozen=True, slots=True)
class Pictures:
    """Samples of one kind: how many are right, and how many are called the class, before and after."""

    kind: Kind
    count: int
    right_before: int
    right_after: int
    called_before: int
    called_after: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Mistakes before and after: those set right, and those newly made."""

    before: int
    after: int
    fixed: int
    made: int


@dataclass(frozen=True, slots=True, eq=False)
class Retest:
    """What an edit left.

    Attributes:
        status: nothing_left: no mistake of the class is left; remains: a chosen neuron is still named; replaced: others with the
            same cue are newly named; gone: none of these.
        of_class, of_others: mistakes on samples of the class, and of the others.
        chosen: the chosen neurons.
        newcomers: named after and not before, the most voted first; chosen ones are not repeated.
        estimated: kinds of samples, by whether the chosen neurons' cue score says that the cue shows.
        by_group: the same by the known groups; empty where they or the cue's group are not known.
        margin_before, margin_after: within classes, correlation of the class margin with whether the cue shows; None where
            it shows nowhere, or everywhere.
    """

    status: Status
    of_class: Changes
    of_others: Changes
    chosen: tuple[NeuronRetest, ...]
    newcomers: tuple[NeuronRetest, ...]
    estimated: tuple[Pictures, ...]
    by_group: tuple[Pictures, ...]
    margin_before: float | None
    margin_after: float | None


def retest(
    split: JudgedSplit, original: Layer, edited: Layer, *, chosen: Sequence[int], settings: DiagnoseSettings
) -> Retest:
    """Explain the mistakes of the class again under an edited layer.

    Args:
        split: samples that selected nothing.
        original: weight (C, F), bias (C,) before the edit.
        edited: the same after it.
        chosen: the neurons the edit was about, at least one.
        settings: solver and votes, as in the diagnosis.

    Raises:
        FeaturesError: no chosen neuron, or one that does not exist.
    """
    neurons = tuple(dict.fromkeys(chosen))
    labels = torch.tensor(split.targets)
    correlation = cue_correlation(split.features, neurons, labels=labels)
    carriers = {*neurons, *neuron_family(split.features, neurons, labels=labels)}
    calls = [_predictions(split.features, layer) for layer in (original, edited)]
    votes = [_votes(split, layer, call, settings) for layer, call in zip((original, edited), calls, strict=True)]
    ranks = [{way: _ranks(_shares(vote, way)) for way in _WAYS} for vote in votes]

    def stand(neuron: int, way: Direction) -> NeuronRetest:
        before, after = (
            Standing(rank[way].get(neuron), float(_shares(vote, way)[neuron]))
            for rank, vote in zip(ranks, votes, strict=True)
        )
        return NeuronRetest(neuron, way, before, after, float(correlation[neuron]), neuron in carriers)

    known = tuple(stand(neuron, max(_WAYS, key=lambda way: _shares(votes[0], way)[neuron])) for neuron in neurons)
    new = [
        stand(neuron, way)
        for way in dict.fromkeys(one.direction for one in known)
        for neuron, rank in ranks[1][way].items()
        if rank <= TOP and neuron not in neurons
    ]
    newcomers = tuple(one for one in new if not one.before.named)
    of_class = split.targets == split.class_index
    own, others = (_changes(split.targets[rows], calls[0][rows], calls[1][rows]) for rows in (of_class, ~of_class))
    shows = (cue_score(split.features, neurons) > PRESENT).cpu().numpy()
    return Retest(
        status=_status(own, known, newcomers),
        of_class=own,
        of_others=others,
        chosen=known,
        newcomers=newcomers,
        estimated=_pictures(split, calls, shows, np.ones(len(shows), dtype=bool)),
        by_group=_by_group(split, calls),
        margin_before=_margin_and_cue(split, original, shows),
        margin_after=_margin_and_cue(split, edited, shows),
    )


def retest_sentences(found: Retest, *, class_name: str, title: str) -> list[str]:
    """The finding in plain words: about the chosen neurons, pictures of other classes that show the cue, and the class margin.

    Args:
        found: of one layer.
        class_name: the class that was debugged.
        title: what the layer is called.
    """
    left, before = found.of_class.after, found.of_class.before
    sentences = [f"{title}: the class {class_name} has no mistake left to explain, of {before} before."]
    if left:
        still = _listed([one.neuron for one in found.chosen if one.after.named])
        new = _listed([one.neuron for one in found.newcomers if one.carries_cue])
        told = {
            "remains": f"Those left still name {still}.",
            "replaced": f"Those left no longer name the chosen neurons, but now {new}, with the same cue.",
            "gone": "Those left no longer name the chosen neurons, nor others with the same cue in their place.",
        }
        fixed, made = found.of_class.fixed, found.of_class.made
        counts = f"{title}: of {before} mistakes on {class_name}, {fixed} are fixed and {made} newly made."
        sentences = [f"{counts} {told[found.status]}"]
    others = next((one for one in found.by_group or found.estimated if one.kind == "others_with_cue"), None)
    if others is not None and others.count:
        sentences.append(
            f"Of {others.count} pictures of other classes that show the cue, {others.right_before} were right before and "
            f"{others.right_after} after; {others.called_before} were called {class_name} before and {others.called_after} after."
        )
    if found.margin_before is not None and found.margin_after is not None:
        sentences.append(
            f"Within each class, the margin of {class_name} goes with the cue at {found.margin_before:.2f} before and "
            f"{found.margin_after:.2f} after (a correlation: 0 is not at all)."
        )
    return sentences


def _listed(neurons: Sequence[int]) -> str:
    named = [str(neuron) for neuron in neurons]
    return (
        f"neuron {named[0]}" if len(named) == 1 else f"neurons {', '.join(named[:-1])} and {named[-1]}" if named else ""
    )


_WAYS = (Direction.INSUFFICIENT, Direction.EXCESSIVE)


def _status(of_class: Changes, chosen: Sequence[NeuronRetest], newcomers: Sequence[NeuronRetest]) -> Status:
    if not of_class.after:
        return "nothing_left"
    if any(one.after.named for one in chosen):
        return "remains"
    return "replaced" if any(one.carries_cue for one in newcomers) else "gone"


def _predictions(features: Tensor, layer: Layer) -> NDArray[np.int64]:
    return np.asarray((features @ layer[0].T + layer[1]).argmax(1).cpu().numpy(), dtype=np.int64)


def _votes(split: JudgedSplit, layer: Layer, calls: NDArray[np.int64], settings: DiagnoseSettings) -> VoteShares:
    wrong = torch.from_numpy((split.targets == split.class_index) & (calls != split.targets))
    classes, width = layer[0].shape
    linear = nn.Linear(width, classes, device="meta").to_empty(device=layer[0].device)
    with torch.no_grad():
        linear.weight.copy_(layer[0])
        linear.bias.copy_(layer[1])
    targets = torch.full((int(wrong.sum()),), split.class_index)
    found = explain_mistakes(
        split.features[wrong], targets, linear.requires_grad_(False), settings=settings.counterfactual
    )
    return vote_shares(found.shifts.cpu(), top_k=settings.top_k, strict_sign=settings.strict_sign)


def _shares(votes: VoteShares, way: Direction) -> NDArray[np.float64]:
    return votes.insufficient if way is Direction.INSUFFICIENT else votes.excessive


def _ranks(shares: NDArray[np.float64]) -> dict[int, int]:
    """Rank from 1 of each neuron with a vote, the most voted first, equal ones by number."""
    order = np.argsort(-shares, kind="stable")
    return {int(neuron): rank for rank, neuron in enumerate(order, start=1) if shares[neuron] > 0}


def _changes(targets: NDArray[np.int64], before: NDArray[np.int64], after: NDArray[np.int64]) -> Changes:
    was, stays = before != targets, after != targets
    return Changes(int(was.sum()), int(stays.sum()), int((was & ~stays).sum()), int((~was & stays).sum()))


def _by_group(split: JudgedSplit, calls: Sequence[NDArray[np.int64]]) -> tuple[Pictures, ...]:
    known = np.array([group is not None for group in split.groups], dtype=bool)
    if split.cue is None or not known.any():
        return ()
    shows = np.array([group == split.cue for group in split.groups], dtype=bool)
    return _pictures(split, calls, shows, known)


def _pictures(
    split: JudgedSplit, calls: Sequence[NDArray[np.int64]], shows: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[Pictures, ...]:
    of_class = split.targets == split.class_index
    kinds: dict[Kind, NDArray[np.bool_]] = {
        "class_without_cue": of_class & ~shows,
        "others_with_cue": ~of_class & shows,
        "class_with_cue": of_class & shows,
        "others_without_cue": ~of_class & ~shows,
    }
    found = []
    for kind, member in kinds.items():
        rows = member & known
        right = [int((call == split.targets)[rows].sum()) for call in calls]
        called = [int((call == split.class_index)[rows].sum()) for call in calls]
        found.append(Pictures(kind, int(rows.sum()), *right, *called))
    return tuple(found)


def _margin_and_cue(split: JudgedSplit, layer: Layer, shows: NDArray[np.bool_]) -> float | None:
    logits = (split.features @ layer[0].T + layer[1]).double().cpu().numpy()
    margin, cue = class_margin(logits, split.class_index), shows.astype(np.float64)
    for index in np.unique(split.targets):
        rows = split.targets == index
        margin[rows] -= margin[rows].mean()
        cue[rows] -= cue[rows].mean()
    size = float(np.linalg.norm(margin) * np.linalg.norm(cue))
    return float(margin @ cue) / size if size > 1e-12 else None
