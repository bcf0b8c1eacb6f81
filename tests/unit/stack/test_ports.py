"""Ports on loopback: taken ones are named with their option, free ones are found."""

import socket

import pytest

from neuroinspect.errors import SettingsError
from neuroinspect.stack.ports import choose_ports


@pytest.fixture
def taken():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_each_program_gets_a_free_port_of_its_own():
    chosen = choose_ports({"prefect": 0, "mlflow": 0, "page": 0})
    assert len(set(chosen.values())) == 3
    assert all(20_000 <= port < 32_768 for port in chosen.values())  # no outgoing connection takes these
    assert choose_ports({"page": chosen["page"]}) == {"page": chosen["page"]}


def test_a_taken_port_is_named_with_its_option(taken):
    with pytest.raises(SettingsError, match=f"port {taken} for mlflow .*--mlflow-port"):
        choose_ports({"prefect": 0, "mlflow": taken})


def test_a_port_for_two_programs_is_refused():
    port = choose_ports({"page": 0})["page"]
    with pytest.raises(SettingsError, match=f"port {port} is asked for twice"):
        choose_ports({"prefect": port, "mlflow": port})
