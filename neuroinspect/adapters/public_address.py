"""Which addresses a name stands for, and whether they lie on the public internet.

Whoever connects does so to an address that was looked at, never to the name again: a name may change its address in between.
"""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from neuroinspect.errors import OutsideError, SettingsError

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host name, for a port."""
_NAT64: Final = ip_network("64:ff9b::/96")
_HANDED_OUT: Final = ip_network("2000::/3")  # of all of IPv6
_TEREDO: Final = ip_network("2001::/32")


def resolved(host: str, port: int) -> list[str]:
    """What the system knows of a host name.

    Raises:
        OSError: nothing.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked_addresses(host: str, port: int, *, private: bool, resolve: Resolve = resolved) -> list[str]:
    """The addresses of a host, all of which may be connected to.

    Args:
        host: name or address.
        port: to connect to.
        private: allow addresses that are not public.
        resolve: asks the name service.

    Raises:
        OutsideError: the name is not known.
        SettingsError: one of its addresses is not public; one is enough, because which is taken is chance.
    """
    try:
        addresses = list(resolve(host, port))
    except (OSError, UnicodeError) as error:
        raise OutsideError(f"the name {host} is not known ({type(error).__name__})") from None
    if not addresses:
        raise OutsideError(f"the name {host} has no address")
    if not private and not all(is_public(ip_address(address)) for address in addresses):
        raise SettingsError(
            f"{host} lies on a private address, to which nothing is sent; NEUROINSPECT_WEBHOOK_PRIVATE=true allows it"
        )
    return addresses


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address, and any it carries inside, lies on the public internet."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.scope_id is not None or address not in _HANDED_OUT or address in _TEREDO:
            return False
    closed = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    return address.is_global and not closed and not address.is_reserved and not address.is_unspecified
