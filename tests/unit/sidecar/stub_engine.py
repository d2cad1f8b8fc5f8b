"""An engine made of the standard library: it records what reaches it and answers what a test asks of it."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class StubEngine:
    """POST bodies say what comes: {"stream": N} streams N events, {"hang": true} answers only after `release`, {"size": N}
    answers N bytes."""

    seen: list[Seen] = field(default_factory=list)
    proceed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """One permit lets one more event of a stream out."""
    release: threading.Event = field(default_factory=threading.Event)
    broken: bool = False
    """Close the connection instead of an answer."""
    arrived: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                engine.answer(self)

            do_POST = do_GET  # noqa: N815  the base class looks for this name

            def log_message(self, *_: Any) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.seen.append(Seen(handler.command, handler.path, headers, body))
        self.arrived.set()
        if self.broken:
            handler.close_connection = True
            return
        asked = _object(body)
        if asked.get("hang"):
            self.release.wait(30)
        if "stream" in asked:
            self._stream(handler, asked["stream"])
            return
        status, answer = asked.get("status", 200), b"x" * asked["size"] if "size" in asked else b'{"object":"stub"}'
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _stream(self, handler: BaseHTTPRequestHandler, events: int) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for number in range(events):
            self.proceed.acquire(timeout=30)
            event = f"data: {number}\n\n".encode()
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        handler.wfile.write(b"0\r\n\r\n")

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is what some tests are about; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
