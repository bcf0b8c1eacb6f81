"""Reviews to look at: a run folder drawn by hand, and a review store that holds its question."""

from dataclasses import dataclass
from pathlib import Path

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder
from neuroinspect.chain import close_review, run_stage_alone
from neuroinspect.gate import settle_review
from neuroinspect.ports import Tools
from neuroinspect.review import Decision, NeuronVerdict, ReviewRequest, decide, judge
from neuroinspect.settings import Params
from neuroinspect.stages.review import read_request
from tests.web.drawn_files import Size
from tests.web.drawn_run import draw_run


@dataclass(frozen=True)
class MadeReview:
    """A question in a review store, and the run folder that asks it."""

    book: SqlReviews
    request: ReviewRequest
    run: RunFolder
    params: Params

    @property
    def id(self) -> str:
        """Of the question."""
        return self.request.id

    @property
    def neurons(self) -> list[int]:
        """The candidates, most voted first."""
        return [candidate.neuron for candidate in self.request.candidates]

    def say(self, neuron: int, verdict: NeuronVerdict | None, *, by: str = "ada", note: str = "") -> None:
        """Keep a verdict of a reviewer."""
        self.book.judge(self.id, judge(self.request, neuron=neuron, verdict=verdict, by=by, note=note))

    def approve(self, *neurons: int, by: str = "ada", note: str = "") -> Decision:
        """Decide, as a reviewer who is not at this page."""
        chosen = {self.request.class_name: neurons}
        decision = decide(self.request, verdict="approved", neurons=chosen, by=by, note=note)
        self.book.decide(decision.record(), run=self.run.root)
        return decision

    def carry_out(self) -> None:
        """Edit as decided, judge, report, and close the order."""
        tools = Tools(reviews=self.book)
        settle_review(self.run, self.params, tools=tools)
        for stage in ("edit", "evaluate", "report"):
            run_stage_alone(stage, self.run, self.params, tools=tools)
        close_review(self.run, tools)


def made_review(
    folder: Path,
    *,
    book: SqlReviews | None = None,
    candidates: int = 12,
    drawn: int | None = None,
    real: int = 3,
    sides: tuple[int, int] = (64, 48),
    hostile: bool = False,
) -> MadeReview:
    """Draw a run and open its review.

    Args:
        folder: for everything.
        book: the store to open it in; None: a new one, `reviews.db` in the folder.
        candidates: neurons to look at, 4 to 300.
        drawn: how many of them have pictures; None: all.
        real: real pictures of each.
        sides: of an illusion and of a real picture, pixels.
        hostile: class names, words and file names do harm where they are not escaped.
    """
    size = Size(candidates=candidates, drawn=drawn, real=real, sides=sides)
    run, params = draw_run(folder, size=size, hostile_names=hostile)
    store = SqlReviews(f"sqlite:///{folder.resolve()}/reviews.db") if book is None else book
    request = read_request(run)
    store.open(request.record(), run=run.root, params=params.model_dump(mode="json", by_alias=True))
    return MadeReview(store, request, run, params)
