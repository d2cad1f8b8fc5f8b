"""Where the agent listens: on one family of addresses or on both."""

import socket

import pytest

from fairlead_agent.server import listener
from tests.ports import free_ports

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@needs_ipv6
def test_all_addresses_of_both_families() -> None:
    (port,) = free_ports(1)
    with listener("::", port):
        assert answers("::1", port)
        assert answers("127.0.0.1", port)


@needs_ipv6
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])  # noqa: S104
def test_addresses_of_ipv4_alone(host: str) -> None:
    (port,) = free_ports(1)
    with listener(host, port):
        assert answers("127.0.0.1", port)
        assert not answers("::1", port)


def test_a_kernel_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listener("::", port) as bound:
        assert bound.family == socket.AF_INET
        assert answers("127.0.0.1", port)


def test_a_taken_port_is_an_error() -> None:
    (port,) = free_ports(1)
    with listener("0.0.0.0", port), pytest.raises(OSError, match="in use"):  # noqa: S104
        listener("0.0.0.0", port)  # noqa: S104
