"""The review between finding and editing: what is asked, what may be answered, and what is kept of it.

Page, command line and flow all decide through `decide` and judge through `judge`, so the same rules hold everywhere.
"""

from neuroinspect.review.decision import AUTO, Decision, Verdict, auto_decision, decide, parse_decision
from neuroinspect.review.history import AskingRun, EditOrder, StoredReview, TrailEntry
from neuroinspect.review.judgement import NeuronJudgement, NeuronVerdict, judge, selection
from neuroinspect.review.question import Candidate, Direction, ReviewRequest, open_request, parse_request
from neuroinspect.review.store import ReviewBook

__all__ = [
    "AUTO",
    "AskingRun",
    "Candidate",
    "Decision",
    "Direction",
    "EditOrder",
    "NeuronJudgement",
    "NeuronVerdict",
    "ReviewBook",
    "ReviewRequest",
    "StoredReview",
    "TrailEntry",
    "Verdict",
    "auto_decision",
    "decide",
    "judge",
    "open_request",
    "parse_decision",
    "parse_request",
    "selection",
]
