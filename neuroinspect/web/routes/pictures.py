"""Pictures of a review: which file is shown is looked up in the tables of its run."""

from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response

from neuroinspect.settings import ValidateSettings
from neuroinspect.web.inputs import NeuronNumber, Rank, ReviewId, Row
from neuroinspect.web.neurons.findings import findings_of
from neuroinspect.web.neurons.picture_files import Kind, PictureFile, drawn_file, mistake_file, real_file
from neuroinspect.web.neurons.thumbnails import thumbnail
from neuroinspect.web.site import Parts
from neuroinspect.web.stamped import stamped

_PNG: Final = b"\x89PNG\r\n\x1a\n"
router = APIRouter(include_in_schema=False)


@router.get("/reviews/{review}/pictures/{neuron}/{kind}.png")
def drawn(request: Request, review: ReviewId, neuron: NeuronNumber, kind: Kind, parts: Parts) -> Response:
    """A picture made for a neuron."""
    return _png(request, drawn_file(findings_of(parts.desk.open(review)), neuron, kind))


@router.get("/reviews/{review}/pictures/{neuron}/real/{rank}.png")
def real(request: Request, review: ReviewId, neuron: NeuronNumber, rank: Rank, parts: Parts) -> Response:
    """A real picture a neuron fires on."""
    return _png(request, real_file(findings_of(parts.desk.open(review)), neuron, rank))


@router.get("/reviews/{review}/mistakes/{row}.jpg")
def mistake(request: Request, review: ReviewId, row: Row, parts: Parts) -> Response:
    """A small copy of a misclassified picture."""
    opened = parts.desk.open(review)
    file = mistake_file(findings_of(opened), opened.params, row)
    limits = ValidateSettings() if opened.params is None else opened.params.validate_
    content = None if file is None else thumbnail(file, max_pixels=limits.max_pixels)
    if file is None or content is None:
        raise _nothing()
    return stamped(request, content, media_type="image/jpeg", stamp=file.stamp)


def _png(request: Request, file: PictureFile | None) -> Response:
    content = None if file is None else _content(file)
    if file is None or content is None or not content.startswith(_PNG):
        raise _nothing()
    return stamped(request, content, media_type="image/png", stamp=file.stamp)


def _content(file: PictureFile) -> bytes | None:
    try:
        return file.path.read_bytes()
    except OSError:
        return None


def _nothing() -> HTTPException:
    return HTTPException(404, "there is no such picture")
