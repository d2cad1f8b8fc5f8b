"""The agent's HTTP: read-only pages on the pod's IP for the kubelet, the operator and Prometheus; /drain on loopback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from aiohttp import web

from fairlead_agent import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead_agent.config import Bind
    from fairlead_agent.readiness import Health

BACKLOG: Final = 128
"""Connections that wait to be taken, as aiohttp's own sites have it."""


class Pages:
    """What the pages are made of: functions, called at each request and never blocking."""

    def __init__(
        self,
        health: Callable[[], Health],
        status: Callable[[], bytes],
        metrics_page: Callable[[], bytes],
        start_drain: Callable[[], None],
    ) -> None:
        self._health = health
        self._status = status
        self._metrics = metrics_page
        self._start_drain = start_drain

    def read_only(self) -> web.Application:
        """For the pod's IP. None of these changes anything."""
        app = web.Application()
        app.router.add_get("/startupz", self._startupz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/status", self._show_status)
        app.router.add_get("/metrics", self._show_metrics)
        return app

    def loopback(self) -> web.Application:
        """For 127.0.0.1 only: what changes state."""
        app = web.Application()
        app.router.add_post("/drain", self._drain)
        return app

    async def _startupz(self, _: web.Request) -> web.Response:
        health = self._health()
        return _probe(health, ok=health.started)

    async def _readyz(self, _: web.Request) -> web.Response:
        health = self._health()
        return _probe(health, ok=health.ready)

    async def _livez(self, _: web.Request) -> web.Response:
        health = self._health()
        return _probe(health, ok=health.live)

    async def _show_status(self, _: web.Request) -> web.Response:
        return web.Response(body=self._status(), content_type="application/json")

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def _drain(self, _: web.Request) -> web.Response:
        self._start_drain()
        return web.Response(status=202, text="draining\n")


def _probe(health: Health, *, ok: bool) -> web.Response:
    """The text is what the kubelet puts into its event."""
    return web.Response(status=200 if ok else 503, text=f"{health.problem.reason}: {health.problem.message}\n")


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens; on `::` it takes IPv4 as well, and where the kernel has no IPv6 it takes IPv4 alone.

    Raises:
        OSError: the address cannot be bound.
    """
    if host == "::":
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server((host if both else "", port), family=family, dualstack_ipv6=both, backlog=BACKLOG)
    return socket.create_server((host, port), backlog=BACKLOG)


class Server:
    """Both listeners, as an async context.

    Raises:
        OSError: an address cannot be bound.
    """

    def __init__(self, pages: Pages, bind: Bind) -> None:
        self._sites = ((pages.read_only(), bind.host, bind.port), (pages.loopback(), bind.drain_host, bind.drain_port))
        self._runners: list[web.AppRunner] = []

    async def __aenter__(self) -> None:
        for app, host, port in self._sites:
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            self._runners.append(runner)
            await runner.setup()
            await web.SockSite(runner, listener(host, port)).start()

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners:
            await runner.cleanup()
