"""Which of several operators works: the one that holds the Lease, and only for as long as no other can have taken it.

The leader renews the Lease every RETRY_SECONDS. What it writes must be over WRITE_SECONDS after it *sent* the last renewal that
was confirmed; others take the Lease LEASE_SECONDS after they *saw* the last one. Both count on a monotonic clock of their
own, so that no two clocks are compared, and a process that was stopped finds its time used up when it goes on. The 5 s between
the two are for what the API server still does with a request that its sender has given up.

`observe` and `decide` are the rules; `Elector` reads, writes and waits.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.reconciler.client import ApiError
from fairlead.reconciler.kinds import LEASE, Manifest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from fairlead.reconciler.client import Client

logger = logging.getLogger(__name__)

# 15, 10 and 2 s are the defaults of client-go's leaderelection.go and so of most controllers.
LEASE_SECONDS = 15.0
"""How long others wait after the last renewal that they saw."""
WRITE_SECONDS = 10.0
"""How long the leader may write after it sent its last renewal."""
CANCEL_SECONDS = 8.0
"""When the leader cancels its workers, after the same moment: 2 s are left for them to end."""
RETRY_SECONDS = 2.0
"""Between two renewals, and between two looks of those that stand by."""
REQUEST_SECONDS = 2.0
"""Longest that one request about the Lease may take: three fit between a renewal and CANCEL_SECONDS."""

_NOT_FOUND = 404
_CONFLICT = 409


@dataclass(frozen=True)
class Sight:
    """The Lease as it was last seen to change."""

    holder: str
    """Empty: nobody's."""
    spec: Mapping[str, Any]
    since: float
    """When it was first seen like this, in seconds of this process's monotonic clock."""


@dataclass(frozen=True)
class Decision:
    """Whether to take the Lease now; if not, after how many seconds to look again."""

    take: bool
    wait: float
    reason: str


def observe(before: Sight | None, spec: Mapping[str, Any] | None, now: float) -> Sight:
    """What is known after a look that found this spec (None: no Lease).

    A Lease that was removed or emptied under its holder is still its holder's: that one knows nothing of it yet and writes on.
    Given up is one that names nobody and says when.
    """
    spec = spec or {}
    if before is not None and before.spec == spec:
        return before
    holder = spec.get("holderIdentity") or ""
    if not holder and before is not None and "renewTime" not in spec:
        holder = before.holder
    return Sight(holder, spec, now)


def decide(seen: Sight, me: str, now: float) -> Decision:
    """Whether one that does not lead may take the Lease."""
    if not seen.holder:
        return Decision(take=True, wait=0.0, reason="nobody holds it")
    if seen.holder == me:
        # A renewal whose answer was lost; the workers of that time have ended.
        return Decision(take=True, wait=0.0, reason="it still names this one")
    # The holder's own word counts where it is another version that promises something else.
    lasts = float(seen.spec.get("leaseDurationSeconds") or LEASE_SECONDS)
    silent = now - seen.since
    if silent < lasts:
        return Decision(take=False, wait=min(RETRY_SECONDS, lasts - silent), reason=f"{seen.holder} leads")
    return Decision(take=True, wait=0.0, reason=f"{seen.holder} has not renewed it for {silent:.1f} s")


def taken(spec: Mapping[str, Any], me: str, now: str) -> dict[str, Any]:
    """The spec by which it becomes this one's."""
    transitions = int(spec.get("leaseTransitions") or 0) + (spec.get("holderIdentity") != me)
    ours = {"holderIdentity": me, "leaseDurationSeconds": int(LEASE_SECONDS), "leaseTransitions": transitions}
    return {**spec, **ours, "acquireTime": now, "renewTime": now}


def released(spec: Mapping[str, Any], now: str) -> dict[str, Any]:
    """The spec by which it becomes nobody's; the API server wants a duration above 0."""
    kept = {name: value for name, value in spec.items() if name != "holderIdentity"}
    return {**kept, "leaseDurationSeconds": 1, "renewTime": now}


class Lost(Exception):  # noqa: N818 - not an error: another one leads
    """The Lease is another's, or cannot be renewed in time; the message says which."""


