"""The sidecar in a cluster whose pods have IPv6 addresses: one socket for both families. By the real Envoy."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from fairlead.resources.envoy import bootstrap
from fairlead_agent.unacknowledged import unacknowledged_bytes
from tests.tokens import key_set
from tests.unit.resources.cases import access, model_deployment
from tests.unit.sidecar.http1 import Answer, Connection
from tests.unit.sidecar.proxy import Sidecar, sidecar, until
from tests.unit.sidecar.test_access import assert_denied, bearer
from tests.unit.sidecar.test_faults import CLOSING, UNREAD
from tests.unit.sidecar.test_requests import GET, POST
from tests.unit.sidecar.token_cases import EC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.sidecar.stub_engine import StubEngine

pytestmark = [
    pytest.mark.usefixtures("forget"),
    pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6"),
]
HOSTS = ("::1", "127.0.0.1")


@pytest.fixture(scope="module")
def proxy(engine: StubEngine) -> Iterator[Sidecar]:
    spec = model_deployment({"access": access(inline=key_set(EC))}).spec
    with sidecar(bootstrap(spec, ipv6=True), engine.port) as running:
        yield running


def get(port: int, host: str, target: str, headers: dict[str, str] | None = None) -> Answer:
    with Connection(port, host=host) as connection:
        connection.request(GET, target, headers)
        return connection.answer()


@pytest.mark.parametrize("host", HOSTS)
def test_clients_of_both_families_are_served_and_told_by_their_addresses(proxy: Sidecar, engine: StubEngine, host: str) -> None:
    answer = get(proxy.http, host, "/v1/models", bearer(EC.token()))
    assert answer.status == 200
    assert set(engine.seen[0].headers) == {"host", "x-request-id"}
    assert proxy.entry(answer.headers["x-request-id"])["peer"] == host
    assert get(proxy.metrics, host, "/ready").status == 200, "as the kubelet asks"


def test_only_the_agents_own_address_needs_no_token(proxy: Sidecar, engine: StubEngine) -> None:
    assert get(proxy.http, "127.0.0.1", "/health").status == 200
    engine.seen.clear()
    assert_denied(get(proxy.http, "::1", "/health"))
    assert not engine.seen


@pytest.mark.parametrize("host", HOSTS)
def test_the_drain_sees_what_a_slow_reader_has_not_taken(proxy: Sidecar, host: str) -> None:
    with Connection(proxy.http, receive_buffer_bytes=4096, host=host) as connection:
        connection.request(POST, "/v1/completions", {**CLOSING, **bearer(EC.token())}, b'{"size": %d}' % UNREAD)
        response = connection.begun()
        until("the kernel holds some of it", lambda: unacknowledged_bytes(proxy.http) > 0)
        assert len(response.read()) == UNREAD
        until("all is acknowledged", lambda: unacknowledged_bytes(proxy.http) == 0)
