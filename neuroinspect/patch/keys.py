"""Files of Ed25519 keys: the one that signs, those that are trusted, and new ones. The package cryptography does the work."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from neuroinspect.errors import MissingToolError, RunFolderError, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_OTHERS: Final = 0o077
_PEM_END: Final = b"-----END PUBLIC KEY-----"
_LONGEST: Final = 2**20


def fingerprint(public: bytes) -> str:
    """What a key is called: SHA-256 (hex) of its 32 bytes."""
    return hashlib.sha256(public).hexdigest()


def read_signing_key(path: Path, password: str | None) -> "Ed25519PrivateKey":
    """Read a private key, PKCS8 in PEM.

    Raises:
        SettingsError: no such file, others can read it, the password is wrong or lacking, or it is another kind of key.
        MissingToolError: cryptography is not installed.
    """
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _content(path, "NEUROINSPECT_SIGNING_KEY")
    if path.stat().st_mode & _OTHERS:
        raise SettingsError(f"{path} can be read by others than its owner, and so is no secret; `chmod 600 {path}`")
    given = None if password is None else password.encode()
    # Not chained and not quoted: what cryptography says may hold parts of the key.
    try:
        key = load_pem_private_key(data, given if b"ENCRYPTED" in data else None)
    except TypeError:
        raise SettingsError(f"{path} is encrypted; give its password in NEUROINSPECT_SIGNING_PASSWORD") from None
    except (ValueError, UnsupportedAlgorithm):
        hint = " with the password in NEUROINSPECT_SIGNING_PASSWORD" if b"ENCRYPTED" in data else ""
        raise SettingsError(
            f"{path} cannot be read as a private key{hint}; expected Ed25519 in PKCS8 PEM, as `neuroinspect patch keygen` "
            "writes it"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            f"{path} holds another kind of key, expected Ed25519; `neuroinspect patch keygen` makes one"
        )
    return key


def read_trusted_keys(path: Path) -> dict[str, str]:
    """Public keys by fingerprint, with the name of the file each stands in.

    Args:
        path: a file of keys in PEM, one or more, or a folder of such files that end in .pub or .pem.

    Raises:
        SettingsError: nothing there, or something that is no public Ed25519 key: to trust nobody is said, and not guessed.
        MissingToolError: cryptography is not installed.
    """
    require_cryptography()
    files = sorted(one for one in path.iterdir() if one.suffix in {".pub", ".pem"}) if path.is_dir() else [path]
    found: dict[str, str] = {}
    for file in files:
        data = _content(file, "NEUROINSPECT_TRUSTED_KEYS")
        if b"PRIVATE KEY" in data:
            raise SettingsError(
                f"{file} holds a private key, which does not belong here; put its .pub file in its place"
            )
        blocks = [block + _PEM_END for block in data.split(_PEM_END)[:-1]]
        if not blocks:
            raise _no_key(file)
        found |= {fingerprint(_public(block, file)): file.name for block in blocks}
    if not found:
        raise SettingsError(
            f"{path} holds no key (*.pub or *.pem); put the public keys of those you trust into it, or leave "
            "NEUROINSPECT_TRUSTED_KEYS out"
        )
    return found


def make_keys(path: Path, password: str | None) -> tuple[Path, str]:
    """Write a new private key, readable by its owner alone, and its public key beside it.

    Args:
        path: of the private key; the public one has `.pub` behind it. Neither may exist.
        password: to encrypt the private key with; None leaves it as it is.

    Returns:
        The public file, and the key's fingerprint.

    Raises:
        RunFolderError: one of the files is there, or cannot be written.
        MissingToolError: cryptography is not installed.
    """
    require_cryptography()
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = path.with_name(f"{path.name}.pub")
    for file in (path, public):
        if file.exists() or file.is_symlink():
            raise RunFolderError(f"{file} is there already and stays as it is; name another file with --out")
    key = Ed25519PrivateKey.generate()
    cipher = pem.NoEncryption() if password is None else pem.BestAvailableEncryption(password.encode())
    secret = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, cipher)
    shown = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    _write_new(path, secret, mode=0o600)
    _write_new(public, shown, mode=0o644)
    return public, fingerprint(key.public_key().public_bytes_raw())


def _public(block: bytes, file: Path) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key(file) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(file)
    return key.public_bytes_raw()


def _no_key(file: Path) -> SettingsError:
    return SettingsError(
        f"{file} holds something else than public Ed25519 keys in PEM; give the .pub files that `neuroinspect patch keygen` wrote"
    )


def _content(path: Path, setting: str) -> bytes:
    try:
        if not path.is_file():
            raise SettingsError(
                f"there is no key at {path}; correct {setting}, or make one with `neuroinspect patch keygen`"
            )
        if path.stat().st_size > _LONGEST:
            raise SettingsError(f"{path} has more than {_LONGEST >> 20} MiB, and is no key; correct {setting}")
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}; correct {setting}") from error


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    """A file that was not there, whole or not at all; others never see it with more rights than it is to have."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # of mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            os.link(temporary, path)  # unlike a rename it never takes the place of another file
        finally:
            Path(temporary).unlink()
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}; name another file with --out") from error


def require_cryptography() -> None:
    """Say what is lacking.

    Raises:
        MissingToolError: cryptography is not installed.
    """
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingToolError(
            "signatures need cryptography, which is not installed; pip install 'neuroinspect[team]'"
        ) from error
