"""What the panel beside the neurons needs to try and to answer; opening it begins to prepare the what-if."""

from dataclasses import dataclass

from neuroinspect.editing.what_if import offered_methods
from neuroinspect.errors import NeuroInspectError
from neuroinspect.judging.titles import title_of
from neuroinspect.web.desk import OpenReview
from neuroinspect.web.neurons.findings import findings_of
from neuroinspect.web.site import Site
from neuroinspect.web.wording import named


@dataclass(frozen=True, slots=True)
class AnswerPanel:
    """The panel of a review that waits for its decision.

    Attributes:
        class_name: as it stands in a sentence.
        methods: name and title of each method that can be tried; the first is tried where nobody chose.
        problem: why nothing can be tried; "" otherwise.
    """

    class_name: str
    methods: tuple[tuple[str, str], ...]
    problem: str


def answer_panel(parts: Site, opened: OpenReview) -> AnswerPanel | None:
    """The panel of a review; None where it is closed."""
    if opened.stored.status != "pending":
        return None
    name = named(opened.stored.request.class_name)
    if opened.run is None or opened.params is None:
        return AnswerPanel(
            name, (), "No run folder of this review can be read from here, so nothing can be tried ahead."
        )
    if not findings_of(opened).fits:
        return AnswerPanel(
            name, (), "The run folder has changed since this was asked, so it would answer about another finding."
        )
    methods = tuple((name, title_of(name)) for name in offered_methods(opened.params.edit))
    if not methods:
        return AnswerPanel(
            name, (), "The settings of this run name no edit that uses neurons, so nothing can be tried ahead."
        )
    try:
        parts.what_ifs.prepare(opened.run, opened.params)
    except NeuroInspectError as error:
        return AnswerPanel(name, (), f"Nothing can be tried ahead: {error}")
    return AnswerPanel(name, methods, "")
