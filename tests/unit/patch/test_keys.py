"""Files of keys."""

import os

import pytest

from neuroinspect.errors import MissingToolError, RunFolderError, SettingsError
from neuroinspect.patch import make_keys, read_signing_key, read_trusted_keys

pytest.importorskip("cryptography", reason="signatures need it: pip install 'neuroinspect[team]'")
PASSWORD = "swordfish"


def test_a_new_key_is_its_owners_alone_and_its_public_half_is_known_by_the_same_fingerprint(tmp_path):
    umask = os.umask(0)
    try:
        public, key = make_keys(tmp_path / "key", None)
    finally:
        os.umask(umask)
    assert ((tmp_path / "key").stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0o600, 0o644)
    assert read_trusted_keys(public) == {key: "key.pub"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.pub"]


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_a_key_that_is_there_is_never_written_over(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunFolderError, match="stays as it is"):
        make_keys(tmp_path / "key", None)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_an_encrypted_key_opens_with_its_password_alone_and_no_message_tells_it(tmp_path):
    make_keys(tmp_path / "key", PASSWORD)
    assert b"ENCRYPTED" in (tmp_path / "key").read_bytes()
    assert read_signing_key(tmp_path / "key", PASSWORD).private_bytes_raw()
    for given, said in [
        (None, "is encrypted; give its password"),
        ("wrong-one", "cannot be read as a private key with the"),
    ]:
        with pytest.raises(SettingsError, match=said) as refused:
            read_signing_key(tmp_path / "key", given)
        assert not any(secret in str(refused.value) for secret in (PASSWORD, "wrong-one"))
        assert refused.value.__suppress_context__


def test_a_password_beside_a_plain_key_does_no_harm(tmp_path):
    make_keys(tmp_path / "key", None)
    assert read_signing_key(tmp_path / "key", PASSWORD).private_bytes_raw()


def test_a_key_that_others_can_read_is_refused(tmp_path):
    make_keys(tmp_path / "key", None)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_signing_key(tmp_path / "key", None)


def test_other_kinds_of_keys_are_refused(tmp_path):
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    other = generate_private_key(SECP256R1())
    (tmp_path / "ec").write_bytes(other.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    (tmp_path / "ec").chmod(0o600)
    shown = other.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "ec.pub").write_bytes(shown)
    with pytest.raises(SettingsError, match="another kind of key, expected Ed25519"):
        read_signing_key(tmp_path / "ec", None)
    with pytest.raises(SettingsError, match="something else than public Ed25519"):
        read_trusted_keys(tmp_path / "ec.pub")


@pytest.mark.parametrize("content", [b"", b"text", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_private_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(SettingsError, match="cannot be read as a private key"):
        read_signing_key(tmp_path / "key", None)


def test_trusted_keys_come_from_one_file_or_from_a_folder(tmp_path):
    publics, keys = zip(*(make_keys(tmp_path / name, None) for name in ("ada", "bob")), strict=True)
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / "README").write_text("whom we trust")
    (folder / "both.pem").write_bytes(b"".join(public.read_bytes() for public in publics))
    assert set(read_trusted_keys(folder)) == set(read_trusted_keys(folder / "both.pem")) == set(keys)


def test_trusting_nobody_or_a_private_key_is_refused_and_not_taken_for_trusting_everybody(tmp_path):
    make_keys(tmp_path / "key", None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong").mkdir()
    (tmp_path / "key").rename(tmp_path / "wrong" / "key.pem")
    (tmp_path / "text.pub").write_text("text")
    for name, said in [
        ("empty", "holds no key"),
        ("missing", "there is no key at"),
        ("wrong", "holds a private key"),
        ("text.pub", "something else"),
    ]:
        with pytest.raises(SettingsError, match=said):
            read_trusted_keys(tmp_path / name)


def test_without_cryptography_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(MissingToolError, match=r"neuroinspect\[team\]"):
        make_keys(tmp_path / "key", None)
    assert list(tmp_path.iterdir()) == []
