"""Says that the page is up, and nothing else: a load balancer asks it without a login."""

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter()


class Health(BaseModel):
    """That the page is up."""

    status: str


@router.get("/health")
def health() -> Health:
    """Whether the page is up."""
    return Health(status="ok")
