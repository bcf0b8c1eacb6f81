"""Ed25519 signatures of patches, and what they are worth.

A patch is signed, or it is checksummed: a checksum shows damage, and anybody can make one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from neuroinspect.errors import SignatureError
from neuroinspect.patch.file import Patch
from neuroinspect.patch.keys import fingerprint, require_cryptography
from neuroinspect.patch.record import Signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SIGNED: Final = b"neuroinspect patch signature 1\0"
"""Before what is signed, so that the key's signatures of anything else are none of a patch."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a patch's signature is worth here.

    Attributes:
        kind: "signed" or "checksummed".
        key: fingerprint of the key that signed.
        trusted: whether that key is trusted; None where nobody said which keys are.
    """

    kind: str
    key: str | None
    trusted: bool | None


def trust_of(patch: Patch, trusted: Mapping[str, str] | None) -> Trust:
    """Check the signature of a patch and look for its key among those that are trusted.

    Args:
        patch: as it was read.
        trusted: fingerprint to file of the trusted keys; None where nobody said which are.

    Raises:
        SignatureError: the signature is not one of this patch.
        MissingToolError: it is signed, and cryptography is not installed.
    """
    if patch.signature is None:
        return Trust("checksummed", None, None if trusted is None else False)
    _verify(patch, patch.signature)
    key = fingerprint(bytes.fromhex(patch.signature.key))
    return Trust("signed", key, None if trusted is None else key in trusted)


def refuse_untrusted(patch: Patch, trusted: Mapping[str, str] | None) -> Trust:
    """`trust_of`, where only what is trusted may go on; without trusted keys, everything that is whole.

    Raises:
        SignatureError: trusted keys are named, and none of them signed the patch; or the signature is wrong.
        MissingToolError: it is signed, and cryptography is not installed.
    """
    found = trust_of(patch, trusted)
    if trusted is not None and not found.trusted:
        came = "the patch is only checksummed" if found.key is None else f"the patch is signed by {found.key}"
        raise SignatureError(
            f"{came}; expected the signature of one of the trusted keys {', '.join(sorted(trusted))}. Ask who made it to sign "
            "it with such a key, or, if you know whose key it is, put its public file among NEUROINSPECT_TRUSTED_KEYS"
        )
    return found


def signed(patch: Patch, key: "Ed25519PrivateKey") -> Patch:
    """The patch with a signature of everything in it."""
    signature = Signature(key=key.public_key().public_bytes_raw().hex(), signature=key.sign(_message(patch)).hex())
    return replace(patch, signature=signature)


def _verify(patch: Patch, signature: Signature) -> None:
    require_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.key))
        public.verify(bytes.fromhex(signature.signature), _message(patch))
    except (InvalidSignature, ValueError):
        raise SignatureError(
            f"the signature in the patch is not one of the key {fingerprint(bytes.fromhex(signature.key))} for this content: "
            "the patch was changed after it was signed, or the signature was taken from another. It was not applied; fetch it "
            "again from whoever made it"
        ) from None


def _message(patch: Patch) -> bytes:
    return _SIGNED + bytes.fromhex(patch.digest)
