"""The sidecar when something is wrong or ends: engine down, too much, too slow, drain. By the real Envoy."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from fairlead.resources.envoy import LIMITS, bootstrap
from fairlead_agent.sidecar import ACTIVE_REQUESTS, BYTES_FROM_ENGINE, UNSENT_BYTES
from fairlead_agent.unacknowledged import unacknowledged_bytes
from tests.ports import free_ports
from tests.unit.resources.cases import model_deployment
from tests.unit.sidecar.http1 import Connection, ask
from tests.unit.sidecar.http2 import Http2Connection
from tests.unit.sidecar.proxy import Sidecar, sidecar, until
from tests.unit.sidecar.stub_engine import StubEngine
from tests.unit.sidecar.test_requests import GET, JSON, POST, assert_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOOTSTRAP = bootstrap(model_deployment().spec)
STREAM_LIMIT = "600s"
"""spec.rollout.maxStreamSeconds as it stands in the bootstrap."""


@pytest.fixture
def engine() -> Iterator[StubEngine]:
    """Each test has one of its own: it is stopped, held and broken."""
    with closing(StubEngine()) as engine:
        yield engine


def swap(there: Any, instead: Any, **more: Any) -> Callable[[Any], Any]:
    """Replace one value of the bootstrap, which must be in it; `more` limits by their names in LIMITS."""
    values = {there: instead, **{getattr(LIMITS, name): value for name, value in more.items()}}
    for each in values:
        assert json.dumps(each) in json.dumps(BOOTSTRAP)
    return lambda leaf: next((new for old, new in values.items() if type(leaf) is type(old) and leaf == old), leaf)


@pytest.mark.parametrize("target", ["/health", "/v1/models"])
def test_engine_down(target: str) -> None:
    (nobody,) = free_ports(1)
    with sidecar(BOOTSTRAP, nobody) as proxy:
        answer = ask(proxy.http, GET, target)
        message = assert_error(answer, 503, "ServiceUnavailableError")
        assert answer.headers["retry-after"] == "5"
        assert "127.0.0.1" not in message
        entry = proxy.entry(answer.headers["x-request-id"])
        assert entry["flags"] == "UF", "the log says that the connection was refused"


def test_an_engine_that_ends_before_it_answers_is_not_asked_again(engine: StubEngine) -> None:
    engine.broken = True
    with sidecar(BOOTSTRAP, engine.port) as proxy:
        answer = ask(proxy.http, POST, "/v1/completions", JSON, b"{}")
        assert "does not answer" in assert_error(answer, 503, "ServiceUnavailableError")
        assert answer.headers["retry-after"] == "5"
    assert len(engine.seen) == 1


def test_more_requests_than_the_limit_are_told_to_come_again(engine: StubEngine) -> None:
    with (
        sidecar(BOOTSTRAP, engine.port, swap(LIMITS.engine_requests, 1)) as proxy,
        Connection(proxy.http) as held,
        Connection(proxy.http) as waiting,
    ):
        for connection, active in ((held, 1), (waiting, 2)):
            connection.request(POST, "/v1/completions", JSON, b'{"hang": true}')
            until("it is in hand", lambda active=active: proxy.stat(ACTIVE_REQUESTS) == active)  # type: ignore[misc]
            # Until its connection to the engine stands, the first one takes the only place in the queue.
            assert engine.arrived.wait(15)
        answer = ask(proxy.http, POST, "/v1/completions", JSON, b"{}")
        assert "2048 requests in hand" in assert_error(answer, 503, "ServiceUnavailableError")
        assert answer.headers["retry-after"] == "1"
        engine.release.set()
        assert held.answer().status == 200
        assert waiting.answer().status == 200


def test_short_of_memory_new_requests_are_refused(engine: StubEngine) -> None:
    """The heap's limit is one that Envoy has passed at its start; it sees that within 0.25 s."""
    with sidecar(BOOTSTRAP, engine.port, swap(LIMITS.heap_bytes, 2**22)) as proxy:
        until("requests are refused", lambda: ask(proxy.http, GET, "/health").status == 503)
        answer = ask(proxy.http, GET, "/health")
        assert "memory" in assert_error(answer, 503, "ServiceUnavailableError")
        assert answer.headers["retry-after"] == "5"
        assert proxy.stat("overload.envoy.overload_actions.stop_accepting_requests.active") == 1


