"""What the sidecar costs: latency and CPU per request and per streamed event, against no proxy and against a bare Envoy.

    make bench-sidecar        (about a minute; no cluster)

Three ways to the same stub of an engine are measured in turns, so that a noisy neighbour hits all of them: directly; through
the same Envoy binary with one route and nothing else (the floor of any Envoy sidecar); through the sidecar as rendered. CPU is
that of the Envoy process alone, from /proc. The stub stamps each streamed event with the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fairlead.resources.envoy import bootstrap
from tests.unit.resources.cases import model_deployment
from tests.unit.sidecar.proxy import Sidecar, sidecar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ROUNDS = 8
REQUESTS = 500
"""Small requests of a round, one after the other on one kept connection."""
STREAMS = 32
EVENTS = 100
"""Events of each stream of a round, one in 10 ms: a quick engine's pace per stream."""
EVENT_SECONDS = 0.01

BODY = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "word " * 50}]}).encode()
ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "word " * 20}}]}).encode()
FILLING = b'"' + b"x" * 180 + b'"'
"""About what vLLM puts around a token."""


class Engine(asyncio.Protocol):
    """Answers at once, or streams if the query says so. Requests come whole and one at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < len(BODY):
            return
        self._received = b""
        if b"?stream" in head.split(b"\r\n", 1)[0]:
            self._task = asyncio.get_running_loop().create_task(self._stream())
        else:
            self._transport.write(_head(b"content-length: %d" % len(ANSWER)) + ANSWER)

    async def _stream(self) -> None:
        self._transport.write(_head(b"transfer-encoding: chunked"))
        for _ in range(EVENTS):
            await asyncio.sleep(EVENT_SECONDS)
            event = b"data: %d %b\n\n" % (time.monotonic_ns(), FILLING)
            self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        self._transport.write(b"0\r\n\r\n")


def _head(framing: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + framing + b"\r\n\r\n"


def engine(told: Connection) -> None:
    """The stub, in a process of its own: it tells its port and serves until it is ended."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Engine, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def bare() -> dict[str, Any]:
    """The least of a bootstrap: the sidecar's own listener of figures and clusters, and one route without anything around it."""
    config = bootstrap(model_deployment().spec)
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"] = {
        "@type": manager["@type"],
        "stat_prefix": manager["stat_prefix"],
        "http_filters": [each for each in manager["http_filters"] if each["name"].endswith("router")],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "engine", "timeout": "0s"}}],
                }
            ]
        },
    }
    return config


@dataclass
class Way:
    """One way to the engine, and what was measured on it."""

    name: str
    port: int
    proxy: Sidecar | None = None
    latency: list[float] = field(default_factory=list)
    """Microseconds, one a request."""
    lag: list[float] = field(default_factory=list)
    """Microseconds from the engine's write to the client's read, one an event."""
    request_cpu: list[float] = field(default_factory=list)
    """Microseconds of CPU a request, one a round."""
    event_cpu: list[float] = field(default_factory=list)
    """The same an event."""

    def cpu(self) -> float:
        """Seconds of CPU that the proxy has used."""
        if self.proxy is None:
            return 0.0
        with open(f"/proc/{self.proxy.process.pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def request(target: str) -> bytes:
    return (
        f"POST {target} HTTP/1.1\r\nhost: m\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()
        + BODY
    )


async def measure_requests(way: Way) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    before = way.cpu()
    for _ in range(REQUESTS):
        start = time.perf_counter()
        writer.write(request("/v1/chat/completions"))
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(ANSWER))
        way.latency.append((time.perf_counter() - start) * 1e6)
    way.request_cpu.append((way.cpu() - before) / REQUESTS * 1e6)
    writer.close()
    await writer.wait_closed()


async def one_stream(way: Way) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    writer.write(request("/v1/chat/completions?stream"))
    await reader.readuntil(b"\r\n\r\n")
    events = 0
    while (line := await reader.readline()) != b"0\r\n":
        if not line:
            raise ConnectionError("the stream was cut")
        if line.startswith(b"data: "):
            way.lag.append((time.monotonic_ns() - int(line.split()[1])) / 1e3)
            events += 1
    if events != EVENTS:
        raise ConnectionError(f"{events} of {EVENTS} events came")
    writer.close()
    await writer.wait_closed()


async def measure_streams(way: Way) -> None:
    before = way.cpu()
    await asyncio.gather(*(one_stream(way) for _ in range(STREAMS)))
    way.event_cpu.append((way.cpu() - before) / (STREAMS * EVENTS) * 1e6)


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def table(ways: list[Way]) -> str:
    """Each figure of each way, with the last one (the sidecar) as a multiple of the one before (the bare Envoy)."""
    rows = [
        ("request, p50", [quantile(way.latency, 50) for way in ways]),
        ("request, p99", [quantile(way.latency, 99) for way in ways]),
        ("event's lag, p50", [quantile(way.lag, 50) for way in ways]),
        ("event's lag, p99", [quantile(way.lag, 99) for way in ways]),
        ("CPU per request", [statistics.mean(way.request_cpu) for way in ways]),
        ("CPU per event", [statistics.mean(way.event_cpu) for way in ways]),
    ]
    lines = [f"{'microseconds':18}" + "".join(f"{way.name:>14}" for way in ways) + f"{'added':>14}{'sidecar/bare':>14}"]
    for name, (direct, floor, own) in rows:
        lines.append(f"{name:18}{direct:14.0f}{floor:14.0f}{own:14.0f}{own - direct:14.0f}{own / floor if floor else 0:14.2f}")
    return "\n".join(lines)


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=engine, args=(theirs,), daemon=True)
    process.start()
    port: int = ours.recv()
    try:
        with ExitStack() as stack:
            floor = stack.enter_context(sidecar(bare(), port))
            own = stack.enter_context(sidecar(bootstrap(model_deployment().spec), port))
            ways = [Way("direct", port), Way("bare Envoy", floor.http, floor), Way("sidecar", own.http, own)]
            for number in range(ROUNDS):
                for measure in (measure_requests, measure_streams):
                    for way in ways:
                        asyncio.run(measure(way))
                sys.stderr.write(f"\rround {number + 1} of {ROUNDS}")
            sys.stderr.write("\n")
            print(table(ways))
            print(
                f"{ROUNDS} rounds of {REQUESTS} requests and {STREAMS} streams of {EVENTS} events; "
                f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            )
    finally:
        process.terminate()
        process.join(10)


if __name__ == "__main__":
    main()
