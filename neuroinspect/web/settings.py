"""How the page is served: where, to whom, and within which limits."""

import os
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretBytes, field_validator, model_validator

from neuroinspect.errors import SettingsError

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_KEY_BYTES: Final = 32


class Limits(BaseModel):
    """What one request may cost.

    Attributes:
        body: bytes.
        url: bytes of path and query.
        headers: bytes of all names and values.
        body_seconds: until the whole body must be there.
        session_seconds: after which a reviewer logs in again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    body: int = Field(default=64 * 1024, ge=1024)
    url: int = Field(default=4096, ge=256)
    headers: int = Field(default=16 * 1024, ge=1024)
    body_seconds: float = Field(default=15, gt=0)
    session_seconds: int = Field(default=12 * 3600, ge=60)


class PageSettings(BaseModel):
    """How the page is served.

    Attributes:
        host: address or name to listen on.
        port: 0 takes a free one.
        names: further names by which reviewers may reach the page, without a port; any of them makes a login necessary.
        reviewer: who reviews where nobody logs in; None: then nothing can be written.
        login: whether a token is asked for also on loopback; elsewhere it always is.
        certificate: PEM file for TLS.
        certificate_key: PEM file with its key.
        proxies: networks of reverse proxies that are believed when they say where a request comes from.
        user_header: the header in which these proxies say who the user is; None: they do not.
        key: signs sessions.
        limits: what one request may cost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1, max_length=255)
    port: int = Field(default=0, ge=0, le=65535)
    names: frozenset[str] = frozenset()
    reviewer: str | None = None
    login: bool = False
    certificate: Path | None = None
    certificate_key: Path | None = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    user_header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,64}$")
    key: SecretBytes = Field(repr=False)
    limits: Limits = Limits()

    @classmethod
    def for_loopback(cls, *, reviewer: str | None, port: int = 0, key: bytes | None = None) -> Self:
        """For one person at this machine; without a key, sessions end with the process."""
        return cls(reviewer=reviewer, port=port, key=SecretBytes(key or secrets.token_bytes(_KEY_BYTES)))

    @field_validator("names")
    @classmethod
    def _bare(cls, names: frozenset[str]) -> frozenset[str]:
        return frozenset(name.lower().strip("[]").rstrip(".") for name in names)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("a certificate and its key go together; give both or none")
        if self.user_header is not None and not self.proxies:
            raise ValueError("a header with the user counts only from known proxies; give their addresses")
        if len(self.key.get_secret_value()) < _KEY_BYTES:
            raise ValueError(f"the key that signs sessions has at least {_KEY_BYTES} bytes")
        return self

    @property
    def only_loopback(self) -> bool:
        """Whether nobody but this machine is meant to reach the page."""
        return is_loopback(self.host) and self.names <= LOOPBACK_NAMES and not self.proxies

    @property
    def asks_who(self) -> bool:
        """Whether a reviewer has to prove who they are."""
        return self.login or not self.only_loopback

    @property
    def secure(self) -> bool:
        """Whether cookies travel over TLS alone."""
        return self.certificate is not None or not self.only_loopback

    @property
    def warning(self) -> str | None:
        """What is unwise about these settings; None where nothing is."""
        if self.only_loopback or self.certificate is not None or self.proxies:
            return None
        return (
            "the page is served off this machine without TLS: tokens would travel in the open, and browsers do not keep the "
            "session. Give a certificate and its key, or put a proxy with TLS before it and give its address"
        )


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    bare = host.strip("[]").lower()
    if bare in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False


def signing_key(state: Path) -> bytes:
    """The key that signs sessions, kept in a folder and made there once, readable by its owner alone.

    Raises:
        SettingsError: it cannot be made or read, is not a key, or others may read it.
    """
    file = state / "page.key"
    try:
        if not file.exists():
            _make_key(file)
        key = file.read_bytes()
        shared = os.name == "posix" and file.stat().st_mode & 0o077
    except OSError as error:
        raise SettingsError(
            f"the key of the page {file} cannot be made or read: {error.strerror or error}; make its folder writable"
        ) from error
    if len(key) < _KEY_BYTES:
        raise SettingsError(f"{file} is no key of the page: expected {_KEY_BYTES} bytes, got {len(key)}; delete it")
    if shared:
        raise SettingsError(f"others can read the key of the page {file}; delete it, and everybody logs in again")
    return key


def _make_key(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        # A link, not a rename: of two processes that make the key at once, both read that of the first.
        try:
            os.link(temporary, file)
        except FileExistsError:
            return
    finally:
        temporary.unlink()