def test_no_answer_within_the_longest_stream(engine: StubEngine) -> None:
    with sidecar(BOOTSTRAP, engine.port, swap(STREAM_LIMIT, "0.3s")) as proxy:
        answer = ask(proxy.http, POST, "/v1/completions", JSON, b'{"hang": true}')
        assert "600 s" in assert_error(answer, 504, "GatewayTimeoutError")


@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        (LIMITS.request_headers_timeout, b"POST /v1/completions HTTP/1.1\r\nhost: a\r\n"),
        (LIMITS.request_timeout, b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{"),
    ],
    ids=["headers", "body"],
)
def test_a_slow_sender_is_let_go(engine: StubEngine, limit: str, sent: bytes) -> None:
    with (
        sidecar(BOOTSTRAP, engine.port, swap(limit, "0.2s", unread_timeout="0.1s")) as proxy,
        Connection(proxy.http) as connection,
    ):
        connection.send(sent)
        assert_error(connection.answer(), 408, "RequestTimeoutError")
        assert connection.closed()
    assert not engine.seen, "the engine has seen nothing of it"


def test_a_client_that_goes_frees_the_engine(engine: StubEngine) -> None:
    with sidecar(BOOTSTRAP, engine.port) as proxy:
        with Connection(proxy.http) as connection:
            connection.request(POST, "/v1/completions", JSON, b'{"hang": true}')
            assert engine.arrived.wait(10)
            assert proxy.stat(ACTIVE_REQUESTS) == 1
        until("the request is gone", lambda: proxy.stat(ACTIVE_REQUESTS) == 0)
        assert proxy.stat("cluster.engine.upstream_rq_active") == 0


def test_drain(engine: StubEngine) -> None:
    """New requests are served all through it, each answer says that its connection ends, and the running stream is counted."""
    with (
        sidecar(BOOTSTRAP, engine.port, swap(LIMITS.unread_timeout, "0.1s")) as proxy,
        Connection(proxy.http) as stream,
        Connection(proxy.http) as kept,
    ):
        kept.request(GET, "/v1/models")
        assert "connection" not in kept.answer().headers
        stream.request(POST, "/v1/chat/completions", JSON, b'{"stream": 2}')
        engine.proceed.release()
        response = stream.begun()
        assert response.readline() == b"data: 0\n"

        assert ask(proxy.admin, POST, "/healthcheck/fail").status == 200

        kept.request(GET, "/v1/models")
        last = kept.answer()
        assert (last.status, last.headers["connection"]) == (200, "close")
        assert kept.closed()
        for target in ("/v1/models", "/health"):
            fresh = ask(proxy.http, GET, target)
            assert (fresh.status, fresh.headers["connection"]) == (200, "close")
        assert proxy.stat(ACTIVE_REQUESTS) == 1
        engine.proceed.release()
        assert response.read() == b"\ndata: 1\n\n"
        until("nothing is in flight", lambda: proxy.stat(ACTIVE_REQUESTS) == 0)

        assert ask(proxy.admin, POST, "/healthcheck/ok").status == 200
        with Connection(proxy.http) as again:
            again.request(GET, "/v1/models")
            assert "connection" not in again.answer().headers


UNREAD = 250_000
"""Bytes of an answer: more than the kernel takes, and less than the sidecar takes before it holds the engine back (256 KiB)."""
CLOSING = {**JSON, "connection": "close"}


def held(proxy: Sidecar) -> int:
    """What the agent's drain counts beside requests."""
    return (proxy.stat(UNSENT_BYTES) or 0) + unacknowledged_bytes(proxy.http)


