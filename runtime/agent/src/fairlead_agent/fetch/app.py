"""The container that downloads: /status for the operator while it runs, and in its termination message what it has got."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from aiohttp import web

from fairlead_agent import termination
from fairlead_agent.fetch.config import load
from fairlead_agent.fetch.course import Course, Snapshot
from fairlead_agent.fetch.process import Machine
from fairlead_agent.reasons import Phase
from fairlead_agent.section import ConfigError
from fairlead_agent.server import listener

if TYPE_CHECKING:
    from pathlib import Path

    from fairlead_agent.fetch.config import FetchConfig
    from fairlead_agent.reasons import Problem

ENDED = 128 + signal.SIGTERM
"""Told to end before it was done: not 0, with which the kubelet would start the engine."""
MOST_MESSAGE = 400
"""Characters of a message, as many as the operator reads."""
_WRONG_USE = 2
_FAULT = 1

logger = logging.getLogger(__name__)


def run(config_path: Path, termination_log: Path) -> NoReturn:
    """Runs the download to its end and the process with it."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s fairlead-fetch %(levelname)s %(message)s", force=True
    )
    try:
        snapshot = asyncio.run(_run(load(config_path)))
    except ConfigError as error:
        _leave(_WRONG_USE, f"wrong configuration: {error}", termination_log)
    except OSError as error:
        _leave(_FAULT, f"cannot listen: {error}", termination_log)
    except asyncio.CancelledError:
        _leave(ENDED, "told to end before the model was there", termination_log)
    _leave(0, json.dumps({"commit": snapshot.commit, "bytes": snapshot.size}), termination_log)


async def _run(config: FetchConfig) -> Snapshot:
    course = Course(config, Machine(config))
    downloading = asyncio.create_task(course.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, downloading.cancel)

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=status(course.problem, course.commit), content_type="application/json")

    app = web.Application()
    app.router.add_get("/status", show)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener(config.host, config.port)).start()
        return await downloading
    finally:
        await runner.cleanup()


def status(problem: Problem, commit: str) -> bytes:
    """The JSON of /status."""
    said = {
        "phase": Phase.DOWNLOADING,
        "reason": problem.reason,
        "message": " ".join(problem.message.split())[:MOST_MESSAGE],
        "revision": commit,
    }
    return json.dumps(said, separators=(",", ":")).encode()


def _leave(code: int, why: str, termination_log: Path) -> NoReturn:
    logger.log(logging.ERROR if code else logging.INFO, "%s (exit code %d)", why, code)
    termination.write(termination_log, why)
    sys.exit(code)
