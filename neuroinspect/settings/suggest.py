"""How sets of neurons are tried ahead of the review."""

from pydantic import Field

from neuroinspect.settings.base import Settings


class SuggestSettings(Settings):
    """`neuroinspect suggest`: what an edit of some candidates would give. It informs; a person decides."""

    method: str = Field(default="cue_erasure", description="the edit that is tried")
    candidates: int = Field(
        default=12, ge=1, description="this many neurons are tried: the top insufficient ones, then excessive ones"
    )
    most_neurons: int = Field(default=4, ge=1, description="largest union of candidates")
    max_sets: int = Field(default=60, ge=1, description="sets tried in all, placebos aside")
    placebo_draws: int = Field(default=3, ge=1, description="random sets of each size")
    repeats: int = Field(default=1, ge=1, description="times the select split is halved; each half judges once")
