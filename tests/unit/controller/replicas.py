"""Operators that share a Lease, in virtual time: what the tests of the elector are told with."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fairlead.controller.elector import REQUEST_SECONDS, Elector
from fairlead.reconciler.client import ApiError
from tests.unit.virtual_time import run

Object = dict[str, Any]


@dataclass
class Shared:
    """The Lease in the API server, with all that is done to it."""

    lease: Object | None = None
    version: int = 0
    writers: list[tuple[float, str]] = field(default_factory=list)
    """When who wrote something that only the leader may write."""

    def store(self, lease: Object) -> Object:
        self.version += 1
        self.lease = copy.deepcopy(lease)
        self.lease["metadata"] = {**lease["metadata"], "resourceVersion": str(self.version)}
        return copy.deepcopy(self.lease)

    @property
    def holder(self) -> str:
        return str(((self.lease or {}).get("spec") or {}).get("holderIdentity", ""))


class Door:
    """A client of the shared Lease; `fault` is what befalls each request before it arrives, `after` before its answer does."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.fault: Callable[[], Awaitable[None]] | None = None
        self.after: Callable[[], Awaitable[None]] | None = None

    async def get(self, *_: object) -> Object | None:
        await self._pass(self.fault)
        answer = copy.deepcopy(self.shared.lease)
        await self._pass(self.after)
        return answer

    async def create(self, lease: Object) -> Object:
        await self._pass(self.fault)
        if self.shared.lease is not None:
            raise ApiError("making", 409, "AlreadyExists", "there is one")
        answer = self.shared.store(lease)
        await self._pass(self.after)
        return answer

    async def replace(self, lease: Object) -> Object:
        await self._pass(self.fault)
        if self.shared.lease is None:
            raise ApiError("updating", 404, "NotFound", "there is none")
        if self.shared.lease["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            raise ApiError("updating", 409, "Conflict", "it has changed")
        answer = self.shared.store(lease)
        await self._pass(self.after)
        return answer

    async def _pass(self, fault: Callable[[], Awaitable[None]] | None) -> None:
        await asyncio.sleep(0.01)
        if fault is not None:
            await fault()


async def refused() -> None:
    raise ApiError("x", 0, "NoAnswer", "connection refused")


async def black_hole() -> None:
    """As the client has it: its own time-out makes it an error."""
    await asyncio.sleep(REQUEST_SECONDS)
    raise ApiError("x", 0, "NoAnswer", "the API server did not answer")


class Replica:
    """An operator that writes ten times a second while it leads, as far as it may."""

    def __init__(self, shared: Shared, name: str) -> None:
        self.shared = shared
        self.name = name
        self.door = Door(shared)
        self.loop = asyncio.get_running_loop()
        self.stopping = False
        self.terms = 0
        self.elector = Elector(
            self.door,  # type: ignore[arg-type]
            "system",
            "operator",
            me=name,
            clock=self.loop.time,
            now=lambda: datetime.fromtimestamp(self.loop.time(), UTC),
        )
        self.task = asyncio.create_task(self.elector.run(self.work))

    async def work(self) -> None:
        self.terms += 1
        while not self.stopping:
            if self.elector.may_write() > 0:
                self.shared.writers.append((self.loop.time(), self.name))
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        self.stopping = True
        await self.task

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


def one_after_another(shared: Shared) -> list[str]:
    """Who wrote, in turns; that two wrote in the same time shows as more turns."""
    turns: list[str] = []
    for _, name in sorted(shared.writers):
        if not turns or turns[-1] != name:
            turns.append(name)
    return turns


def leads(replica: Replica) -> bool:
    return replica.elector.may_write() > 0


def story(told: Callable[[Replica, Replica], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test of two replicas of which `a` leads and `b` stands by; both end with it."""

    def test() -> None:
        async def both() -> None:
            shared = Shared()
            a = Replica(shared, "a")
            await asyncio.sleep(1)
            b = Replica(shared, "b")
            await asyncio.sleep(30)
            assert (shared.holder, leads(a), leads(b)) == ("a", True, False)
            await told(a, b)
            for each in (a, b):
                await each.kill()

        run(both())

    test.__name__ = told.__name__
    test.__doc__ = told.__doc__
    return test
