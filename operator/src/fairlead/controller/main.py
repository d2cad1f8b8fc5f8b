"""The operator process: kopf watches, the queue's workers reconcile, SIGTERM lets them finish what they have in hand."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import kopf
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.dynamic import DynamicClient

from fairlead.controller import handlers, health, login, logs
from fairlead.controller.metrics import Metrics
from fairlead.controller.resync import Resync
from fairlead.controller.settings import Settings, SettingsError
from fairlead.controller.workqueue import WorkQueue
from fairlead.reconciler.agent_status import Agents
from fairlead.reconciler.children import Children
from fairlead.reconciler.client import ApiError, Client
from fairlead.reconciler.reconcile import Reconciler
from fairlead.reconciler.status_writer import StatusWriter
from fairlead.reconciler.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubernetes.aio.client.configuration import Configuration

    from fairlead.reconciler.kinds import Key

logger = logging.getLogger(__name__)

VISIT_SECONDS = 120.0
"""Longest a visit may take. 100 silent agents cost 25 s, and each call to the API server is bounded by itself."""
GRACE_SECONDS = 20.0
"""How long the visits in hand may go on after SIGTERM; the chart gives the pod 30 s."""
USER_ERROR = 2
"""Exit status for settings or credentials that cannot be used."""


class Operator:
    """The parts, wired together."""

    def __init__(self, settings: Settings, configuration: Configuration, api: ApiClient, session: aiohttp.ClientSession) -> None:
        """Take the settings, the credentials, the library's client and a session without credentials."""
        clock = time.monotonic
        self._settings = settings
        self._configuration = configuration
        self.queue: WorkQueue[Key] = WorkQueue(self._visit, workers=settings.workers, clock=clock)
        self._clock = clock
        self.metrics = Metrics(self.queue.schedule, clock)
        self.store = Store()
        client = Client(DynamicClient(api), wrote=self.metrics.wrote)  # type: ignore[no-untyped-call]
        writer = StatusWriter(client, self.store, instance=socket.gethostname(), clock=clock)
        self._reconciler = Reconciler(self.store, Children(client, self.store), Agents(session), writer, settings.context)
        self.resync = Resync(
            client,
            self.store,
            self.queue.add,
            namespaces=settings.namespaces,
            seconds=settings.resync_seconds,
            roll=random.random,
        )
        self._watching: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event) -> int:
        """Work until `stop` is set; returns the exit status."""
        runner = await health.serve(self._settings.listen_port, self.metrics.registry, self.alive, lambda: self.ready(stop))
        workers = asyncio.create_task(self._work(), name="workers")
        resync = asyncio.create_task(self.resync.run(), name="resync")
        stopping = asyncio.create_task(stop.wait(), name="waiting for the signal")
        # kopf cancels at its end every task that did not exist at its start: all of ours exist by now.
        ours = asyncio.all_tasks()
        unwatch = asyncio.Event()
        self._watching = asyncio.create_task(self._watch(unwatch, stop, ours), name="watching")
        try:
            await asyncio.wait({self._watching, workers, resync, stopping}, return_when=asyncio.FIRST_COMPLETED)
            asked = stop.is_set()
            self.queue.stop()
            _, late = await asyncio.wait({workers}, timeout=GRACE_SECONDS)
            if late:
                logger.warning("visits in hand did not finish within %.0f s", GRACE_SECONDS)
            unwatch.set()
            for task in (workers, resync, stopping):
                task.cancel()
            results = await asyncio.gather(self._watching, workers, resync, stopping, return_exceptions=True)
        finally:
            await runner.cleanup()
        for failure in results:
            if isinstance(failure, Exception):
                logger.error("ended by an error", exc_info=failure)
        if asked:
            logger.info("stopped, nothing in hand")
            return 0
        return 1

    def alive(self) -> str:
        """What is wrong in a way that only a restart mends; empty: nothing."""
        if self._watching is not None and self._watching.done():
            return "the watches have ended"
        running = self.queue.schedule.longest_running(self._clock())
        return f"a visit has not come back for {running:.0f} s" if running > health.STUCK_SECONDS else ""

    def ready(self, stop: asyncio.Event) -> str:
        """Why the operator does not work yet or no more; empty: it does."""
        if stop.is_set():
            return "stopping"
        return "" if self.resync.synced.is_set() else "the first list of all objects is not complete"

    async def _work(self) -> None:
        await self.resync.synced.wait()
        await self.queue.run()

    async def _watch(self, unwatch: asyncio.Event, stop: asyncio.Event, ours: set[asyncio.Task[object]]) -> None:
        """Run kopf until `unwatch` is set."""
        registry = handlers.registry(self.store, self.queue.add, self.metrics)
        login.register(registry, self._configuration)
        me = asyncio.current_task()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=handlers.settings(self._settings.namespaces),
            standalone=True,
            clusterwide=not self._settings.namespaces,
            namespaces=self._settings.namespaces,
            stop_flag=unwatch,
        )
        # kopf has taken the signals for itself; it must be the last to stop, not the first.
        take_signals(stop)
        await kopf.run_tasks(tasks, ignored=ours | ({me} if me else set()))

    async def _visit(self, key: Key) -> float | None:
        logs.key_in_hand.set(str(key))
        try:
            with self.metrics.seconds.time():
                async with asyncio.timeout(VISIT_SECONDS):
                    again = await self._reconciler.visit(key)
        except (ApiError, TimeoutError):
            self.metrics.visits.labels("retry").inc()
            raise
        except Exception:
            # Not foreseen: the only case in which the log needs to show where.
            self.metrics.visits.labels("error").inc()
            logger.exception("this should not happen, please report it")
            raise
        finally:
            logs.key_in_hand.set("")
        self.metrics.visits.labels("ok").inc()
        return again


def take_signals(stop: asyncio.Event) -> None:
    """Have SIGTERM and SIGINT set `stop`."""
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)


async def operate(settings: Settings) -> int:
    """Run the operator; returns its exit status.

    Raises:
        login.LoginError: no credentials.
        OSError: the port is taken.
    """
    stop = asyncio.Event()
    take_signals(stop)
    configuration = await login.configuration()
    async with ApiClient(configuration) as api, aiohttp.ClientSession() as session:
        api.user_agent = f"fairlead-operator/{os.environ.get('FAIRLEAD_VERSION', 'dev')}"
        return await Operator(settings, configuration, api, session).run(stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fairlead.controller", description="The Fairlead operator.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings, as the chart writes them (JSON)")
    options = parser.parse_args(arguments)
    try:
        settings = Settings.load(options.config)
        logs.configure(settings.log_level)
        return asyncio.run(operate(settings))
    except (SettingsError, login.LoginError) as error:
        sys.stderr.write(f"fairlead: {error}\n")
    except OSError as error:
        sys.stderr.write(f"fairlead: cannot listen or connect: {error}\n")
    return USER_ERROR
