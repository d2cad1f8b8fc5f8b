"""Clients that mean harm: requests that two readers could take for different ones. A good client beside each is served.

Confusing paths are in test_paths.py, limits and slow clients in test_slow.py.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from fairlead.resources.envoy import LIMITS
from fairlead_agent.sidecar import ACTIVE_REQUESTS
from tests.unit.sidecar.good_client import GoodClient, of_others
from tests.unit.sidecar.http1 import Connection, ask
from tests.unit.sidecar.http1_cases import HOST, ONE_REQUEST, REFUSED, SMUGGLED, posted
from tests.unit.sidecar.http2 import (
    COMPLETIONS,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    MODELS,
    RST_STREAM,
    Http2Connection,
    literal,
)
from tests.unit.sidecar.proxy import Sidecar, sidecar, until
from tests.unit.sidecar.test_faults import BOOTSTRAP, swap
from tests.unit.sidecar.test_requests import GET, POST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.sidecar.stub_engine import StubEngine

pytestmark = pytest.mark.usefixtures("forget")


@pytest.fixture(scope="module")
def proxy(engine: StubEngine) -> Iterator[Sidecar]:
    """It closes at once where it would wait for a slow client to read."""
    with sidecar(BOOTSTRAP, engine.port, swap(LIMITS.unread_timeout, "0.1s")) as running:
        yield running


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_and_the_connection_ends(
    proxy: Sidecar, engine: StubEngine, good: GoodClient, raw: bytes
) -> None:
    with Connection(proxy.http) as connection:
        connection.send(raw)
        good.is_served()
        answer = connection.answer()
        assert answer.status in {400, 403, 426, 501}
        assert answer.json()["error"]["code"] == answer.status
        assert connection.closed(), "what came behind it is never read as a request"
    assert not of_others(engine.seen)


@pytest.mark.parametrize("raw", ONE_REQUEST.values(), ids=ONE_REQUEST)
def test_what_is_merely_sloppy_reaches_the_engine_tidied_up(
    proxy: Sidecar, engine: StubEngine, good: GoodClient, raw: bytes
) -> None:
    with Connection(proxy.http) as connection:
        connection.send(raw)
        good.is_served()
        assert connection.answer().status == 200
        connection.request(GET, "/v1/models")
        assert connection.answer().status == 200, "the next request begins where this one ends"
    first, second = of_others(engine.seen)
    assert (first.method, first.path, first.body) == (POST, "/v1/completions", b"{}")
    assert first.headers.keys() == {"host", "content-type", "content-length", "x-request-id"}
    assert (first.headers["host"], first.headers["content-length"]) == ("engine", "2")
    assert (second.method, second.path) == (GET, "/v1/models")


def test_a_request_within_a_body_stays_one(proxy: Sidecar, engine: StubEngine) -> None:
    assert ask(proxy.http, GET, "/v1/models", body=SMUGGLED).status == 200
    (seen,) = engine.seen
    assert (seen.path, seen.body) == ("/v1/models", SMUGGLED)


PAUSE = b"GET /pause HTTP/1.1\r\n" + HOST + b"\r\n"
TWO_REQUESTS = {
    "a body without a length": posted(body=PAUSE),
    "a body beyond its length": posted(b"content-length: 0", body=PAUSE),
    "a body beyond its last chunk": posted(b"transfer-encoding: chunked", body=b"0\r\n\r\n" + PAUSE),
    "a body beyond its last chunk, by a folded line": posted(b"transfer-encoding:\r\n chunked", body=b"0\r\n\r\n" + PAUSE),
    "headers that end with a line feed": posted(b"x-user: a\n", body=PAUSE).replace(b"\r\n\r\n", b"\n", 1),
}


@pytest.mark.parametrize("raw", TWO_REQUESTS.values(), ids=TWO_REQUESTS)
def test_what_is_behind_a_request_is_a_request_with_checks_of_its_own(
    proxy: Sidecar, engine: StubEngine, good: GoodClient, raw: bytes
) -> None:
    """Smuggled past whoever is in front of the sidecar, it gets no further than it would by itself."""
    with Connection(proxy.http) as connection:
        connection.send(raw)
        good.is_served()
        assert [connection.status(), connection.status()] == [200, 404]
    assert [(seen.path, seen.body) for seen in of_others(engine.seen)] == [("/v1/completions", b"")]


@pytest.mark.parametrize(("value", "read"), [(b"a\r\n b", "a b"), (b"a\r\n\tb", "a\tb"), (b"a\rb", "ab")])
def test_a_header_goes_on_as_one_line(proxy: Sidecar, engine: StubEngine, value: bytes, read: str) -> None:
    with Connection(proxy.http) as connection:
        connection.send(posted(b"x-custom: " + value, b"content-length: 2", body=b"{}"))
        assert connection.answer().status == 200
    (seen,) = engine.seen
    assert seen.headers["x-custom"] == read
    assert seen.headers.keys() == {"host", "content-type", "content-length", "x-custom", "x-request-id"}


@pytest.mark.parametrize("raw", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED])
def test_half_of_http2_ends_the_connection(proxy: Sidecar, engine: StubEngine, good: GoodClient, raw: bytes) -> None:
    with Http2Connection(proxy.http, hello=raw) as connection:
        good.is_served()
        connection.read_to_end()
    assert not of_others(engine.seen)


HTTP2_REFUSED = {
    "transfer-encoding": (*MODELS, literal(b"transfer-encoding", b"chunked")),
    "connection": (*MODELS, literal(b"connection", b"close")),
    "a name in capitals": (*MODELS, literal(b"X-Custom", b"a")),
    "a line break in a value": (*MODELS, literal(b"x", b"a\r\nx-user: root")),
    "a line feed in a value": (*MODELS, literal(b"x", b"a\nb")),
    "a zero in a value": (*MODELS, literal(b"x", b"a\0b")),
    "a line break in a name": (*MODELS, literal(b"x\r\ny", b"a")),
    "a space in a name": (*MODELS, literal(b"x y", b"a")),
    "no name": (*MODELS, literal(b"", b"a")),
    "an underscore": (*MODELS, literal(b"x_user", b"root")),
    "two paths": (*MODELS, literal(b":path", b"/pause")),
    "two methods": (*MODELS, literal(b":method", b"POST")),
    "a pseudo header behind others": (*MODELS[:2], literal(b"x", b"a"), *MODELS[2:]),
    "an unknown pseudo header": (*MODELS, literal(b":status", b"200")),
    "a path with a space": (*MODELS[:2], literal(b":path", b"/v1/models HTTP/1.1"), MODELS[3]),
    "a path with a line break": (*MODELS[:2], literal(b":path", b"/v1/models HTTP/1.1\r\nx: y\r\n\r\n"), MODELS[3]),
    "no path": (*MODELS[:2], MODELS[3]),
    "an empty path": (*MODELS[:2], literal(b":path", b""), MODELS[3]),
    "a method with a space": (literal(b":method", b"GET /pause"), *MODELS[1:]),
    "a length without a body": (*MODELS, literal(b"content-length", b"5")),
    "two lengths": (*MODELS, literal(b"content-length", b"0"), literal(b"content-length", b"1")),
    "a length that is no number": (*MODELS, literal(b"content-length", b"0x0")),
    "an authority with a line break": (*MODELS[:3], literal(b":authority", b"model\r\nx: y")),
    "more headers than the limit": (*MODELS, *(literal(b"x-%d" % n, b"a") for n in range(LIMITS.request_headers + 1))),
}


@pytest.mark.parametrize("block", HTTP2_REFUSED.values(), ids=HTTP2_REFUSED)
def test_http2_that_would_be_ambiguous_in_http1_is_refused(
    proxy: Sidecar, engine: StubEngine, good: GoodClient, block: tuple[bytes, ...]
) -> None:
    with Http2Connection(proxy.http) as connection:
        stream = connection.open(b"".join(block), END_STREAM | END_HEADERS)
        good.is_served()
        assert connection.refused(stream)
    assert not of_others(engine.seen)


def test_http2_with_more_body_than_its_length_is_refused(proxy: Sidecar, engine: StubEngine) -> None:
    with Http2Connection(proxy.http) as connection:
        stream = connection.open(b"".join((*COMPLETIONS, literal(b"content-length", b"2"))), END_HEADERS)
        connection.send(DATA, END_STREAM, stream, b"{}" + SMUGGLED)
        assert connection.refused(stream)
    assert not engine.seen


def test_headers_without_an_end_end_the_connection(proxy: Sidecar, engine: StubEngine) -> None:
    """A flood of CONTINUATION frames (CVE-2024-27316)."""
    with Http2Connection(proxy.http) as connection:
        stream = connection.open(b"".join(MODELS), 0)
        with suppress(ConnectionError):
            for _ in range(50):
                connection.send(CONTINUATION, 0, stream, literal(b"x", b"a" * 100) * 100)
        connection.read_to_end()
    assert not engine.seen


def test_streams_that_are_taken_back_at_once_do_not_pile_up(proxy: Sidecar) -> None:
    """Rapid reset (CVE-2023-44487): far more streams than may be open at a time, and a good client beside them."""
    with Http2Connection(proxy.http) as connection:
        with suppress(ConnectionError):  # to be let go of is as good
            for _ in range(20 * LIMITS.h2_streams):
                stream = connection.open(b"".join(MODELS), END_STREAM | END_HEADERS)
                connection.send(RST_STREAM, 0, stream, bytes(4))
        assert ask(proxy.http, GET, "/v1/models").status == 200
    until("nothing of it is left", lambda: proxy.stat(ACTIVE_REQUESTS) == 0)
