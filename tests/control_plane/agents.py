"""Agents of pods that are not there: something that answers the operator on their port."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fairlead.resources.names import AGENT_PORT


@contextmanager
def agent(address: str, answer: bytes | Callable[[], bytes]) -> Iterator[list[str]]:
    """Something that answers on an agent's port, always the same or what it makes; yields the requests that it has seen."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers.get('Authorization')}")
            said = answer if isinstance(answer, bytes) else answer()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's terminal."""

    server = http.server.ThreadingHTTPServer((address, AGENT_PORT), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Load:
    """What a replica's agent tells of its load; a test changes it while it is asked."""

    running: int = 0
    waiting: int = 0
    rate: float = 0.0
    """Tokens per second, of all its requests."""
    duty: int | None = 0
    age_ms: int = 100
    frozen: bool = False
    """Whether the numbers stay what they were, and their age grows."""
    tokens: float = 0.0
    _at: float = field(default_factory=time.monotonic)
    _froze: float = 0.0

    def answer(self) -> bytes:
        now = time.monotonic()
        if not self.frozen:
            self.tokens += self.rate * (now - self._at)
            self._froze = now
        self._at = now
        age = self.age_ms + round(1000 * (now - self._froze))
        counts = {"running": self.running, "waiting": self.waiting, "deferred": 0, "tokens": int(self.tokens)}
        told: dict[str, object] = {"phase": "Ready", "reason": "Ready", "message": "", **counts}
        told |= {"kvCachePercent": 10, "loadAgeMs": age}
        if self.duty is not None:
            told |= {"dutyCyclePercent": self.duty, "dutyAgeMs": age}
        return json.dumps(told).encode()
