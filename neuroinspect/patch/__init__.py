"""An edit as a small file that can be put into a model and taken out again."""

from neuroinspect.patch.applying import apply_patch, read_model, revert_patch
from neuroinspect.patch.file import Patch, read_patch, write_patch
from neuroinspect.patch.keys import make_keys, read_signing_key, read_trusted_keys
from neuroinspect.patch.making import make_patch, patch_between, patch_of, provenance_of
from neuroinspect.patch.paths import refuse_odd_target
from neuroinspect.patch.record import FORMAT, PatchRecord, Provenance, Signature
from neuroinspect.patch.signature import Trust, refuse_untrusted, signed, trust_of

__all__ = [
    "FORMAT",
    "Patch",
    "PatchRecord",
    "Provenance",
    "Signature",
    "Trust",
    "apply_patch",
    "make_keys",
    "make_patch",
    "patch_between",
    "patch_of",
    "provenance_of",
    "read_model",
    "read_patch",
    "read_signing_key",
    "read_trusted_keys",
    "refuse_odd_target",
    "refuse_untrusted",
    "revert_patch",
    "signed",
    "trust_of",
    "write_patch",
]
