"""The reviews that the tests of the page look at are whole: the same rules hold for them as for those of a real run."""

import pytest

from neuroinspect.artifacts import read_table
from neuroinspect.ranking import vote_shares
from neuroinspect.stages.review import require_current
from neuroinspect.web.desk import ReviewDesk
from tests.web.reviews import made_review


@pytest.mark.parametrize(("candidates", "hostile"), [(4, False), (12, True), (300, True)])
def test_a_made_review_asks_what_its_run_asks(tmp_path, candidates, hostile):
    made = made_review(tmp_path, candidates=candidates, real=2, sides=(8, 8), hostile=hostile)
    require_current(made.run, made.params, made.request)
    assert len(made.request.candidates) == candidates
    illusions = read_table(made.run.stage("visualize") / "illusions.parquet")
    assert sorted(illusions["neuron"]) == sorted(made.neurons)
    assert all((made.run.stage("visualize") / name).is_file() for name in illusions["picture"])


def test_its_shifts_give_the_shares_of_its_neurons(made):
    import numpy as np

    shifts = np.load(made.run.stage("diagnose") / "shifts.npy")
    shares = vote_shares(shifts, top_k=5)
    for candidate in made.request.candidates:
        own = shares.excessive if candidate.direction == "excessive" else shares.insufficient
        assert own[candidate.neuron] == pytest.approx(candidate.vote_share)


def test_the_desk_takes_its_decision(made):
    for neuron in made.neurons[:2]:
        made.say(neuron, "spurious")
    decision = ReviewDesk(made.book).decide(made.id, verdict="approved", neurons=made.neurons[:2], by="ada")
    assert made.book.decision(made.id) == decision.record()