def test_a_client_that_reads_slowly_gets_all(engine: StubEngine) -> None:
    """Envoy's own default throws the rest away when the client has taken nothing for 1 s."""
    with sidecar(BOOTSTRAP, engine.port) as proxy, Connection(proxy.http, receive_buffer_bytes=4096) as connection:
        connection.request(POST, "/v1/completions", CLOSING, b'{"size": %d}' % UNREAD)
        response = connection.begun()
        until("the request has ended", lambda: proxy.stat(ACTIVE_REQUESTS) == 0)
        # Envoy counts what is left over when it next writes, which may be after the request's end.
        until("the kernel has not taken all", lambda: bool(proxy.stat(UNSENT_BYTES)))
        began = proxy.stat("server.uptime") or 0
        until("3 s pass", lambda: (proxy.stat("server.uptime") or 0) >= began + 3)
        assert held(proxy) > UNREAD / 2
        assert len(response.read()) == UNREAD
        until("all is acknowledged", lambda: held(proxy) == 0)


def test_a_client_that_reads_no_more_is_let_go(engine: StubEngine) -> None:
    with (
        sidecar(BOOTSTRAP, engine.port, swap(LIMITS.unread_timeout, "0.2s")) as proxy,
        Connection(proxy.http, receive_buffer_bytes=4096) as connection,
    ):
        connection.request(POST, "/v1/completions", CLOSING, b'{"size": %d}' % UNREAD)
        connection.begun()
        until("the sidecar holds nothing for it", lambda: proxy.stat(ACTIVE_REQUESTS) == 0 and proxy.stat(UNSENT_BYTES) == 0)
        assert 0 < unacknowledged_bytes(proxy.http) < 4 * LIMITS.send_buffer_bytes, "the kernel holds no more than its bound"


def test_http2_is_taken_and_told_to_go_at_a_drain(engine: StubEngine) -> None:
    with (
        sidecar(BOOTSTRAP, engine.port, swap(LIMITS.drain_timeout, "0.1s", unread_timeout="0.1s")) as proxy,
        Http2Connection(proxy.http) as connection,
    ):
        assert connection.get("/v1/models") == 200
        assert connection.get("/metrics") == 404
        assert connection.settings[3] == LIMITS.h2_streams
        assert not connection.goaway
        assert ask(proxy.admin, POST, "/healthcheck/fail").status == 200
        assert connection.get("/v1/models") == 200
        connection.read_to_end()
        assert connection.goaway


def test_the_agents_figures_are_there(engine: StubEngine) -> None:
    with sidecar(BOOTSTRAP, engine.port) as proxy:
        assert proxy.stat(ACTIVE_REQUESTS) == 0
        before = proxy.stat(BYTES_FROM_ENGINE)
        assert before == 0
        ask(proxy.http, GET, "/health")
        until("the bytes are counted", lambda: (proxy.stat(BYTES_FROM_ENGINE) or 0) > 50)


def test_an_idle_connection_to_the_engine_goes_before_the_engine_closes_it(engine: StubEngine) -> None:
    """uvicorn closes after 5 s; here the bound is made 0.1 s, and one connection is followed by another."""
    assert float(LIMITS.engine_idle_timeout.rstrip("s")) < 5
    with sidecar(BOOTSTRAP, engine.port, swap(LIMITS.engine_idle_timeout, "0.1s")) as proxy:
        ask(proxy.http, GET, "/health")
        until("it is closed", lambda: proxy.stat("cluster.engine.upstream_cx_active") == 0)
        assert ask(proxy.http, GET, "/health").status == 200
        assert proxy.stat("cluster.engine.upstream_cx_total") == 2


def test_many_streams_at_once(engine: StubEngine) -> None:
    """Forty streams, each event let out only when all of them are open: nothing in the sidecar bounds them lower."""
    count = 40
    bodies: list[bytes] = []

    def read(port: int) -> None:
        bodies.append(ask(port, POST, "/v1/chat/completions", JSON, b'{"stream": 1}').body)

    with sidecar(BOOTSTRAP, engine.port) as proxy:
        threads = [threading.Thread(target=read, args=(proxy.http,)) for _ in range(count)]
        for thread in threads:
            thread.start()
        until("all are open", lambda: proxy.stat(ACTIVE_REQUESTS) == count)
        engine.proceed.release(count)
        for thread in threads:
            thread.join(10)
    assert bodies == [b"data: 0\n\n"] * count
