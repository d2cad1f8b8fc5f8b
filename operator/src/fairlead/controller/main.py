"""The operator process: kopf watches, the queue's workers reconcile, SIGTERM lets them finish what they have in hand."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import random
import resource
import secrets
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import kopf
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.utils import Backoff

from fairlead.controller import handlers, health, login, logs
from fairlead.controller.autoscaling import Autoscaling
from fairlead.controller.elector import REQUEST_SECONDS, Elector
from fairlead.controller.metrics import Metrics
from fairlead.controller.resync import Resync
from fairlead.controller.settings import Settings, SettingsError, pods_have_ipv6
from fairlead.controller.term import Term
from fairlead.reconciler.agent_status import Agents
from fairlead.reconciler.children import Children
from fairlead.reconciler.client import Client
from fairlead.reconciler.reconcile import Reconciler
from fairlead.reconciler.status_writer import StatusWriter, wall_clock
from fairlead.reconciler.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubernetes.aio.client.configuration import Configuration

    from fairlead.reconciler.kinds import Key
    from fairlead.reconciler.scaling import Scaled

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0
"""How long the visits in hand may go on after SIGTERM; the chart gives the pod 30 s."""
USER_ERROR = 2
"""Exit status for settings or credentials that cannot be used."""


class Operator:
    """The parts, wired together."""

    def __init__(
        self,
        settings: Settings,
        configuration: Configuration,
        api: ApiClient,
        session: aiohttp.ClientSession,
        stop: asyncio.Event,
    ) -> None:
        """Take the settings, the credentials, the library's client, a session without credentials, and the signal to stop."""
        clock = time.monotonic
        self._settings = settings
        self._configuration = configuration
        self._stop = stop
        self._clock = clock
        self.metrics = Metrics(clock)
        self.store = Store()
        dynamic = DynamicClient(api)  # type: ignore[no-untyped-call]
        # No two processes have the same name, also where a container is started again in its pod.
        self._me = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        api.user_agent = f"fairlead-operator/{os.environ.get('FAIRLEAD_VERSION', 'dev')} ({self._me})"
        self._elector: Elector | None = None
        if settings.lease is not None:
            lease_client = Client(
                dynamic, wrote=self.metrics.wrote, seconds=REQUEST_SECONDS, attempts=Backoff(steps=1, duration=0.0, factor=1.0)
            )
            self._elector = Elector(
                lease_client, settings.operator_namespace, settings.lease, me=self._me, clock=clock, now=wall_clock
            )
        may_write = self._elector.may_write if self._elector else lambda: math.inf
        self._client = Client(dynamic, wrote=self.metrics.wrote, may_write=may_write)
        self._agents = Agents(session)
        self._autoscaling = Autoscaling(self.store, self.metrics.registry, settings.prometheus, clock)
        self._term: Term | None = None
        self.resync = Resync(
            self._client,
            self.store,
            self._enqueue,
            namespaces=settings.namespaces,
            seconds=settings.resync_seconds,
            roll=random.random,
        )
        self._watching: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Work until told to stop; returns the exit status."""
        runner = await health.serve(self._settings.listen_port, self.metrics.registry, self.alive, self.ready)
        leading = asyncio.create_task(self._lead(), name="leading")
        resync = asyncio.create_task(self.resync.run(), name="resync")
        stopping = asyncio.create_task(self._stop.wait(), name="waiting for the signal")
        # kopf cancels at its end every task that did not exist at its start: all of ours exist by now.
        ours = asyncio.all_tasks()
        unwatch = asyncio.Event()
        self._watching = asyncio.create_task(self._watch(unwatch, ours), name="watching")
        try:
            await asyncio.wait({self._watching, leading, resync, stopping}, return_when=asyncio.FIRST_COMPLETED)
            asked = self._stop.is_set()
            if self._term is not None:
                self._term.queue.stop()
                _, late = await asyncio.wait({leading}, timeout=GRACE_SECONDS)
                if late:
                    logger.warning("visits in hand did not finish within %.0f s", GRACE_SECONDS)
            # One that stands by has nothing in hand; what is late is cut, and then the Lease is given back.
            leading.cancel()
            await asyncio.wait({leading})
            unwatch.set()
            for task in (resync, stopping):
                task.cancel()
            results = await asyncio.gather(self._watching, leading, resync, stopping, return_exceptions=True)
        finally:
            await runner.cleanup()
        watching, *others = results
        if isinstance(watching, Exception):
            # kopf gives up on any error in a watch but 410, an etcd that restarts for one. The Lease is given back by now.
            logger.error("the watches have ended, and this process with them: %s", watching)
        for failure in others:
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
        running = self._term.queue.schedule.longest_running(self._clock()) if self._term else 0.0
        return f"a visit has not come back for {running:.0f} s" if running > health.STUCK_SECONDS else ""

    def ready(self) -> str:
        """Why the operator does not work yet or no more; empty: it works, or could at once if the leader were gone."""
        if self._stop.is_set():
            return "stopping"
        return "" if self.resync.synced.is_set() else "the first list of all objects is not complete"

    def _enqueue(self, key: Key) -> None:
        """One that stands by keeps its store, and visits nothing."""
        if self._term is not None:
            self._term.queue.add(key)

    async def _lead(self) -> None:
        """Stand by with a full store, and work as often as this operator is the leader."""
        await self.resync.synced.wait()
        if self._elector is None:
            await self._work()
        else:
            await self._elector.run(self._work)

    async def _work(self) -> None:
        """One term: visit all ModelDeployments, and then those of which there is news."""
        if self._stop.is_set():
            return
        scales: dict[Key, Scaled] = {}
        term = Term(
            Reconciler(
                self.store,
                Children(self._client, self.store),
                self._agents,
                StatusWriter(self._client, self.store, instance=self._me, clock=self._clock),
                replace(self._settings.context, ipv6=pods_have_ipv6(os.environ)),
                scales=scales,
            ),
            self.metrics,
            workers=self._settings.workers,
            clock=self._clock,
        )
        self._term = term
        self.metrics.leads(term.queue.schedule)
        try:
            # The watches were open all the while: no need to list anything again.
            for key in self.store.model_deployments():
                term.queue.add(key)
            async with asyncio.TaskGroup() as group:
                autoscaling = group.create_task(self._autoscaling.run(scales, term.queue.add), name="autoscaling")
                await term.queue.run()
                autoscaling.cancel()
        finally:
            self._term = None
            self.metrics.leads(None)

    async def _watch(self, unwatch: asyncio.Event, ours: set[asyncio.Task[object]]) -> None:
        """Run kopf until `unwatch` is set."""
        registry = handlers.registry(self.store, self._enqueue, self.metrics)
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
        take_signals(self._stop)
        await kopf.run_tasks(tasks, ignored=ours | ({me} if me else set()))


def take_signals(stop: asyncio.Event) -> None:
    """Have SIGTERM and SIGINT set `stop`."""
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)


def allow_connections() -> None:
    """As many open files as the system lets this process have: the autoscaler keeps a connection to every replica.

    Some container runtimes start programs with 1024, for those that keep lists of all files that there could be.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def operate(settings: Settings) -> int:
    """Run the operator; returns its exit status.

    Raises:
        login.LoginError: no credentials.
        OSError: the port is taken.
    """
    stop = asyncio.Event()
    take_signals(stop)
    asyncio.get_running_loop().set_exception_handler(logs.without_the_last_words_of_watches)
    allow_connections()
    configuration = await login.configuration()
    async with ApiClient(configuration) as api, aiohttp.ClientSession() as session:
        return await Operator(settings, configuration, api, session, stop).run()


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
