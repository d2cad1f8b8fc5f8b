"""Watches a running engine: asks, and feeds what it hears into the pure state machines."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from fairlead_agent import progress, readiness, sidecar
from fairlead_agent.http_client import Unanswered
from fairlead_agent.warmup import WarmupError

if TYPE_CHECKING:
    from fairlead_agent.config import Config
    from fairlead_agent.engines.protocol import Engine, Sample
    from fairlead_agent.http_client import Http
    from fairlead_agent.sidecar import SidecarAdmin
    from fairlead_agent.warmup import Asker

#: Seconds between two looks. A metrics page of vLLM costs its API process about 10 ms, so this costs it half a percent.
POLL_SECONDS = 2.0
#: Seconds between two looks at whether a canary is due or has become needless; no I/O.
_TICK_SECONDS = 0.5
_OK = 200


class EngineWatch:
    """Starts with a decode that has just worked. `run` never returns; everything else may be read at any time."""

    def __init__(self, config: Config, http: Http, engine: Engine, asker: Asker, admin: SidecarAdmin) -> None:
        self._config = config
        self._http = http
        self._engine = engine
        self._asker = asker
        self._admin = admin
        self._poll = min(POLL_SECONDS, config.health.probe_timeout_seconds)
        self._loop = asyncio.get_running_loop()
        self._probes_answered = 0
        self.progress = progress.Progress(moved_at=self._loop.time())
        self.endpoint = readiness.Endpoint()
        self.sample: Sample | None = None
        #: When the sample was taken, by the event loop's clock.
        self.sampled_at = 0.0
        #: The engine's metrics page as last read.
        self.page = ""
        self.canaries: Counter[str] = Counter()
        #: Set while the replica drains: an own probe through the sidecar would count there as a request in flight.
        self.leave_sidecar_alone = False

    def verdict(self) -> progress.Verdict:
        """Whether the engine makes progress, now."""
        health = self._config.health
        return progress.verdict(
            self.progress, self._loop.time(), not_ready_after=health.not_ready_after, stall_seconds=health.stall_seconds
        )

    async def run(self) -> None:
        """Watches until cancelled."""
        async with asyncio.TaskGroup() as group:
            for loop in (self._metrics, self._canary, self._endpoint, self._flow):
                group.create_task(loop())

    async def _metrics(self) -> None:
        """A late answer is waited for: when it comes, it may still prove progress."""
        url = self._config.engine_url + self._engine.metrics_path
        while True:
            self.progress = progress.asked(self.progress, self._loop.time())
            try:
                answer = await self._http.get(url, self._config.health.stall_seconds)
            except Unanswered as error:
                self.progress = progress.unanswered(self.progress, str(error))
            else:
                if answer.status == _OK:
                    self.page = answer.text
                    self.sample, self.sampled_at = self._engine.sample(answer.text), self._loop.time()
                    self.progress = progress.read(self.progress, self._loop.time(), self.sample)
                else:
                    self.progress = progress.unanswered(self.progress, f"HTTP {answer.status}")
            if self.progress.unanswered_since is not None:
                self.page, self.sample = "", None  # what is old is not told as if it were now
            await asyncio.sleep(self._poll)

    async def _canary(self) -> None:
        health = self._config.health
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            if not progress.wants_canary(self.progress, self._loop.time(), health.idle_seconds):
                continue
            self.progress = progress.canary_sent(self.progress, self._loop.time())
            # twice as long as the engine may be stalled: when that has passed, the verdict is long out
            asking = asyncio.create_task(self._asker.ask(self._engine.canary(self._config.served_name), 2 * health.stall_seconds))
            try:
                await self._await_canary(asking)
            finally:
                asking.cancel()

    async def _await_canary(self, asking: asyncio.Task[None]) -> None:
        while not asking.done():
            await asyncio.wait([asking], timeout=_TICK_SECONDS)
            if not asking.done() and progress.drops_canary(self.progress):
                asking.cancel()
                with contextlib.suppress(asyncio.CancelledError, WarmupError):
                    await asking
                self.progress = progress.canary_dropped(self.progress)
                self.canaries["dropped"] += 1
                return
        try:
            asking.result()
        except WarmupError as error:
            self.progress = progress.canary_failed(self.progress, str(error))
            self.canaries["failed"] += 1
        else:
            self.progress = progress.canary_returned(self.progress, self._loop.time())
            self.canaries["returned"] += 1

    async def _endpoint(self) -> None:
        url = self._config.sidecar_url + self._engine.health_path
        while True:
            if not self.leave_sidecar_alone:
                await self._ask_endpoint(url)
            await asyncio.sleep(self._poll)

    async def _ask_endpoint(self, url: str) -> None:
        timeout = self._config.health.probe_timeout_seconds
        try:
            answer = await self._http.get(url, timeout)
        except Unanswered as error:
            excused = readiness.slow_is_excused(
                self.verdict(),
                metrics_slow=self._blind(),
                timed_out=error.timed_out,
            )
            self.endpoint = readiness.endpoint_missed(self.endpoint, str(error), excused=excused)
            return
        self._probes_answered += 1
        if answer.status == _OK:
            self.endpoint = readiness.endpoint_answered(self.endpoint)
        else:
            self.endpoint = readiness.endpoint_missed(self.endpoint, f"HTTP {answer.status}", excused=False)

    async def _flow(self) -> None:
        """While the engine's own counters tell nothing, its bytes through the sidecar may."""
        mark: sidecar.Flow | None = None
        while True:
            await asyncio.sleep(self._poll)
            if not self._blind():
                mark = None
                continue
            with contextlib.suppress(Unanswered):
                total = await self._admin.bytes_from_engine()
                mark, flowing = sidecar.flows(mark, total, self._probes_answered)
                if flowing:
                    self.progress = progress.moved(self.progress, self._loop.time())

    def _blind(self) -> bool:
        return progress.blind(self.progress, self._loop.time(), self._config.health.probe_timeout_seconds)
