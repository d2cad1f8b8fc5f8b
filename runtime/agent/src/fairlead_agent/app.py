"""Wires the parts together and runs them."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from fairlead_agent import termination
from fairlead_agent.child import Children
from fairlead_agent.config import Config, load
from fairlead_agent.engines import ENGINES
from fairlead_agent.faults import FaultFile
from fairlead_agent.gpu import GpuReader, Nvml
from fairlead_agent.http_client import HttpClient
from fairlead_agent.model_folder import ModelFolder
from fairlead_agent.section import ConfigError
from fairlead_agent.server import Pages, Server
from fairlead_agent.supervisor import End, Supervisor
from fairlead_agent.unacknowledged import unacknowledged_bytes
from fairlead_agent.xid import XidWatcher

if TYPE_CHECKING:
    from pathlib import Path

_WRONG_USE = 2
_FAULT = 1

logger = logging.getLogger(__name__)


def run(config_path: Path, arguments: list[str], termination_log: Path, faults: Path) -> NoReturn:
    """Runs the agent to its end and the process with it."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s fairlead-agent %(levelname)s %(message)s", force=True
    )
    try:
        config = load(config_path)
    except ConfigError as error:
        _leave(_WRONG_USE, f"wrong configuration: {error}", (), termination_log)
    try:
        end = asyncio.run(_run(config, arguments, FaultFile(faults)))
    except OSError as error:
        _leave(_FAULT, f"cannot listen: {error}", (), termination_log)
    except Exception as error:
        logger.exception("a fault of the agent")
        _leave(_FAULT, f"a fault of the agent: {error!r}", (), termination_log)
    _leave(end.code, f"{end.problem.reason}: {end.problem.message}", end.last_lines, termination_log)


async def _run(config: Config, arguments: list[str], faults: FaultFile) -> End:
    loop = asyncio.get_running_loop()
    children = Children(loop)
    reader = GpuReader(Nvml().read, config.health.probe_timeout_seconds)
    async with HttpClient() as http:
        supervisor = Supervisor(
            config,
            (arguments, os.environ),
            http=http,
            model=ModelFolder(ENGINES[config.engine].model(arguments), config.health.probe_timeout_seconds),
            gpus=reader,
            faults=faults,
            spawner=children,
            unacknowledged=functools.partial(unacknowledged_bytes, config.sidecar_port),
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.stop)

        def on_xid(uuid: str, xid: int) -> None:
            loop.call_soon_threadsafe(supervisor.gpus.on_xid, uuid, xid)

        xids = XidWatcher(on_xid)
        pages = Pages(supervisor.health, supervisor.status, supervisor.metrics, supervisor.stop)
        async with Server(pages, config.bind):
            xids.start()
            try:
                return await supervisor.run()
            finally:
                xids.close()
                reader.close()


def _leave(code: int, why: str, last_lines: tuple[str, ...], termination_log: Path) -> NoReturn:
    """Tells why, and ends without the clean-up: a thread may be lost in NVML, and exit handlers would wait for it."""
    logger.log(logging.ERROR if code else logging.INFO, "%s (exit code %d)", why, code)
    termination.write(termination_log, why, last_lines)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
