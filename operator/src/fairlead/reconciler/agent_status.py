"""What an agent says about its replica: GET http://POD_IP:8002/status, a small JSON object, read and never trusted.

The answer comes out of a tenant's pod. It is bounded in size and time, follows no redirect, and only fills words of a
condition of that tenant's own object.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp

from fairlead.api.conditions import OF_DOWNLOADS, Reason
from fairlead.reconciler.words import bounded
from fairlead.resources.engine_flags.validate import Problem
from fairlead.resources.names import AGENT_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_SECONDS = 2.0
"""An agent answers from memory, in about a millisecond; who needs longer is as good as silent."""
MAX_BYTES = 4096
"""The agent's answer has at most 300 bytes, and while it downloads a model twice that; what is longer is not an agent's."""
AT_A_TIME = 8
"""Agents asked at once for one ModelDeployment: 100 silent ones then hold a worker for 25 s, not for 200."""

_TOLD_BY_AGENTS = {
    reason.value: reason
    for reason in (
        Reason.MODEL_PATH_NOT_FOUND,
        Reason.GPU_MEMORY_INSUFFICIENT,
        Reason.GPU_NOT_FOUND,
        Reason.NVML_UNAVAILABLE,
        Reason.NVML_HUNG,
        Reason.ECC_UNCORRECTED,
        Reason.XID_FATAL,
        Reason.GPU_MEMORY_BELOW_FLOOR,
        Reason.ENGINE_ALLOCATION_MISSING,
        Reason.ENGINE_STARTING,
        Reason.WARMUP_RUNNING,
        Reason.WARMUP_FAILED,
        Reason.ENGINE_UNREACHABLE,
        Reason.ENGINE_STALLED,
        Reason.ENGINE_EXITED,
        Reason.STARTUP_DEADLINE_EXCEEDED,
        Reason.DRAINING,
        Reason.READY,
        *OF_DOWNLOADS,
    )
}


def read(answer: bytes) -> Problem:
    """What an answer says. A reason that is not an agent's is told as ReplicasUnavailable, with the word in the message."""
    try:
        said: Any = json.loads(answer)
    except (ValueError, RecursionError):
        return Problem(Reason.AGENT_UNREACHABLE, "what answers on the agent's port does not speak its language")
    if not isinstance(said, dict) or not isinstance(said.get("reason"), str):
        return Problem(Reason.AGENT_UNREACHABLE, "what answers on the agent's port does not speak its language")
    message = bounded(said["message"]) if isinstance(said.get("message"), str) else ""
    known = _TOLD_BY_AGENTS.get(said["reason"])
    if known is None:
        return Problem(Reason.REPLICAS_UNAVAILABLE, f"the agent says {bounded(said['reason'], 64)}: {message}")
    return Problem(known, message)


class Agents:
    """Asks agents, several at once."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Take a session without credentials: nothing of the operator's goes into a pod."""
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)

    async def ask(self, addresses: Iterable[tuple[str, str]]) -> dict[str, Problem]:
        """What the agent of each pod says, by pod name; takes pairs of pod name and IP."""
        limit = asyncio.Semaphore(AT_A_TIME)

        async def one(ip: str) -> Problem:
            async with limit:
                return await self._ask(ip)

        pairs = list(addresses)
        answers = await asyncio.gather(*(one(ip) for _, ip in pairs))
        return {name: answer for (name, _), answer in zip(pairs, answers, strict=True)}

    async def _ask(self, ip: str) -> Problem:
        host = f"[{ip}]" if ":" in ip else ip
        try:
            async with self._session.get(
                f"http://{host}:{AGENT_PORT}/status", timeout=self._timeout, allow_redirects=False
            ) as response:
                return read(await response.content.read(MAX_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Problem(Reason.AGENT_UNREACHABLE, f"the agent does not answer the operator ({type(error).__name__})")
