"""Style sheets and scripts."""

from fastapi import APIRouter, HTTPException, Request, Response

from neuroinspect.web.stamped import stamped
from neuroinspect.web.static_files import static_files

router = APIRouter(include_in_schema=False)


@router.get("/static/{name}")
def static_file(request: Request, name: str) -> Response:
    """One of the page's own files."""
    file = static_files().get(name)
    if file is None:
        raise HTTPException(404, "there is no such file")
    return stamped(request, file.content, media_type=file.media_type, stamp=file.stamp)
