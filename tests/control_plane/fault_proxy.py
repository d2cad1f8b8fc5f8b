"""An HTTPS proxy in front of the real API server that misbehaves on demand; what it can do by name is in faults.py.

It runs on a thread of its own. Requests, bodies, answers and the events of watches pass through unchanged unless a fault
changes them; credentials are the client's own.
"""

import asyncio
import itertools
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web
from yarl import URL

from tests.audit import WRITES
from tests.cluster.api import Api
from tests.cluster.pki import Authority
from tests.objects import Object
from tests.ports import free_ports

T = TypeVar("T")

ADDRESS = "127.0.0.1"
LINE_BYTES = 1 << 22
"""Longer than any event of a watch."""
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "keep-alive"}
"""Of one connection, not of the request."""


@dataclass(frozen=True)
class Call:
    """A request, in the words of the audit log."""

    number: int
    """From 1 on."""
    verb: str
    path: str
    namespace: str
    """Empty: of the whole cluster."""
    resource: str
    """With its subresource, as `modeldeployments/status`."""
    name: str

    @property
    def writes(self) -> bool:
        """Whether it may change something that is not the Lease."""
        return self.verb in WRITES and self.resource != "leases"


@dataclass
class Fault:
    """Lets everything pass; each kind of fault overrides what it does otherwise."""

    hits: int = field(default=0, init=False)
    """How often it has struck: a test in which a fault never does shows nothing."""

    async def instead(self, call: Call) -> web.Response | None:
        """An answer in the API server's stead, which then never sees the request."""

    async def answered(self, call: Call, body: bytes) -> bytes:  # noqa: ARG002
        """The body to pass on. Raises Cut where the client gets no answer to what has been done."""
        return body

    async def event(self, call: Call, line: bytes) -> bytes | None:  # noqa: ARG002
        """The event of a watch to pass on; None: it is lost. Raises Cut to end the watch."""
        return line


class Cut(Exception):  # noqa: N818 - what is to be done with the connection
    """The connection ends here."""


def status_object(status: int, reason: str, message: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "code": status,
        "reason": reason,
        "message": message,
    }


class FaultProxy:
    """Use as a context manager; `server` is what to write into a kubeconfig, with the cluster's own authority."""

    def __init__(self, upstream: Api) -> None:
        self._upstream = upstream
        self._pair = Authority(upstream.authority.parent).issue("fault-proxy", user="fault-proxy", hosts=[ADDRESS])
        (self._port,) = free_ports(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._numbers = itertools.count(1)
        self._faults: list[Fault] = []
        self._connections: set[asyncio.Transport] = set()
        self._listening: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self.calls: list[Call] = []

    @property
    def server(self) -> str:
        return f"https://{ADDRESS}:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """What passes while the block runs meets the fault."""
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Connections are refused, and those that are open cut, while the block runs."""
        self._do(self._refuse())
        try:
            yield
        finally:
            self._do(self._listen())

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Nothing comes through in either direction while the block runs, and nobody is told; what was sent is lost."""
        self._do(self._close_hole())
        try:
            yield
        finally:
            self._do(self._open_hole())

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _start(self) -> None:
        context = ssl.create_default_context(cafile=str(self._upstream.authority))
        self._session = aiohttp.ClientSession(
            f"https://{self._upstream.host}:{self._upstream.port}",
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=LINE_BYTES,
        )
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self._pair.certificate, self._pair.key)
        # A client that gives up cancels its request here as well, and so at the API server.
        self._server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._open.set()
        await self._listen()

    async def _stop(self) -> None:
        await self._refuse()
        await self._server.shutdown(1.0)
        await self._session.close()

    async def _listen(self) -> None:
        listener = socket.create_server((ADDRESS, self._port), backlog=64)
        listener.setblocking(False)  # noqa: FBT003
        self._listening = asyncio.create_task(self._accept(listener))

    async def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                taken, _ = await self._loop.sock_accept(listener)
                # In the hole it stays as it is: connected, and not a byte answers the client's hello.
                await self._open.wait()
                with suppress(OSError):
                    transport, _ = await self._loop.connect_accepted_socket(self._server, taken, ssl=self._tls)
                    self._connections.add(transport)

    async def _refuse(self) -> None:
        assert self._listening is not None
        self._listening.cancel()
        await asyncio.wait({self._listening})
        self._abort_all()

    async def _close_hole(self) -> None:
        self._open.clear()

    async def _open_hole(self) -> None:
        # A connection that has lost bytes is of no use to anybody.
        self._abort_all()
        self._open.set()

    def _abort_all(self) -> None:
        for each in self._connections:
            each.abort()
        self._connections.clear()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._pass(request)
        except (Cut, aiohttp.ClientConnectionError):  # the latter: the API server itself is gone
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)

    async def _pass(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        call = self._call(request)
        self.calls.append(call)
        await self._way()
        for fault in list(self._faults):
            answer = await fault.instead(call)
            if answer is not None:
                return answer
        async with self._sent(request, body) as upstream:
            if call.verb == "watch":
                return await self._watch(request, call, upstream)
            passed = await upstream.read()
            for fault in list(self._faults):
                passed = await fault.answered(call, passed)
            await self._way()
            return web.Response(status=upstream.status, body=passed, headers=_headers(upstream.headers))

    async def _watch(self, request: web.BaseRequest, call: Call, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        answer = web.StreamResponse(status=upstream.status, headers=_headers(upstream.headers))
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        async for line in upstream.content:
            passed: bytes | None = line
            for fault in list(self._faults):
                if passed is not None:
                    passed = await fault.event(call, passed)
            await self._way()
            if passed is not None:
                await answer.write(passed)
        await answer.write_eof()
        return answer

    async def _way(self) -> None:
        """Go on; in the hole, stay there until it is over, and then be lost."""
        if not self._open.is_set():
            await self._open.wait()
            raise Cut

    @asynccontextmanager
    async def _sent(self, request: web.BaseRequest, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        url = URL(request.raw_path, encoded=True)
        # Plain, so that a fault can read it.
        headers = {**_headers(request.headers), "Accept-Encoding": "identity"}
        async with self._session.request(request.method, url, data=body or None, headers=headers) as upstream:
            yield upstream

    def _call(self, request: web.BaseRequest) -> Call:
        parts = [part for part in request.path.split("/") if part]
        # /api/v1/... or /apis/GROUP/VERSION/..., then namespaces/NAME where there is one; a namespace itself is in none
        rest = parts[2:] if parts[:1] == ["api"] else parts[3:]
        namespace = rest[1] if rest[:1] == ["namespaces"] and len(rest) > 2 else ""
        resource, name, subresource = (*(rest[2:] if namespace else rest), "", "", "")[:3]
        read = "watch" if request.query.get("watch") in {"true", "1"} else "get" if name else "list"
        return Call(
            next(self._numbers),
            _VERBS.get(request.method, read),
            request.path,
            namespace,
            f"{resource}/{subresource}" if subresource else resource,
            name,
        )


def _headers(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}


def event_line(kind: str, obj: Object) -> bytes:
    """An event of a watch as it is on the wire."""
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"
