"""Pictures of one neuron on request: asking for them, how far they are, and the files."""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi import Path as PathPart
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from neuroinspect.artifacts import RunFolder
from neuroinspect.errors import SettingsError
from neuroinspect.review.question import check_candidates
from neuroinspect.web.drawing import Drawing, Kind, State, Wish
from neuroinspect.web.inputs import ReviewId
from neuroinspect.web.neurons.picture_files import file_inside
from neuroinspect.web.neurons.related import related_class_names
from neuroinspect.web.safety.guard import required_reviewer
from neuroinspect.web.site import Parts, Site

router = APIRouter()
Job = Annotated[str, PathPart(pattern="^[0-9a-f]{64}$", description="key of a drawing")]
_OFFERED_CLASSES = 8


class DrawingRequest(BaseModel):
    """A picture to draw: the neuron alone ("fv"), or in a class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    neuron: int = Field(ge=0, lt=2**31)
    kind: Kind
    class_name: str | None = Field(default=None, max_length=1000)


class DrawingAnswer(BaseModel):
    """How far a drawing is.

    Attributes:
        job: its key.
        state: absent: not asked for; waiting, drawing, done or failed.
        ahead: drawings that come before it.
        seconds: since it was begun; usual: what the last ones took.
        problem: why it failed.
        picture, mask: addresses of the pictures, once they are there.
        reached: whether the neuron fires on it as on the strongest 5 % of real pictures.
    """

    job: str
    neuron: int
    kind: Kind
    class_name: str
    state: State
    ahead: int
    seconds: float | None
    usual: float | None
    problem: str
    picture: str | None
    mask: str | None
    activation: float | None
    real_p95: float | None
    reached: bool | None


class Drawable(BaseModel):
    """What can be drawn of a neuron: it alone, and in the classes it speaks for most, the most related first."""

    neuron: int
    drawings: list[DrawingAnswer]


@router.get("/api/reviews/{review}/drawings")
def drawable(review: ReviewId, parts: Parts, neuron: Annotated[int, Query(ge=0, lt=2**31)]) -> Drawable:
    """What can be drawn of a neuron, and how far each is; draws nothing."""
    opened = parts.desk.open(review)
    run, params = opened.computable()
    check_candidates(opened.stored.request, [neuron])
    own = opened.stored.request.class_name
    wishes = [Wish(neuron, "fv", own)]
    wishes += [
        Wish(neuron, "class", name)
        for name in related_class_names(run, params, neuron, count=_OFFERED_CLASSES)
        if name != own
    ]
    found = [_answer(review, parts.drawings.look(run, params, wish)) for wish in wishes]
    return Drawable(neuron=neuron, drawings=found)


@router.post("/api/reviews/{review}/drawings", dependencies=[Depends(required_reviewer)])
def draw(review: ReviewId, asked: DrawingRequest, parts: Parts) -> DrawingAnswer:
    """Have a picture drawn; the same wish is the same drawing."""
    opened = parts.desk.open(review)
    run, params = opened.computable()
    request = opened.stored.request
    check_candidates(request, [asked.neuron])
    name = request.class_name if asked.kind == "fv" or asked.class_name is None else asked.class_name
    if name not in _classes(run):
        raise SettingsError(f"there is no class {name[:80]!r} in this run")
    return _answer(review, parts.drawings.ask(run, params, Wish(asked.neuron, asked.kind, name)))


@router.get("/api/reviews/{review}/drawings/{job}")
def drawing(review: ReviewId, job: Job, parts: Parts) -> DrawingAnswer:
    """How far a drawing is."""
    return _answer(review, _found(parts, review, job))


@router.get("/reviews/{review}/drawings/{job}/{what}.png", response_class=FileResponse)
def drawn(review: ReviewId, job: Job, what: Literal["picture", "mask"], parts: Parts) -> Response:
    """A drawn picture, or the same with all but the neuron's own pixels dimmed."""
    found = _found(parts, review, job)
    path: Path | None = found.picture if what == "picture" else found.mask
    file = None if path is None else file_inside(path.parent, path.name)
    if file is None:
        raise HTTPException(404)
    # Named by its content's hash: it never changes.
    return FileResponse(
        file.path, media_type="image/png", headers={"Cache-Control": "private, max-age=31536000, immutable"}
    )


def _found(parts: Site, review: str, job: str) -> Drawing:
    run, params = parts.desk.open(review).computable()
    found = parts.drawings.find(job, run, params)
    if found is None:
        raise HTTPException(404)
    return found


def _classes(run: RunFolder) -> list[str]:
    record: dict[str, Any] = run.stage_record("extract") or {}
    return [str(name) for name in record.get("summary", {}).get("classes", [])]


def _answer(review: str, found: Drawing) -> DrawingAnswer:
    address = f"/reviews/{review}/drawings/{found.key}"
    fires, floor = found.activation, found.real_p95
    return DrawingAnswer(
        job=found.key,
        neuron=found.wish.neuron,
        kind=found.wish.kind,
        class_name=found.wish.class_name,
        state=found.state,
        ahead=found.ahead,
        seconds=None if found.since is None else round(found.since, 1),
        usual=None if found.usual is None else round(found.usual, 1),
        problem=found.problem,
        picture=None if found.picture is None else f"{address}/picture.png",
        mask=None if found.mask is None else f"{address}/mask.png",
        activation=found.activation,
        real_p95=found.real_p95,
        reached=None if fires is None or floor is None else fires >= floor,
    )