class Elector:
    """Takes the Lease, has the work done while it is held, and gives it back."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        *,
        me: str,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """Take a client for the Lease alone, of REQUEST_SECONDS and a single attempt; and a name that no other process has.

        `clock` is the event loop's own clock, `now` the wall clock for the Lease's timestamps, which nothing is decided on.
        """
        self._client = client
        self._namespace = namespace
        self._name = name
        self._me = me
        self._clock = clock
        self._now = now
        self._seen: Sight | None = None
        self._lease: Manifest | None = None
        self._renewed = float("-inf")
        self._told = ""

    def may_write(self) -> float:
        """For how many seconds from now writes of the leader may go on; not above 0: it does not lead."""
        return self._renewed + WRITE_SECONDS - self._clock()

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have `work` done whenever this one leads, anew for each term; returns when `work` returns by itself."""
        while True:
            await self._acquire()
            term = asyncio.ensure_future(work())
            held = True
            try:
                await self._hold(term)
            except Lost as lost:
                held = False
                logger.warning("no longer leading: %s", lost)
            finally:
                self._renewed = float("-inf")
                term.cancel()
                await asyncio.wait({term})
                if held:
                    await self._release()
            if held:
                if not term.cancelled():
                    term.result()
                return

    async def _acquire(self) -> None:
        while True:
            try:
                await self._look()
                assert self._seen is not None  # noqa: S101 - for the type checker: a look has just set it
                decision = decide(self._seen, self._me, self._clock())
                if decision.take:
                    await self._write(taken(self._seen.spec, self._me, self._timestamp()))
                    logger.info("leading: %s", decision.reason)
                    self._told = ""
                    return
                self._tell(f"standing by: {decision.reason}")
                pause = decision.wait
            except ApiError as error:
                if error.status != _CONFLICT:  # another one was quicker
                    self._tell(f"standing by, the Lease is out of reach: {error}")
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _hold(self, term: asyncio.Future[None]) -> None:
        """Renew until the work ends by itself; raises Lost, in time for the work to be cancelled."""
        following = self._clock()
        while True:
            following = max(following + RETRY_SECONDS, self._clock())
            give_up = self._renewed + CANCEL_SECONDS
            await asyncio.wait({term}, timeout=max(0.0, min(following, give_up) - self._clock()))
            if term.done():
                return
            if self._clock() >= give_up:
                raise Lost(f"the Lease was not renewed for {self._clock() - self._renewed:.1f} s")
            try:
                async with asyncio.timeout(give_up - self._clock()):
                    await self._renew()
            except ApiError as error:
                logger.warning("the Lease is not renewed: %s", error)
            except TimeoutError:
                continue  # and be told above

    async def _renew(self) -> None:
        """Raises ApiError where it may work the next time, and Lost where it is another's."""
        assert self._lease is not None  # noqa: S101 - for the type checker: it was taken
        try:
            await self._write({**self._lease["spec"], "renewTime": self._timestamp()})
        except ApiError as error:
            if error.status not in (_NOT_FOUND, _CONFLICT):
                raise
            # Somebody wrote to it or removed it, or a renewal went through although its answer was lost.
            await self._look()
            assert self._seen is not None  # noqa: S101 - for the type checker: a look has just set it
            if self._seen.holder != self._me:
                raise Lost(f"{self._seen.holder or 'nobody'} holds the Lease") from None
            await self._write(taken(self._seen.spec, self._me, self._timestamp()))

    async def _release(self) -> None:
        """Give it back, so that another need not wait. That it cannot be given back costs LEASE_SECONDS and nothing else."""
        assert self._lease is not None  # noqa: S101 - for the type checker: it was taken
        try:
            await self._client.replace({**self._lease, "spec": released(self._lease["spec"], self._timestamp())})
        except ApiError as error:
            logger.warning("the Lease is not given back: %s", error)
        else:
            logger.info("gave the Lease back")

    async def _look(self) -> None:
        """Raises ApiError."""
        self._lease = await self._client.get(LEASE, self._namespace, self._name)
        self._seen = observe(self._seen, (self._lease or {}).get("spec"), self._clock())

    async def _write(self, spec: Mapping[str, Any]) -> None:
        """Make or replace the Lease, if it is still as it was last read; holding it counts from before that. Raises ApiError."""
        began = self._clock()
        if self._lease is None:
            meta = {"namespace": self._namespace, "name": self._name}
            made = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": meta, "spec": spec}
            self._lease = await self._client.create(made)
        else:
            self._lease = await self._client.replace({**self._lease, "spec": spec})
        self._renewed = began
        self._seen = observe(self._seen, self._lease["spec"], self._clock())

    def _timestamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _tell(self, message: str) -> None:
        """Log it unless it was the last thing told: those that stand by look every 2 s."""
        if message != self._told:
            logger.info("%s", message)
            self._told = message
