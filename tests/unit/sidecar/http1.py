"""HTTP/1.1 over a plain socket: a client library would tidy up just what these tests are about."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One connection, on which requests may follow each other."""

    def __init__(self, port: int, receive_buffer_bytes: int | None = None, source: str = "", host: str = "127.0.0.1") -> None:
        """A small receive buffer is that of a client which reads slowly: what it does not read stays with the server.

        `source` is the address to come from, `host` the one to go to.
        """
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if source:
            self._socket.bind((source, 0))
        if receive_buffer_bytes is not None:  # before the connection is made, which tells the other side
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.settimeout(60)
        try:
            self._socket.connect((host, port))
        except OSError:
            self._socket.close()
            raise
        self._method = "GET"
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def request(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        fields = {"host": "model", **(headers or {})}
        if body:
            fields.setdefault("content-length", str(len(body)))
        self._method = method
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def begun(self) -> HTTPResponse:
        """The answer as far as its headers; the body is still to be read."""
        response = HTTPResponse(self._socket, method=self._method)
        response.begin()
        return response

    def answer(self) -> Answer:
        response = self.begun()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def status(self) -> int:
        """That of an answer which has a length, for when there are thousands of them, or one behind the other."""
        received = self._rest
        while b"\r\n\r\n" not in received:
            received += self._received()
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._received()
        self._rest = body[length:]
        return int(head.split()[1])

    def _received(self) -> bytes:
        read = self._socket.recv(65536)
        if not read:
            raise ConnectionError("the connection ended")
        return read

    def line(self) -> bytes:
        """The status line of an interim answer, which has nothing else."""
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            if not byte:
                break
            received += byte
        return received.removesuffix(b"\r\n\r\n")

    def closed(self) -> bool:
        """Whether the other side closes, within the socket's timeout."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True


def ask(port: int, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    with Connection(port) as connection:
        connection.request(method, target, headers, body)
        return connection.answer()
