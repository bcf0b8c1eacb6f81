"""The signed cookie that holds a session, and the token that proves a form was made for it."""

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from itsdangerous import BadSignature, URLSafeTimedSerializer

from neuroinspect.web.settings import PageSettings


@dataclass(frozen=True, slots=True)
class Session:
    """One browser.

    Attributes:
        identifier: random; new at each login.
        token: the open part of the reviewer's token; None where nobody is logged in.
    """

    identifier: str
    token: str | None = None


def new_session(token: str | None = None) -> Session:
    """A session that nobody else can guess."""
    return Session(secrets.token_urlsafe(24), token)


class Sessions:
    """Writes and reads sessions.

    Args:
        settings: key, age and whether cookies are secure.
    """

    def __init__(self, settings: PageSettings) -> None:
        self._key = settings.key.get_secret_value()
        self._age = settings.limits.session_seconds
        self._secure = settings.secure
        self._signer = URLSafeTimedSerializer(self._key, salt="session", signer_kwargs={"digest_method": sha256})

    def name(self, port: int) -> str:
        """Name of the cookie; browsers share cookies among the ports of a host, so it tells the port."""
        return f"{'__Host-' if self._secure else ''}neuroinspect-{port}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None where it is not ours or too old."""
        try:
            identifier, token = self._signer.loads(cookie, max_age=self._age)
        except (BadSignature, ValueError, TypeError):
            return None
        return Session(identifier, token)

    def header(self, name: str, session: Session) -> str:
        """The Set-Cookie header that keeps a session in the cookie of a name."""
        value = self._signer.dumps([session.identifier, session.token])
        secure = "; Secure" if self._secure else ""
        return f"{name}={value}; Path=/; Max-Age={self._age}; HttpOnly; SameSite=Strict{secure}"

    def csrf(self, session: Session) -> str:
        """What a form or a call of this session must bring along."""
        return hmac.new(self._key, f"csrf:{session.identifier}".encode(), sha256).hexdigest()

    def is_csrf(self, session: Session, given: str) -> bool:
        """Whether a form or call was made for this session; takes as long for any wrong one."""
        return hmac.compare_digest(self.csrf(session).encode(), given.encode(errors="replace"))
