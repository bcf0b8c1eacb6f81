"""Which addresses are public, and that a name is refused for one that is not."""

import socket
from ipaddress import ip_address

import pytest

from neuroinspect.adapters.public_address import checked_addresses, is_public, resolved
from neuroinspect.errors import OutsideError, SettingsError

PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1.1.1.1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "100::1",
    "2001:db8::1",
]
PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_on_the_public_internet_is_told(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_on_the_public_internet_is_told(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_is_refused_for_one_private_address_among_public_ones(address):
    def resolve(host, port):
        return ["1.1.1.1", address]

    with pytest.raises(SettingsError, match=r"hook\.example lies on a private address.*NEUROINSPECT_WEBHOOK_PRIVATE"):
        checked_addresses("hook.example", 443, private=False, resolve=resolve)
    assert checked_addresses("hook.example", 443, private=True, resolve=resolve) == ["1.1.1.1", address]


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "127.0.0.1"])
def test_every_spelling_of_this_machine_is_refused(spelling):
    with pytest.raises((SettingsError, OutsideError)):
        checked_addresses(spelling, 80, private=False)


def test_a_name_that_nobody_knows_is_named():
    def unknown(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(OutsideError, match=r"the name hook\.example is not known"):
        checked_addresses("hook.example", 443, private=False, resolve=unknown)
    with pytest.raises(OutsideError, match="has no address"):
        checked_addresses("hook.example", 443, private=False, resolve=lambda host, port: [])
    with pytest.raises(OutsideError, match="is not known"):
        checked_addresses("a" * 70 + ".example", 443, private=False)


def test_the_system_is_asked_once_for_each_address():
    assert resolved("127.0.0.1", 80) == ["127.0.0.1"]
