"""The end of a replica: no stream is cut, and it ends nevertheless."""

from __future__ import annotations

import asyncio
import logging
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
#: Looks in a row without an answer, after which the sidecar is taken for gone: what it carried went with it.
_LOST_LOOKS = 8

logger = logging.getLogger(__name__)


class Drained(StrEnum):
    """Why the waiting ended."""

    QUIET = "nothing is in flight"
    DEADLINE = "maxStreamSeconds are over"
    STALLED = "the engine is stalled"
    NO_SIDECAR = "the sidecar does not answer"


async def drain(sidecar: SidecarAdmin, rules: Drain, stalled: Callable[[], bool], now: Callable[[], float]) -> Drained:
    """Tells clients to go elsewhere, waits delaySeconds for endpoint lists to catch up, then until nothing is in flight.

    Requests are taken all the while. Ends early when the engine is stalled: what it holds will never end.
    """
    try:
        await sidecar.fail_health_check()
    except Unanswered as error:
        logger.warning("drain: the sidecar cannot tell clients to go: %s", error)
    accepting_until = now() + rules.delay_seconds
    while now() < accepting_until and not stalled():  # noqa: ASYNC110 # it waits for time to pass
        await asyncio.sleep(min(_LOOK_SECONDS, max(0.0, accepting_until - now())))
    deadline = now() + rules.max_stream_seconds
    quiet = lost = 0
    while quiet < _QUIET_LOOKS and lost < _LOST_LOOKS:
        if stalled():
            return Drained.STALLED
        if now() >= deadline:
            return Drained.DEADLINE
        active = await _active(sidecar)
        quiet = quiet + 1 if active == 0 else 0
        lost = lost + 1 if active is None else 0
        await asyncio.sleep(_LOOK_SECONDS)
    return Drained.QUIET if quiet else Drained.NO_SIDECAR


async def _active(sidecar: SidecarAdmin) -> int | None:
    """Requests in flight; None if the sidecar does not say."""
    try:
        return await sidecar.active_requests()
    except Unanswered as error:
        logger.warning("drain: %s", error)
        return None
