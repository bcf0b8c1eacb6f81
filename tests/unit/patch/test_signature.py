"""Signatures of patches, and what they are worth."""

import sys
from dataclasses import replace

import pytest
import torch

from neuroinspect.errors import MissingToolError, SignatureError
from neuroinspect.patch import Signature, make_keys, read_signing_key, refuse_untrusted, signed, trust_of
from neuroinspect.patch.file import decoded
from tests.unit.patch.patches import model, patch_for

pytest.importorskip("cryptography", reason="signatures need it: pip install 'neuroinspect[team]'")


@pytest.fixture
def ada(tmp_path):
    """A private key and its fingerprint."""
    _, key = make_keys(tmp_path / "ada", None)
    return read_signing_key(tmp_path / "ada", None), key


def test_a_signed_patch_keeps_its_signature_in_the_file(ada):
    private, key = ada
    again = decoded(signed(patch_for(model()), private).encoded(), source="the file")
    assert trust_of(again, None) == trust_of(again, {key: "ada.pub"}).__class__("signed", key, None)
    assert trust_of(again, {key: "ada.pub"}).trusted is True


def test_a_patch_without_a_signature_is_called_checksummed_and_never_signed():
    assert trust_of(patch_for(model()), None).kind == "checksummed"
    assert refuse_untrusted(patch_for(model()), None).key is None


def test_where_trusted_keys_are_named_an_unsigned_patch_and_an_unknown_key_are_refused(ada):
    private, key = ada
    with pytest.raises(
        SignatureError, match=f"only checksummed; expected the signature of one of the trusted keys {key}"
    ):
        refuse_untrusted(patch_for(model()), {key: "ada.pub"})
    with pytest.raises(SignatureError, match=f"signed by {key}; expected .* {'0' * 64}"):
        refuse_untrusted(signed(patch_for(model()), private), {"0" * 64: "bob.pub"})
    assert refuse_untrusted(signed(patch_for(model()), private), {key: "ada.pub"}).trusted


def test_the_signature_of_another_patch_is_worth_nothing_though_the_checksum_is_made_again(ada):
    private, key = ada
    theirs = signed(patch_for(model()), private)
    changed = replace(theirs, edited={**theirs.edited, "head.bias": torch.zeros(3)})
    renamed = replace(
        theirs,
        record=theirs.record.model_copy(
            update={"provenance": theirs.record.provenance.model_copy(update={"reviewer": "Bob"})}
        ),
    )
    for forged in (changed, renamed):
        again = decoded(forged.encoded(), source="the file")
        for trusted in (None, {key: "ada.pub"}):
            with pytest.raises(SignatureError, match="changed after it was signed"):
                refuse_untrusted(again, trusted)


def test_a_key_that_is_none_is_refused():
    patch = replace(patch_for(model()), signature=Signature(key="ff" * 32, signature="0" * 128))
    with pytest.raises(SignatureError, match="is not one of the key"):
        trust_of(patch, None)


def test_a_signed_patch_is_not_taken_unchecked_where_cryptography_is_lacking(ada, monkeypatch):
    patch = signed(patch_for(model()), ada[0])
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingToolError, match="signatures need cryptography"):
        refuse_untrusted(patch, None)
    assert refuse_untrusted(patch_for(model()), None).kind == "checksummed"
