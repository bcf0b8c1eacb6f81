"""What a patch says of itself: which model it is for, what comes of it, and where it comes from. No path, host or time."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Final = 1
"""Number of the file format; raise it when an older NeuroInspect would read a newer file wrongly."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=4096)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Provenance(_Strict):
    """Where an edit comes from.

    Attributes:
        run: name of the run folder.
        class_name: the class that was debugged.
        method: what the layer comes from, such as `cue_erasure`.
        neurons: what the reviewer approved for editing.
        strength: how far the layer goes from the original (0) to the edit in full (1).
        request: id of the review.
        review: the reviewer's verdict.
        reviewer: who gave it.
        unverified: no person looked at it, or nobody can say who did.
        verdict: what came of the edit on the judge split; None where it was not judged.
        data_version: of the pictures.
        model_spec: how the parent is built.
        model_origin: `models:/NAME/VERSION` of a parent out of the registry.
        parent_fingerprint: of the parent with its class names and preprocessing, as MLflow's tags have it.
        versions: of Python and the packages the figures depend on.
    """

    run: Text
    class_name: Text
    method: Text
    neurons: tuple[int, ...] = Field(max_length=100_000)
    strength: float = Field(ge=0, le=1)
    request: Text | None
    review: Literal["approved", "rejected"] | None
    reviewer: Text | None
    unverified: bool | None
    verdict: Text | None
    data_version: Text
    model_spec: Text
    model_origin: Text | None
    parent_fingerprint: Digest
    versions: Mapping[Text, Text] = Field(max_length=100)


class PatchRecord(_Strict):
    """What the file says beside its tensors.

    Attributes:
        format: FORMAT of the writer.
        parent: hash of the model the patch is for.
        rest: hash of that model without its decision layer, which no edit touches.
        result: hash of the model with the patch.
        provenance: where the edit comes from.
    """

    format: int = Field(ge=FORMAT, le=FORMAT)
    parent: Digest
    rest: Digest
    result: Digest
    provenance: Provenance

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return self.model_dump(mode="json")


class Signature(_Strict):
    """An Ed25519 signature.

    Attributes:
        key: the public key, 32 bytes in hex.
        signature: 64 bytes in hex, of the patch's digest.
    """

    key: Digest
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")


class Envelope(_Strict):
    """All metadata of the file: the record, and what keeps it from being changed unnoticed.

    Attributes:
        record: what the patch says.
        checksum: its digest; found by anybody, so it protects from damage and not from intent.
        signature: None where the patch is only checksummed.
    """

    record: PatchRecord
    checksum: Digest
    signature: Signature | None
