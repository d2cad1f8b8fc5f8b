"""What the proxy can do to the operator, by name."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from tests.control_plane.fault_proxy import Call, Cut, Fault, event_line, status_object

WATCHES = frozenset({"watch"})
LISTS = frozenset({"list"})
WRITES = frozenset({"patch", "create", "delete"})


@dataclass
class Some(Fault):
    """Strikes every n-th time that something of these verbs and resources comes by; the Lease is spared."""

    verbs: frozenset[str] = WRITES
    resources: frozenset[str] | None = None
    """None: all."""
    every: int = 1
    seen: int = field(default=0, init=False)

    def strikes(self, call: Call) -> bool:
        if call.verb not in self.verbs or call.resource == "leases" or call.resource not in (self.resources or {call.resource}):
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        self.hits += 1
        return True


@dataclass
class KillAfterWrite(Fault):
    """The n-th write in a namespace is done, and its sender is killed before it learns so."""

    namespace: str
    number: int
    kill: Callable[[], object]
    seen: int = field(default=0, init=False)

    async def answered(self, call: Call, body: bytes) -> bytes:
        if not call.writes or call.namespace != self.namespace:
            return body
        self.seen += 1
        if self.seen < self.number:
            return body
        if self.seen == self.number:
            await asyncio.to_thread(self._strike)
        raise Cut

    def _strike(self) -> None:
        # On its thread to the end: the handler is cancelled when the killed one's connection goes.
        self.kill()
        self.hits += 1


@dataclass
class Refuse(Some):
    """The API server never sees the request; the proxy answers with this status."""

    status: int = 500
    reason: str = "InternalError"
    retry_after: int | None = None

    async def instead(self, call: Call) -> web.Response | None:
        if not self.strikes(call):
            return None
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        body = status_object(self.status, self.reason, f"the fault proxy says {self.status}")
        return web.json_response(body, status=self.status, headers=headers)


@dataclass
class Stall(Some):
    """The request waits until its sender gives it up; the API server never sees it."""

    async def instead(self, call: Call) -> web.Response | None:
        if self.strikes(call):
            await asyncio.Event().wait()
        return None


@dataclass
class LoseAnswer(Some):
    """What was asked is done, and the connection cut before the answer."""

    async def answered(self, call: Call, body: bytes) -> bytes:
        if self.strikes(call):
            raise Cut
        return body


@dataclass
class OldList(Some):
    """A list shows the world as it was when it was first asked for under the fault."""

    verbs: frozenset[str] = LISTS
    kept: dict[str, bytes] = field(default_factory=dict, init=False)

    async def answered(self, call: Call, body: bytes) -> bytes:
        if call.verb not in self.verbs or call.path not in self.kept:
            if call.verb in self.verbs:
                self.kept[call.path] = body
            return body
        old = self.kept[call.path]
        if json.loads(old)["items"] != json.loads(body)["items"] and self.strikes(call):
            return old
        return body


@dataclass
class CutWatch(Some):
    """A watch is cut at an event, which is lost with it."""

    verbs: frozenset[str] = WATCHES

    async def event(self, call: Call, line: bytes) -> bytes | None:
        if self.strikes(call):
            raise Cut
        return line


@dataclass
class LoseEvents(Some):
    """An event does not come; what comes after it does, unless it is lost as well: with `every` 1 the watch is stalled."""

    verbs: frozenset[str] = WATCHES

    async def event(self, call: Call, line: bytes) -> bytes | None:
        return None if self.strikes(call) else line


@dataclass
class SilentWatches(Fault):
    """Watches that were open before it stay open and bring nothing more; those that are opened under it are sound."""

    before: int
    """Number of the last call before it."""

    async def event(self, call: Call, line: bytes) -> bytes | None:
        if call.number > self.before:
            return line
        self.hits += 1
        return None


@dataclass
class ErrorEvent(Some):
    """Instead of an event a watch brings an error: 410 says that its resourceVersion is too old."""

    verbs: frozenset[str] = WATCHES
    status: int = 410
    reason: str = "Expired"

    async def event(self, call: Call, line: bytes) -> bytes | None:
        if not self.strikes(call):
            return line
        return event_line("ERROR", status_object(self.status, self.reason, f"the fault proxy says {self.status}"))
