"""Answers that may be kept for ever, because their address holds a stamp of their content."""

from typing import Final

from fastapi import Request, Response

FOR_EVER: Final = "private, max-age=31536000, immutable"
ASK_AGAIN: Final = "private, no-cache"


def stamped(request: Request, content: bytes, *, media_type: str, stamp: str) -> Response:
    """Content with its stamp; without the content where the reader already has it.

    Args:
        request: whose `v` in the query names the content it expects.
        content: the bytes.
        media_type: what they are.
        stamp: differs for different content.
    """
    headers = {
        "ETag": f'"{stamp}"',
        "Cache-Control": FOR_EVER if request.query_params.get("v") == stamp else ASK_AGAIN,
    }
    known = request.headers.get("if-none-match", "")
    if f'"{stamp}"' in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
