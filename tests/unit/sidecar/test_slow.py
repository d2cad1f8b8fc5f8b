"""Too much, and too slow: the limits of headers and bodies, and connections that are held for nothing. By the real Envoy.

A good client is beside all of them. No time is measured: what counts is that it is answered while they are held.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from fairlead.resources.envoy import LIMITS
from fairlead.resources.envoy_pieces import type_url
from fairlead_agent.sidecar import ACTIVE_REQUESTS
from tests.unit.sidecar.good_client import GoodClient, of_others
from tests.unit.sidecar.http1 import Connection, ask
from tests.unit.sidecar.http1_cases import CHUNKED, HOST, POST_HEAD, TRAILERS, got, posted
from tests.unit.sidecar.http2 import (
    COMPLETIONS,
    DATA,
    END_HEADERS,
    END_STREAM,
    MODELS,
    SETTINGS,
    Http2Connection,
    initial_window,
)
from tests.unit.sidecar.proxy import Sidecar, sidecar, until
from tests.unit.sidecar.stub_engine import StubEngine
from tests.unit.sidecar.test_faults import BOOTSTRAP, CLOSING, UNREAD, swap
from tests.unit.sidecar.test_requests import GET, JSON, POST, assert_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.objects import Object

pytestmark = pytest.mark.usefixtures("forget")
CONNECTIONS = "http.ingress_http.downstream_cx_active"
SMALL_BODY = 64 * 1024
HEADERS = LIMITS.request_headers_kib * 1024


@pytest.fixture(scope="module")
def proxy(engine: StubEngine) -> Iterator[Sidecar]:
    """A small limit for bodies, and short ones for whoever is slow."""
    slow = dict.fromkeys(("request_headers_timeout", "request_timeout", "flush_timeout"), "0.4s")
    with sidecar(BOOTSTRAP, engine.port, swap(LIMITS.body_bytes, SMALL_BODY, unread_timeout="0.2s", **slow)) as running:
        yield running


TOO_MUCH = {
    "a large header": (431, got(b"x: " + b"a" * HEADERS)),
    "a long name": (431, got(b"a" * HEADERS + b": x")),
    "large headers in sum": (431, got(*(b"x-%d: " % number + b"a" * 1000 for number in range(40)))),
    "many headers": (431, got(*(b"x-%d: a" % number for number in range(LIMITS.request_headers + 1)))),
    "a long path": (431, got(line=b"GET /" + b"a" * HEADERS + b" HTTP/1.1")),
    "a long query": (431, got(line=b"GET /v1/models?" + b"a" * HEADERS + b" HTTP/1.1")),
    "a long method": (431, b"A" * HEADERS + b" / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a long host": (431, got(host=b"host: " + b"a" * HEADERS + b"\r\n")),
    "large trailers": (431, CHUNKED + TRAILERS + b"x: " + b"a" * 2 * HEADERS + b"\r\n\r\n"),
    "a body": (413, posted(b"content-length: %d" % (SMALL_BODY + 1), body=b" " * (SMALL_BODY + 1))),
    "a body in chunks": (413, CHUNKED + b"%x\r\n" % (SMALL_BODY + 1) + b" " * (SMALL_BODY + 1) + b"\r\n"),
    "a body in small chunks": (413, CHUNKED + (b"400\r\n" + b" " * 1024 + b"\r\n") * 65),
    "a body of which only the beginning is there": (413, posted(b"content-length: %d" % 2**62, body=b" " * (SMALL_BODY + 1))),
}


@pytest.mark.parametrize(("status", "raw"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_is_refused(proxy: Sidecar, engine: StubEngine, good: GoodClient, status: int, raw: bytes) -> None:
    with Connection(proxy.http) as connection:
        connection.send(raw)
        good.is_served()
        kind = {413: "PayloadTooLargeError", 431: "HeadersTooLargeError"}[status]
        assert_error(connection.answer(), status, kind)
    assert not of_others(engine.seen)


def test_too_large_a_body_over_http2_is_refused(proxy: Sidecar, engine: StubEngine, good: GoodClient) -> None:
    with Http2Connection(proxy.http) as connection:
        stream = connection.open(b"".join(COMPLETIONS), END_HEADERS)
        for _ in range(5):
            connection.send(DATA, 0, stream, b" " * 2**14)
        good.is_served()
        assert connection.refused(stream)
    assert not of_others(engine.seen)


def test_headers_may_be_as_large_as_the_limit(proxy: Sidecar) -> None:
    assert ask(proxy.http, GET, "/health", {"x": "a" * (HEADERS - 500)}).status == 200


def test_a_body_of_the_largest_size_passes_and_one_byte_more_does_not(engine: StubEngine) -> None:
    body = b" " * LIMITS.body_bytes
    with sidecar(BOOTSTRAP, engine.port) as proxy:
        assert ask(proxy.http, POST, "/v1/completions", JSON, body).status == 200
        assert engine.seen[0].body == body
        with Connection(proxy.http) as connection:
            connection.request(POST, "/v1/completions", {**JSON, "content-length": str(len(body) + 1)}, body)
            connection.send(b" ")
            assert "32 MiB" in assert_error(connection.answer(), 413, "PayloadTooLargeError")
    assert len(engine.seen) == 1


@dataclass(frozen=True)
class Slow:
    """What a slow client does on a connection, and whether the engine sees its request (then it is slow to read)."""

    begin: Callable[[ExitStack, Sidecar], None]
    reads: bool = False


def says(raw: bytes) -> Slow:
    """It says so much, and no more."""

    def begin(stack: ExitStack, proxy: Sidecar) -> None:
        stack.enter_context(Connection(proxy.http)).send(raw)

    return Slow(begin)


def http2(block: tuple[bytes, ...], flags: int) -> Slow:
    """It begins a stream, and says no more."""

    def begin(stack: ExitStack, proxy: Sidecar) -> None:
        stack.enter_context(Http2Connection(proxy.http)).open(b"".join(block), flags)

    return Slow(begin)


def reads_nothing(stack: ExitStack, proxy: Sidecar) -> None:
    reader = stack.enter_context(Connection(proxy.http, receive_buffer_bytes=4096))
    reader.request(POST, "/v1/completions", CLOSING, b'{"size": %d}' % UNREAD)
    reader.begun()


def lets_nothing_through(stack: ExitStack, proxy: Sidecar) -> None:
    ask_and_read_nothing(stack.enter_context(Http2Connection(proxy.http)))


def ask_and_read_nothing(connection: Http2Connection, size: int = UNREAD) -> None:
    """The same over HTTP/2: a window of nothing. Waits for the answer's headers."""
    connection.send(SETTINGS, 0, 0, initial_window(0))
    stream = connection.open(b"".join(COMPLETIONS), END_HEADERS)
    connection.send(DATA, END_STREAM, stream, b'{"size": %d}' % size)
    connection.refused(stream)


