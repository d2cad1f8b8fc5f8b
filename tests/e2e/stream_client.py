"""A client that streams chat completions without pause and reports each stream as a JSON line.

Run in the node's network namespace, against the Service's cluster address: `python -m tests.e2e.stream_client --help`.
Three kinds of stream. A `short` one reads as fast as it can. A `long` one reads slowly, through a small receive buffer, so that
it is open for at least `--long-seconds`: back-pressure holds its end in the sidecar, which is what a drain has to wait for.
A `busy` one asks for so many tokens that the engine itself is at work on it the whole time; with `--busy-rounds` it is not
followed by another for ever.
SIGTERM: no new streams; those that are open are read to their end; then it exits 0.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

Kind = Literal["short", "long", "busy"]

#: bytes; small enough that the kernel cannot swallow a whole answer of a long stream (about 250 bytes a token)
RECEIVE_BUFFER_BYTES = 4096


@dataclass(frozen=True)
class Options:
    url: str
    model: str
    short: int
    long: int
    busy: int
    short_tokens: int
    long_tokens: int
    busy_tokens: int
    busy_rounds: int
    long_seconds: float


def say(**fact: Any) -> None:
    """One JSON line on standard output, at once."""
    sys.stdout.write(json.dumps({"at": time.time(), **fact}) + "\n")
    sys.stdout.flush()


def small_socket(address: tuple[Any, ...]) -> socket.socket:
    """A TCP socket whose receive buffer is fixed and small; the buffer must be set before the connection is made."""
    family, kind, proto, *_ = address
    made = socket.socket(family, kind, proto)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    made.setblocking(False)  # noqa: FBT003 (the standard library takes it by position alone)
    return made


async def read_stream(response: aiohttp.ClientResponse, seconds: float, tokens: int) -> tuple[bool, int, str]:
    """Read server-sent events to the end, spread over at least `seconds`.

    Returns:
        whether `[DONE]` came, the number of data chunks, and the finish reason.
    """
    start = time.monotonic()
    done, chunks, finish = False, 0, ""
    async for line in response.content:
        text = line.decode().strip()
        if not text.startswith("data: "):
            continue
        if text == "data: [DONE]":
            done = True
            break
        chunks += 1
        event = json.loads(text.removeprefix("data: "))
        if "error" in event:
            return False, chunks, f"error: {event['error']}"
        for choice in event.get("choices", []):
            finish = choice.get("finish_reason") or finish
        if seconds:  # keep to a straight line from the first token to the last; a busy engine puts several into one chunk
            ahead = seconds * event["usage"]["completion_tokens"] / tokens - (time.monotonic() - start)
            if ahead > 0:
                await asyncio.sleep(ahead)
    return done, chunks, finish


async def one(session: aiohttp.ClientSession, options: Options, kind: Kind, number: str) -> None:
    """One stream, reported when its first bytes are here (`open`) and when it has ended (`end`)."""
    tokens = {"short": options.short_tokens, "long": options.long_tokens, "busy": options.busy_tokens}[kind]
    seconds = options.long_seconds if kind == "long" else 0.0
    body = {
        "model": options.model,
        "messages": [{"role": "user", "content": f"{kind} {number}"}],
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "max_tokens": tokens,
        "ignore_eos": True,
    }
    start, failure, chunks, status = time.monotonic(), "", 0, 0
    try:
        async with session.post(f"{options.url}/v1/chat/completions", json=body) as response:
            status = response.status
            if status != 200:
                failure = f"HTTP {status}: {(await response.text())[:300]}"
            else:
                say(event="open", kind=kind, id=number)
                done, chunks, finish = await read_stream(response, seconds, tokens)
                if not done or finish != "length":
                    failure = f"cut after {chunks} chunks, finish_reason {finish!r}, [DONE] {'seen' if done else 'not seen'}"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        failure = f"{type(error).__name__}: {error} after {chunks} chunks"
    say(event="end", kind=kind, id=number, seconds=time.monotonic() - start, status=status, chunks=chunks, failure=failure)


async def worker(options: Options, kind: Kind, name: int, stop: asyncio.Event) -> None:
    """Stream after stream until told to stop; long ones have a connection each, the others keep theirs alive."""
    connector = (
        aiohttp.TCPConnector(socket_factory=small_socket, force_close=True)
        if kind == "long"
        else aiohttp.TCPConnector(limit=1, force_close=kind == "busy")
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
    read_bufsize = RECEIVE_BUFFER_BYTES if kind == "long" else 2**16
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=read_bufsize) as session:
        count = 0
        rounds = options.busy_rounds if kind == "busy" else 0
        while not stop.is_set() and not (rounds and count == rounds):
            count += 1
            await one(session, options, kind, f"{name}.{count}")
            if kind == "short":  # leave the two cores some room: about two short streams a second for each worker
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 0.5)


async def run(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    counts: dict[Kind, int] = {"short": options.short, "long": options.long, "busy": options.busy}
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    await asyncio.gather(*(worker(options, kind, index, stop) for index, kind in enumerate(kinds)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    for name, default in (
        ("short", 2),
        ("long", 4),
        ("busy", 0),
        ("short-tokens", 64),
        ("long-tokens", 1500),
        ("busy-tokens", 1500),
        ("busy-rounds", 0),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--long-seconds", type=float, default=40.0)
    asyncio.run(run(Options(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
