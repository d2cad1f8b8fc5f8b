"""The operator's own HTTP door: /healthz, /readyz, /metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prometheus_client import CollectorRegistry

logger = logging.getLogger(__name__)

STUCK_SECONDS = 150.0
"""A visit is given up after 120 s; one that is still in hand later will not end by itself."""


async def serve(port: int, registry: CollectorRegistry, alive: Callable[[], str], ready: Callable[[], str]) -> web.AppRunner:
    """Listen; `alive` and `ready` say what is wrong, or nothing.

    Raises:
        OSError: the port is taken.
    """

    def probe(wrong: Callable[[], str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(_: web.Request) -> web.StreamResponse:
            problem = wrong()
            return web.Response(status=503 if problem else 200, text=f"{problem or 'ok'}\n")

        return answer

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", probe(alive))
    app.router.add_get("/readyz", probe(ready))
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    # All addresses of both families would mean two free ports.
    await web.TCPSite(runner, None if port else "127.0.0.1", port).start()
    logger.info("listening on port %d", runner.addresses[0][1])
    return runner
