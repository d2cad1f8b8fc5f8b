"""The agents of thousands of replicas, as one process: it answers on all addresses of 127/8, each with a load of its own.

    python -m tests.bench.simulated_agents PORT

Every replica works on a few requests. From SIGUSR1 on every tenth model has more than it can do.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time

from fairlead.controller.main import allow_connections

REPLICAS = 2
"""Of each model, with addresses that follow each other."""
CONNECTIONS = 4096
WAVE_EVERY = 10


def address(number: int) -> str:
    """Of the replica of that number."""
    return f"127.{100 + number // 65_536}.{number // 256 % 256}.{number % 256}"


def number_of(ip: str) -> int:
    """The replica at that address."""
    _, first, second, third = map(int, ip.split("."))
    return (first - 100) * 65_536 + second * 256 + third


def answer(number: int, seconds: float, *, wave: bool) -> bytes:
    """What that replica tells so long after the start."""
    busy = wave and number // REPLICAS % WAVE_EVERY == 0
    running, rate = (32, 1600) if busy else (2 + number % 5, 45 * (2 + number % 5))
    told = {
        "phase": "Ready",
        "reason": "Ready",
        "message": "",
        "running": running,
        "waiting": 20 if busy else 0,
        "deferred": 0,
        "kvCachePercent": 80 if busy else 10,
        "tokens": int(rate * seconds),
        "loadAgeMs": 0,
        "dutyCyclePercent": 97,
        "dutyAgeMs": 0,
    }
    return json.dumps(told, separators=(",", ":")).encode()


class Agents:
    """All of them."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.wave = asyncio.Event()


class Agent(asyncio.Protocol):
    """One connection."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if data.endswith(b"\r\n\r\n"):
            number = number_of(self._transport.get_extra_info("sockname")[0])
            body = answer(number, time.monotonic() - self._agents.began, wave=self._agents.wave.is_set())
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


async def serve(port: int) -> None:
    """Answer until killed."""
    agents = Agents()
    allow_connections()
    listener = socket.create_server(("", port), backlog=CONNECTIONS)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, agents.wave.set)
    server = await loop.create_server(lambda: Agent(agents), sock=listener)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
