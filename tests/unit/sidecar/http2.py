"""Just enough HTTP/2 for requests without a body, for seeing GOAWAY, and for frames that no client should send."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Self

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x7, 0x9
OK = 0x88
"""The status 200, in HPACK's static table."""
ACK, END_STREAM, END_HEADERS = 0x1, 0x1, 0x4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass
class Http2Connection:
    port: int
    hello: bytes = PREFACE
    """What is said first, in front of this side's settings."""
    settings: dict[int, int] = field(default_factory=dict)
    """The server's, by RFC 9113's numbers."""
    goaway: bool = False
    _stream: int = -1

    def __post_init__(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self._reader = self._socket.makefile("rb")
        self._socket.sendall(self.hello + _frame(SETTINGS, 0, 0, b""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._socket.close()

    def get(self, path: str) -> int:
        """The status: 200 or 404, of which HPACK's static table has a byte each."""
        block = b"\x82\x86" + literal(b":path", path.encode()) + literal(b":authority", b"model")
        opened = self.open(block, END_STREAM | END_HEADERS)
        status = ended = 0
        while not ended:
            kind, flags, stream, payload = self._next()
            if stream == opened:
                if kind == HEADERS:
                    status = {OK: 200, 0x8D: 404}[_after_table_size(payload)[0]]
                ended = flags & END_STREAM
        return status

    def open(self, block: bytes, flags: int) -> int:
        """Begin a stream with a block of headers; its number."""
        self._stream += 2
        self.send(HEADERS, flags, self._stream, block)
        return self._stream

    def send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self._socket.sendall(_frame(kind, flags, stream, payload))

    def refused(self, opened: int) -> bool:
        """Whether the stream ends without an answer, or with one that is not 200."""
        try:
            while True:
                kind, _, stream, payload = self._next()
                if kind == GOAWAY or (stream == opened and kind == RST_STREAM):
                    return True
                if stream == opened and kind == HEADERS:
                    return _after_table_size(payload)[0] != OK
        except ConnectionError:
            return True

    def _next(self) -> tuple[int, int, int, bytes]:
        head = self._reader.read(9)
        if len(head) < 9:
            raise ConnectionError("the connection ended")
        length, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
        payload = self._reader.read(length)
        if kind == SETTINGS and not flags & ACK:
            self.settings |= {
                int.from_bytes(payload[at : at + 2]): int.from_bytes(payload[at + 2 : at + 6]) for at in range(0, length, 6)
            }
            self._socket.sendall(_frame(SETTINGS, ACK, 0, b""))
        self.goaway |= kind == GOAWAY
        return kind, flags, stream, payload

    def read_to_end(self) -> None:
        """Read what still comes until the other side closes."""
        try:
            while True:
                self._next()
        except ConnectionError:
            return


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def initial_window(size: int) -> bytes:
    """A setting: how much of each stream this side takes unasked."""
    return (4).to_bytes(2) + size.to_bytes(4)


def literal(name: bytes, value: bytes) -> bytes:
    """A header field that no table has; both parts are shorter than 127 bytes."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def _after_table_size(block: bytes) -> bytes:
    """The header block without updates of the table's size (001xxxxx) in front; sizes here take one to four bytes."""
    while block[0] >> 5 == 1:
        at = 1
        if block[0] & 0x1F == 0x1F:
            while block[at] & 0x80:
                at += 1
            at += 1
        block = block[at:]
    return block


MODELS = (b"\x82", b"\x86", literal(b":path", b"/v1/models"), literal(b":authority", b"model"))
"""GET, http, path and authority of a good request."""
COMPLETIONS = (b"\x83", b"\x86", literal(b":path", b"/v1/completions"), literal(b":authority", b"model"))
"""The same of a good POST."""
