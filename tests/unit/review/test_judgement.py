"""What is said of a neuron, and taking it back."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.errors import ReviewConflictError, ReviewError
from neuroinspect.review import NeuronJudgement, TrailEntry, judge
from neuroinspect.review.judgement import JUDGED, UNDONE, change_of, change_to_undo, taken_back
from tests.unit.review.questions import REQUEST

START = datetime(2026, 1, 1, tzinfo=UTC)
NEURONS = [candidate.neuron for candidate in REQUEST.candidates]


@pytest.mark.parametrize("verdict", ["spurious", "core", "unclear", None])
def test_a_verdict_is_kept_with_its_note(verdict):
    said = judge(REQUEST, neuron=3, verdict=verdict, by="ada", note="trees\nbehind")
    assert (said.neuron, said.verdict, said.note, said.by, said.at) == (3, verdict, "trees\nbehind", "ada", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neuron": 4}, "not candidates"),
        ({"neuron": 2**40}, "not candidates"),
        ({"neuron": True}, "not candidates"),
        ({"verdict": "Spurious"}, "a verdict is one of spurious, core, unclear"),
        ({"verdict": ""}, "a verdict is one of"),
        ({"by": ""}, "who decides"),
        ({"note": "x" * 10_001}, "at most 10000"),
    ],
)
def test_a_verdict_that_breaks_a_rule_is_refused(change, message):
    with pytest.raises(ReviewError, match=message):
        judge(REQUEST, **{"neuron": 3, "verdict": "core", "by": "ada", **change})


class Memory:
    """What a store does with changes, without one."""

    def __init__(self) -> None:
        self.standing: dict[int, NeuronJudgement] = {}
        self.entries: list[TrailEntry] = []

    def put(self, judgement: NeuronJudgement, *, what: str, by: str) -> None:
        at = START + timedelta(seconds=len(self.entries))
        kept = judgement if judgement.at is not None else judgement.model_copy(update={"at": at})
        detail = change_of(kept, self.standing.get(kept.neuron))
        self.entries.append(TrailEntry(at, what, by, "m", "d", "r", None, detail))
        self.standing[kept.neuron] = kept

    def judge(self, neuron: int, verdict: str | None, note: str, by: str) -> None:
        self.put(NeuronJudgement(neuron=neuron, verdict=verdict, note=note, by=by), what=JUDGED, by=by)

    def undo(self, by: str) -> bool:
        change = change_to_undo(self.entries, by=by)
        if change is None or change.detail is None:
            return False
        before = taken_back(change, self.standing.get(change.detail["neuron"]), by=by)
        self.put(before, what=UNDONE, by=by)
        return True

    @property
    def seen(self) -> dict[int, NeuronJudgement]:
        """Neurons of which something stands."""
        return {neuron: one for neuron, one in self.standing.items() if one.verdict is not None or one.note}


changes = st.tuples(
    st.sampled_from(NEURONS), st.sampled_from(["spurious", "core", "unclear", None]), st.sampled_from(["", "trees"])
)


@given(st.lists(changes), st.lists(changes))
def test_as_many_undos_as_changes_lead_back_to_the_start(before, after):
    memory = Memory()
    for neuron, verdict, note in before:
        memory.judge(neuron, verdict, note, "bob")
    start = memory.seen
    for neuron, verdict, note in after:
        memory.judge(neuron, verdict, note, "ada")
    assert [memory.undo("ada") for _ in after] == [True] * len(after)
    assert memory.seen == start
    assert not memory.undo("ada")


@given(st.lists(st.tuples(st.sampled_from(["ada", "bob"]), st.none() | changes), max_size=30))
def test_an_undo_never_changes_what_somebody_else_said(steps):
    memory = Memory()
    for by, change in steps:
        other = {neuron: one for neuron, one in memory.seen.items() if one.by != by}
        if change is not None:
            memory.judge(*change, by)
            continue
        with suppress(ReviewConflictError):
            memory.undo(by)
        assert {neuron: memory.seen.get(neuron) for neuron in other} == other


def test_an_undo_after_an_undo_takes_back_the_change_before():
    memory = Memory()
    memory.judge(3, "core", "", "ada")
    memory.judge(3, "spurious", "", "ada")
    memory.undo("ada")
    memory.judge(17, "unclear", "", "ada")
    memory.undo("ada")
    memory.undo("ada")
    assert memory.seen == {}


def test_a_change_that_somebody_else_has_spoken_after_is_not_taken_back():
    memory = Memory()
    memory.judge(3, "core", "", "ada")
    memory.judge(3, "spurious", "", "bob")
    with pytest.raises(ReviewConflictError, match="bob has spoken of neuron 3 since"):
        memory.undo("ada")
    memory.undo("bob")
    assert (memory.seen[3].verdict, memory.seen[3].by) == ("core", "ada")
    memory.undo("ada")
    assert memory.seen == {}
