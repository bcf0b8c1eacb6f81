"""Where a request comes from, and who a reverse proxy says is asking."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from starlette.requests import HTTPConnection

from neuroinspect.errors import ReviewError
from neuroinspect.review.wording import check_name
from neuroinspect.web.settings import PageSettings

_FORWARDED: Final = "x-forwarded-for"


class Peers:
    """Reads addresses and users; a header counts only where the connection itself comes from a configured proxy.

    Args:
        settings: which proxies are believed, and in which header they name the user.
    """

    def __init__(self, settings: PageSettings) -> None:
        self._proxies = settings.proxies
        self._header = settings.user_header

    def user(self, request: HTTPConnection) -> str | None:
        """Whom a believed proxy names; None where none does, or the name is empty, doubled or disguised."""
        if self._header is None or not self._is_proxy(_address(request.client.host if request.client else "")):
            return None
        named = request.headers.getlist(self._header)
        if len(named) != 1:
            return None
        try:
            name = named[0].encode("latin-1").decode().strip()
            check_name(name)
        except (UnicodeError, ReviewError):
            return None
        return name

    def address(self, request: HTTPConnection) -> str:
        """Where a request comes from; behind a believed proxy, the address that the proxy saw."""
        found = _address(request.client.host if request.client else "")
        if self._is_proxy(found):
            seen = [part.strip() for line in request.headers.getlist(_FORWARDED) for part in line.split(",")]
            # The last one that is no proxy of ours: what stands before it, the client may have written itself.
            found = next((each for each in map(_address, reversed(seen)) if not self._is_proxy(each)), found)
        return "unknown" if found is None else str(found)

    def _is_proxy(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._proxies)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
