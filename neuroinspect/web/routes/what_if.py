"""What would an edit of these neurons give?"""

from concurrent.futures import CancelledError
from typing import Final

from fastapi import APIRouter, HTTPException

from neuroinspect.editing.what_if import check_method
from neuroinspect.errors import ReviewOutdatedError
from neuroinspect.review.decision import check_strength
from neuroinspect.review.question import check_candidates
from neuroinspect.web.inputs import ReviewId
from neuroinspect.web.neurons.findings import findings_of
from neuroinspect.web.safety.guard import RequiredReviewer
from neuroinspect.web.site import Parts
from neuroinspect.web.what_if_answer import WhatIfAnswer, WhatIfQuestion, answer_in_words
from neuroinspect.web.what_ifs import Question

router = APIRouter()
PATIENCE: Final = 10.0
"""Seconds a call waits for its answer; after them the same is asked again."""


@router.post("/api/reviews/{review}/what-if")
def what_if(
    review: ReviewId,
    asked: WhatIfQuestion,
    reviewer: RequiredReviewer,
    parts: Parts,
) -> WhatIfAnswer:
    """What an edit would give, projected on the select split; "waiting" where it takes longer: then ask the same again.

    A newer question of the same reviewer about the same review takes the place of one that waits, which is answered by 409.
    """
    opened = parts.desk.open(review)
    run, params = opened.computable()
    if not findings_of(opened).fits:
        raise ReviewOutdatedError(
            "the run folder has changed since this was asked, so it would answer about another finding; "
            "`neuroinspect run` asks the new question"
        )
    check_candidates(opened.stored.request, asked.neurons)
    check_strength(asked.strength)
    if asked.method is not None:
        check_method(asked.method, params.edit)
    question = Question(tuple(sorted(asked.neurons)), asked.method, asked.strength)
    answer = parts.what_ifs.ask(f"{review} {reviewer}", run, params, question)
    try:
        return answer_in_words(answer.result(timeout=PATIENCE))
    except TimeoutError:
        return WhatIfAnswer(state="waiting", prepared=parts.what_ifs.is_prepared(run, params))
    except CancelledError as error:
        raise HTTPException(409, "a newer question took the place of this one") from error
