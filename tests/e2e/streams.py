"""Streams held open while a test changes something, and the verdict over all of them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.waiting import until


@dataclass
class Streams:
    """What the client has reported so far; the reader thread is its only writer."""

    open: dict[str, str] = field(default_factory=dict)  # id -> kind
    ended: list[dict[str, Any]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        try:
            fact = json.loads(line)
        except ValueError:
            self.other.append(line.rstrip())
            return
        key = f"{fact['kind']} {fact['id']}"
        if fact["event"] == "open":
            self.open[key] = fact["kind"]
        else:
            self.open.pop(key, None)
            self.ended.append(fact)

    def open_now(self, kind: str | None = None) -> int:
        return sum(1 for each in list(self.open.values()) if kind in (None, each))

    def failures(self) -> list[dict[str, Any]]:
        return [each for each in list(self.ended) if each["failure"]]

    def ended_of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in list(self.ended) if each["kind"] == kind]


@contextmanager
def streaming(
    prefix: Sequence[str], url: str, model: str, *, short: int = 2, long: int = 4, busy: int = 0, **more: float
) -> Iterator[Streams]:
    """Run the client under `prefix` (a command that enters the node's network) until the block ends, then let every stream end.

    On leaving, the client gets SIGTERM and has to come to its end by itself: a stream that never ends fails the test.
    """
    streams = Streams()
    command = [*prefix, sys.executable, "-m", "tests.e2e.stream_client", "--url", url, "--model", model]
    for name, value in {"short": short, "long": long, "busy": busy, **more}.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    # -m finds the tests package from the root of the checkout, where the tests run
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"PYTHONPATH": "."}
    )
    assert process.stdout is not None
    out = process.stdout

    def pump() -> None:
        for line in out:
            streams.take(line)

    reader = threading.Thread(target=pump, daemon=True)
    reader.start()
    try:
        # every worker has its first stream open, or has ended one already
        until(
            "the client has opened its streams",
            lambda: (
                streams.open_now("long") >= long
                and streams.open_now("busy") >= busy
                and len(streams.ended) + streams.open_now() >= short + long + busy
            ),
            seconds=60,
            every=0.1,
            describe=lambda: f"open {streams.open}, ended {streams.ended}, {streams.other}",
        )
        yield streams
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            streams.other.append("the client was still reading 300 s after it was told to stop")
        reader.join(timeout=10)
        out.close()


def assert_none_cut(streams: Streams, *, at_least: int, long_seconds: float = 0.0) -> None:
    """No failed request and no cut stream, over at least so many streams; long ones were really that long."""
    assert not streams.failures(), f"{len(streams.failures())} of {len(streams.ended)} failed: {streams.failures()[:5]}"
    assert not streams.other, streams.other[:20]
    assert not streams.open, f"never ended: {streams.open}"
    assert len(streams.ended) >= at_least, f"only {len(streams.ended)} streams ran, {at_least} were meant"
    for kind in ("long", "busy") if long_seconds else ():
        seconds = [each["seconds"] for each in streams.ended_of(kind)]
        assert seconds, f"no {kind} stream"
        assert min(seconds) >= long_seconds * 0.95, f"a {kind} stream took only {min(seconds):.1f} s"
