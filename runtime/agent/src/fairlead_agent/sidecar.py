"""Envoy's loopback admin: what is in flight, what flows, and that it shall tell clients to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead_agent.http_client import Unanswered

if TYPE_CHECKING:
    from fairlead_agent.http_client import Http

#: Statistics by the names in the operator's Envoy bootstrap: HTTP connection manager `ingress_http`, cluster `engine`.
ACTIVE_REQUESTS = "http.ingress_http.downstream_rq_active"
UNSENT_BYTES = "http.ingress_http.downstream_cx_tx_bytes_buffered"
BYTES_FROM_ENGINE = "cluster.engine.upstream_cx_rx_bytes_total"
#: An answer of vLLM to our own GET /health through the sidecar has about 120 bytes; twice that is not taken for tokens.
PROBE_BYTES = 256


class SidecarAdmin:
    """Raises Unanswered from every method when Envoy does not answer as it should."""

    def __init__(self, http: Http, admin_url: str, timeout_seconds: float) -> None:
        self._http = http
        self._url = admin_url
        self._timeout = timeout_seconds

    async def fail_health_check(self) -> None:
        """From now on Envoy closes HTTP/1 connections after their answer and sends GOAWAY on HTTP/2; it still takes requests."""
        await self._tell("/healthcheck/fail")

    async def pass_health_check(self) -> None:
        """Takes fail_health_check back: the sidecar outlives an engine container that was told to end and was started again."""
        await self._tell("/healthcheck/ok")

    async def active_requests(self) -> int:
        """Requests of clients that are in flight."""
        return await self._stat(ACTIVE_REQUESTS)

    async def unsent_bytes(self) -> int:
        """Bytes of answers that wait in the sidecar for clients which read slowly; their requests count as ended already."""
        return await self._stat(UNSENT_BYTES)

    async def bytes_from_engine(self) -> int:
        """All bytes that the engine has answered so far."""
        return await self._stat(BYTES_FROM_ENGINE)

    async def _tell(self, path: str) -> None:
        answer = await self._http.post(f"{self._url}{path}", None, self._timeout)
        if answer.status != 200:  # noqa: PLR2004
            raise Unanswered(f"{path}: HTTP {answer.status}", timed_out=False)

    async def _stat(self, name: str) -> int:
        pattern = name.replace(".", "%5C.")
        answer = await self._http.get(f"{self._url}/stats?filter=%5E{pattern}$", self._timeout)
        for line in answer.text.splitlines():
            key, _, value = line.partition(": ")
            if key == name and value.isdecimal():
                return int(value)
        raise Unanswered(f"no {name} in HTTP {answer.status} of the sidecar's admin", timed_out=False)


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the engine's bytes stood when they last proved tokens; and how many own probes had been answered by then."""

    total: int
    probes: int


def flows(mark: Flow | None, total: int, probes: int) -> tuple[Flow, bool]:
    """Whether more came from the engine since the mark than our own probes explain; and the new mark."""
    if mark is None or total < mark.total:  # first reading, or a restarted sidecar
        return Flow(total, probes), False
    if total - mark.total > PROBE_BYTES * (probes - mark.probes):
        return Flow(total, probes), True
    return mark, False
