"""The end of a replica: no stream is cut, and it ends nevertheless."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fairlead_agent.http_client import Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead_agent.config import Drain
    from fairlead_agent.sidecar import SidecarAdmin

#: Seconds between two looks at what is in flight.
_LOOK_SECONDS = 0.25
#: Looks in a row that must see nothing in flight: one second, so that a request that came on a kept connection is seen.
_QUIET_LOOKS = 4
#: Seconds in which clients take nothing of what waits for them, after which they are taken for gone. The sidecar closes such a
#: connection after the same time (delayed_close_timeout in the operator's Envoy bootstrap).
_SILENT_SECONDS = 60
#: Looks in a row without an answer, after which the sidecar is taken for gone: what it carried went with it.
_LOST_LOOKS = 8

logger = logging.getLogger(__name__)


class Drained(StrEnum):
    """Why the waiting ended."""

    QUIET = "nothing is in flight"
    DEADLINE = "maxStreamSeconds are over"
    SILENT = "no request is in flight, and clients do not read the rest of their answers"
    STALLED = "the engine is stalled"
    NO_SIDECAR = "the sidecar does not answer"


async def drain(
    sidecar: SidecarAdmin,
    unacknowledged: Callable[[], int],
    rules: Drain,
    stalled: Callable[[], bool],
    now: Callable[[], float],
) -> Drained:
    """Tells clients to go elsewhere, waits delaySeconds for endpoint lists to catch up, then until nothing is in flight.

    In flight is a request, and also the end of an answer that waits for a client which reads slowly: in the sidecar, or, as
    `unacknowledged` counts, in the kernel. Requests are taken all the while. Ends early when the engine is stalled: what it
    holds will never end.
    """
    try:
        await sidecar.fail_health_check()
    except Unanswered as error:
        logger.warning("drain: the sidecar cannot tell clients to go: %s", error)
    accepting_until = now() + rules.delay_seconds
    while now() < accepting_until and not stalled():  # noqa: ASYNC110 # it waits for time to pass
        await asyncio.sleep(min(_LOOK_SECONDS, max(0.0, accepting_until - now())))
    deadline = now() + rules.max_stream_seconds
    silence = Silence(now())
    quiet = lost = 0
    while quiet < _QUIET_LOOKS and lost < _LOST_LOOKS:
        if stalled():
            return Drained.STALLED
        if now() >= deadline:
            return Drained.DEADLINE
        seen = await _look(sidecar, unacknowledged)
        if silence.seconds(seen, now()) >= _SILENT_SECONDS:
            return Drained.SILENT
        quiet = quiet + 1 if seen == InFlight(0, 0) else 0
        lost = lost + 1 if seen is None else 0
        await asyncio.sleep(_LOOK_SECONDS)
    return Drained.QUIET if quiet else Drained.NO_SIDECAR


@dataclass(frozen=True, slots=True)
class InFlight:
    """What clients still wait for: requests, and bytes of answers to requests that have ended."""

    requests: int
    unsent_bytes: int


class Silence:
    """For how long the bytes that wait have been the same, while no request was in flight."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._bytes: int | None = None

    def seconds(self, seen: InFlight | None, now: float) -> float:
        waiting = seen.unsent_bytes if seen is not None and seen.requests == 0 else None
        if not waiting or waiting != self._bytes:
            self._since, self._bytes = now, waiting
        return now - self._since


async def _look(sidecar: SidecarAdmin, unacknowledged: Callable[[], int]) -> InFlight | None:
    """None if the sidecar does not say."""
    try:
        # In the order in which an answer passes through: looked at the other way round, one that moves on could be missed.
        return InFlight(await sidecar.active_requests(), await sidecar.unsent_bytes() + unacknowledged())
    except Unanswered as error:
        logger.warning("drain: %s", error)
        return None