HALF = b"POST /v1/completions HTTP/1.1\r\nhost: a\r\n"
SLOW = {
    "half a line": says(b"POST /v1/comp"),
    "half its headers": says(HALF + b"x: a"),
    "lines that end with carriage returns alone": says(got(b"x: a").replace(b"\r\n", b"\r")),
    "one byte of its body": says(HALF + b"content-length: 1000000\r\n\r\n{"),
    "one byte of a chunk": says(HALF + b"transfer-encoding: chunked\r\n\r\n7fffffff\r\n{"),
    "half the size of a chunk": says(HALF + b"transfer-encoding: chunked\r\n\r\n7f"),
    "an extension of a chunk that does not end": says(HALF + b"transfer-encoding: chunked\r\n\r\n1;" + b"a" * 100_000),
    "no last chunk": says(HALF + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"),
    "half its trailers": says(HALF + b"transfer-encoding: chunked\r\n\r\n" + TRAILERS + b"x: a\r\ny"),
    "to be told to go on, and does not": says(POST_HEAD + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"),
    "half its headers over HTTP/2": http2(MODELS, 0),
    "no body over HTTP/2": http2(COMPLETIONS, END_HEADERS),
    "reads nothing": Slow(reads_nothing, reads=True),
    "reads nothing over HTTP/2": Slow(lets_nothing_through, reads=True),
}
HELD = 12
"""Connections of each kind."""
REQUESTS = 200
"""Of the good client, while all of them are held."""


@pytest.mark.parametrize("kind", SLOW)
def test_slow_clients_are_let_go_of_and_a_good_one_is_served_meanwhile(
    proxy: Sidecar, engine: StubEngine, good: GoodClient, kind: str
) -> None:
    slow = SLOW[kind]
    before = proxy.stat("http.ingress_http.downstream_cx_total") or 0
    with ExitStack() as stack:
        for _ in range(HELD):
            slow.begin(stack, proxy)
            good.is_served()
        until("all were there", lambda: (proxy.stat("http.ingress_http.downstream_cx_total") or 0) >= before + HELD)

        def let_go() -> bool:
            good.is_served()
            held = (proxy.stat(CONNECTIONS) or 0) - 1
            return proxy.stat(ACTIVE_REQUESTS) == 0 and (held == 0 or kind.endswith("over HTTP/2"))

        until("all are let go of", let_go)
    assert len(of_others(engine.seen)) == (HELD if slow.reads else 0)


def test_a_good_client_is_served_while_all_kinds_are_held(engine: StubEngine) -> None:
    """Nobody is let go of meanwhile, so it is not by their end that the good client gets on."""
    long = dict.fromkeys(("request_headers_timeout", "request_timeout", "flush_timeout"), "600s")
    with sidecar(BOOTSTRAP, engine.port, swap(LIMITS.unread_timeout, "600s", **long)) as proxy, ExitStack() as stack:
        for _ in range(HELD):
            stack.enter_context(Connection(proxy.http))  # says nothing
            for slow in SLOW.values():
                slow.begin(stack, proxy)
        held = HELD * (len(SLOW) + 1)
        until("all are connected", lambda: (proxy.stat(CONNECTIONS) or 0) >= held)
        engine.seen.clear()
        with Connection(proxy.http) as good:
            for number in range(REQUESTS):
                good.request(POST, "/v1/completions", JSON, b'{"n": %d}' % number)
                assert good.answer().status == 200
        assert (proxy.stat(CONNECTIONS) or 0) >= held, "all of them are held still"
        assert [seen.body for seen in engine.seen] == [b'{"n": %d}' % number for number in range(REQUESTS)]


LARGE = 250_000
"""Bytes of an answer, all of which Envoy holds for a slow reader."""
SMALL = 40_000
"""So little is reset at 95 % only (envoy.LIMITS.stream_accounted_power)."""


@pytest.fixture
def busy() -> Iterator[StubEngine]:
    """An engine that may go on with what it was asked, while the next test has another."""
    with closing(StubEngine()) as engine:
        yield engine


@dataclass
class Pressure:
    """How full the memory is, said by the test: how soon Envoy sees what it really holds depends on the machine."""

    file: Path
    bootstrap: Object

    def set(self, full: str) -> None:
        """Envoy looks at the file when another one is moved to its place."""
        other = self.file.with_suffix(".new")
        other.write_text(full)
        other.rename(self.file)


@pytest.fixture
def pressure(tmp_path: Path) -> Pressure:
    """In the place of the heap's own figure."""
    file, bootstrap = tmp_path / "pressure", deepcopy(BOOTSTRAP)
    bootstrap["overload_manager"]["resource_monitors"][0]["typed_config"] = {
        "@type": type_url("extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig"),
        "filename": str(file),
    }
    made = Pressure(file, bootstrap)
    made.set("0.1")
    return made


def test_slow_readers_that_hold_most_are_reset_and_others_are_served(busy: StubEngine, pressure: Pressure) -> None:
    """Otherwise everybody would be told that memory is short, for as long as they hold it."""
    with sidecar(pressure.bootstrap, busy.port) as proxy, ExitStack() as stack:
        of_much, of_little = (stack.enter_context(Http2Connection(proxy.http)) for _ in range(2))
        for _ in range(20):
            ask_and_read_nothing(of_much, LARGE)
            ask_and_read_nothing(of_little, SMALL)
        until("the engine has given all", lambda: proxy.stat("cluster.engine.upstream_rq_active") == 0)
        assert proxy.stat(ACTIVE_REQUESTS) == 40
        pressure.set("0.86")
        until("those that hold most are reset", lambda: (proxy.stat(ACTIVE_REQUESTS) or 0) <= 20)
        assert {ask(proxy.http, GET, "/v1/models").status for _ in range(10)} == {200}
        assert proxy.stat(ACTIVE_REQUESTS) == 20, "the others hold what they have"


MANY = 60
"""More than Envoy resets at a time."""


def readers_of_http1(stack: ExitStack, proxy: Sidecar) -> None:
    for _ in range(MANY):
        reader = stack.enter_context(Connection(proxy.http, receive_buffer_bytes=4096))
        reader.request(POST, "/v1/completions", JSON, b'{"size": %d}' % LARGE)
        reader.begun()


def readers_of_http2(stack: ExitStack, proxy: Sidecar) -> None:
    reader = stack.enter_context(Http2Connection(proxy.http))
    for _ in range(MANY):
        ask_and_read_nothing(reader, LARGE)


@pytest.mark.parametrize("readers", [readers_of_http1, readers_of_http2])
def test_slow_readers_are_let_go_of_where_the_memory_is_full(
    pressure: Pressure, busy: StubEngine, readers: Callable[[ExitStack, Sidecar], None]
) -> None:
    """Envoy has a look at it four times a second. So much may come at once that it resets nothing any more."""
    soon = swap(LIMITS.unread_timeout, "0.2s", flush_timeout_when_short="0.2s", connection_idle_timeout_when_short="0.2s")
    with sidecar(pressure.bootstrap, busy.port, soon) as proxy, ExitStack() as stack:
        readers(stack, proxy)
        held = (proxy.stat(CONNECTIONS), proxy.stat(ACTIVE_REQUESTS))
        assert held in {(MANY, 0), (1, MANY)}
        pressure.set("1")
        until("others are refused", lambda: ask(proxy.http, GET, "/v1/models").status == 503)
        until("they are let go of", lambda: proxy.stat(CONNECTIONS) == proxy.stat(ACTIVE_REQUESTS) == 0)


def test_a_trickle_is_let_go_of(engine: StubEngine) -> None:
    """A byte now and then keeps nothing open: the time counts from the first."""
    with (
        sidecar(BOOTSTRAP, engine.port, swap(LIMITS.request_headers_timeout, "0.3s", unread_timeout="0.1s")) as proxy,
        Connection(proxy.http) as connection,
    ):
        connection.send(HALF + b"x: ")

        def closed() -> bool:
            try:
                connection.send(b"a")
            except ConnectionError:
                return True
            return proxy.stat(CONNECTIONS) == 0

        until("it is let go of", closed)
    assert not engine.seen


def test_a_connection_that_says_nothing_is_let_go_of(engine: StubEngine) -> None:
    with (
        sidecar(BOOTSTRAP, engine.port, swap(LIMITS.connection_idle_timeout, "0.3s")) as proxy,
        Connection(proxy.http) as connection,
    ):
        assert connection.closed()


def test_more_connections_than_the_limit_are_closed_and_those_that_are_there_go_on(engine: StubEngine) -> None:
    with sidecar(BOOTSTRAP, engine.port, swap(LIMITS.downstream_connections, 8)) as proxy, ExitStack() as stack:
        good = stack.enter_context(Connection(proxy.http))
        for _ in range(7):
            stack.enter_context(Connection(proxy.http)).send(HALF)
        until("all are connected", lambda: proxy.stat(CONNECTIONS) == 8)
        more = [stack.enter_context(Connection(proxy.http)) for _ in range(4)]
        # Envoy has been seen to let in one too many, after a connection to its figures.
        until("they are turned away", lambda: (proxy.stat("listener.api.downstream_global_cx_overflow") or 0) >= len(more) - 1)
        assert more[-1].closed()
        for _ in range(10):
            good.request(GET, "/v1/models")
            assert good.answer().status == 200
        text = ask(proxy.metrics, GET, "/stats/prometheus").body.decode()
        assert re.search(r"^envoy_listener_downstream_global_cx_overflow.* [34]$", text, re.MULTILINE), "the figures get through"
