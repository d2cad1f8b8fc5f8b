"""The agent's course: wait for the model and for GPU memory, start the engine, warm it up, watch it, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fairlead_agent import drain, metrics, readiness
from fairlead_agent.engines import ENGINES
from fairlead_agent.gpu_watch import FaultStore, Gpus, GpuWatch
from fairlead_agent.http_client import Unanswered
from fairlead_agent.reasons import Phase, Problem, Reason
from fairlead_agent.sidecar import SidecarAdmin
from fairlead_agent.status import EngineLoad, Load, render
from fairlead_agent.warmup import Asker, WarmUp
from fairlead_agent.watch import EngineWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fairlead_agent.config import Config
    from fairlead_agent.http_client import Http

#: Seconds between looks at a model that is missing, at free GPU memory, and at the health page of an engine that starts.
_MODEL_POLL_SECONDS = 3.0
_MEMORY_POLL_SECONDS = 1.0
_START_POLL_SECONDS = 0.25
#: Seconds that an engine gets to end after SIGTERM when it has never served: there is nothing to finish.
_UNSERVED_SHUTDOWN_SECONDS = 5.0
#: Seconds that Envoy's admin may take; it answers within milliseconds.
_ADMIN_SECONDS = 2.0
#: As shells tell that a program was not found or could not be run.
_CANNOT_RUN = 127

logger = logging.getLogger(__name__)


class EngineProcess(Protocol):
    """The running engine."""

    exited: asyncio.Future[int]

    def signal(self, number: signal.Signals) -> None:
        """To it and all that it started."""

    def last_lines(self) -> list[str]:
        """The end of its output."""


class ModelLook(Protocol):
    """Looks for the model."""

    async def problem(self) -> Problem | None:
        """Why the engine would not find it."""


class Spawner(Protocol):
    """Starts the engine."""

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> EngineProcess:
        """Raises OSError."""


@dataclass(frozen=True, slots=True)
class End:
    """How the container ends: its exit code, why, and the engine's last words."""

    code: int
    problem: Problem
    last_lines: tuple[str, ...] = ()


class Supervisor:
    """One engine's life. Create it inside the event loop; `run` it once; ask it for health, status and metrics at any time."""

    def __init__(
        self,
        config: Config,
        command: tuple[Sequence[str], Mapping[str, str]],
        *,
        http: Http,
        model: ModelLook,
        gpus: Gpus,
        faults: FaultStore,
        spawner: Spawner,
        unacknowledged: Callable[[], int],
    ) -> None:
        """`command`: the engine's arguments and environment. `unacknowledged`: bytes that the kernel holds for clients."""
        self._config = config
        self._arguments, self._environment = command
        self._http = http
        self._model = model
        self._spawner = spawner
        self._unacknowledged = unacknowledged
        self._engine = ENGINES[config.engine]
        self._admin = SidecarAdmin(http, config.sidecar_admin_url, _ADMIN_SECONDS)
        headers = self._engine.headers(self._arguments, self._environment)
        self._asker = Asker(http, self._engine, config.engine_url, headers)
        self._loop = asyncio.get_running_loop()
        self.gpus = GpuWatch(config, gpus, faults)
        self._watch: EngineWatch | None = None
        self._phase = Phase.WAITING_FOR_GPU_MEMORY
        self._start_problem = Problem(Reason.ENGINE_STARTING, "the GPUs have not been read yet")
        self._stop = asyncio.Event()
        self._decoded = asyncio.Event()
        self._accepting = True
        self._began = self._loop.time()
        self._spawned: float | None = None
        self._healthy: float | None = None
        self._warm: float | None = None
        self._warmup_failures = 0
        self._tokens = 0

    def stop(self) -> None:
        """Ends the replica as design and configuration have it; a second call changes nothing."""
        if not self._stop.is_set():
            logger.info("told to end")
        self._stop.set()

    def health(self) -> readiness.Health:
        """What the probes answer now."""
        past_deadline = (
            self._spawned is not None and self._loop.time() - self._spawned >= self._config.health.startup_timeout_seconds
        )
        facts = readiness.Facts(
            phase=self._phase,
            start_problem=self._start_problem,
            decoded=self._decoded.is_set(),
            past_deadline=past_deadline,
            accepting=self._accepting,
            draining=self._stop.is_set(),
            endpoint=self._watch.endpoint if self._watch else readiness.Endpoint(),
            progress=self._watch.verdict() if self._watch else None,
            gpu=self.gpus.problem,
            xid=self.gpus.xid_problem,
        )
        return readiness.combine(facts, self._config.health.failure_threshold)

    def status(self) -> bytes:
        """The JSON of /status."""
        health = self.health()
        now = self._loop.time()
        duties = [each.utilization_percent for each in self.gpus.devices if each.utilization_percent is not None]
        load = Load(self._engine_load(now), sum(duties) // len(duties) if duties else None, now - self.gpus.read_at)
        return render(health.phase, health.problem, load)

    def _engine_load(self, now: float) -> EngineLoad | None:
        watch, sample = self._watch, self._watch.sample if self._watch else None
        if watch is None or sample is None or sample.counters is None:
            return None
        self._tokens = max(self._tokens, sample.generated_tokens - self._asker.own_tokens)
        return EngineLoad(
            running=sample.running,
            waiting=sample.waiting,
            deferred=sample.deferred,
            kv_cache_percent=sample.kv_cache_percent,
            tokens=self._tokens,
            age_seconds=now - watch.sampled_at,
        )

    def metrics(self) -> bytes:
        """The page of /metrics: own families, then the engine's."""
        now = self._loop.time()
        facts = metrics.Facts(
            health=self.health(),
            devices=self.gpus.devices,
            waited_for_gpu=(now if self._spawned is None else self._spawned) - self._began,
            engine_start=None if self._spawned is None or self._healthy is None else self._healthy - self._spawned,
            warmup=None if self._healthy is None or self._warm is None else self._warm - self._healthy,
            suspect=self._watch.verdict().suspect_seconds if self._watch else 0.0,
            canaries=self._watch.canaries if self._watch else {},
            warmup_failures=self._warmup_failures,
            xids=self.gpus.xids,
        )
        return metrics.render(facts, self._watch.page if self._watch else "")

    async def run(self) -> End:
        """From the wait for what the engine needs to the end of the engine."""
        if not await self._may_start():
            return End(0, Problem(Reason.DRAINING, "told to end before the engine was started"))
        argv = self._engine.argv(self._arguments)
        logger.info("starting %s", argv[0])
        try:
            engine = self._spawner.spawn(argv, self._environment)
        except OSError as error:
            return End(_CANNOT_RUN, Problem(Reason.ENGINE_EXITED, f"cannot run {argv[0]}: {error.strerror}"))
        self._spawned = self._loop.time()
        self._phase = Phase.STARTING_ENGINE
        limit = self._config.health.startup_timeout_seconds
        self._start_problem = Problem(Reason.ENGINE_STARTING, f"loading the model, it may take {limit} s with warm-up")
        background = [asyncio.create_task(work) for work in (self._serve(), self.gpus.run(self._decoded), self._tell())]
        stopped: asyncio.Task[Any] = asyncio.create_task(self._stop.wait())
        try:
            await _first(engine.exited, stopped, *background)
            for task in background:
                if task.done():
                    task.result()  # they never end by themselves: a fault of ours, for which the container must end
            if not engine.exited.done():
                return await self._end(engine)
            return self._exited(engine)
        finally:
            for task in (*background, stopped):
                task.cancel()
            await asyncio.gather(*background, stopped, return_exceptions=True)
            if not engine.exited.done():
                engine.signal(signal.SIGKILL)

    async def _may_start(self) -> bool:
        """Waits until the engine may start; False if told to end before."""
        told: Reason | None = None
        while not self._stop.is_set():
            problem, phase, pause = await self._model.problem(), Phase.WAITING_FOR_MODEL, _MODEL_POLL_SECONDS
            if problem is None:
                if self._phase is Phase.WAITING_FOR_MODEL:
                    self._began = self._loop.time()  # of the wait for GPU memory
                problem, phase, pause = await self.gpus.start_problem(), Phase.WAITING_FOR_GPU_MEMORY, _MEMORY_POLL_SECONDS
            if problem is None:
                return not self._stop.is_set()
            self._phase, self._start_problem = phase, problem
            if problem.reason is not told:
                logger.warning("the engine is not started yet: %s: %s", problem.reason, problem.message)
                told = problem.reason
            await self._sleep_or_stop(pause)
        return False

    async def _sleep_or_stop(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _serve(self) -> None:
        """Start, warm-up, then watching until cancelled."""
        await self._until_healthy()
        self._healthy = self._loop.time()
        self._phase = Phase.WARMING_UP
        self._start_problem = Problem(Reason.WARMUP_RUNNING, "the warm-up requests run")
        limit = self._config.health.startup_timeout_seconds
        warm_up = WarmUp(self._asker, self._config.served_name, self._config.warmup, limit)
        await warm_up.until_warm(self._on_warmup_failure)
        self._warm = self._loop.time()
        watch = EngineWatch(self._config, self._http, self._engine, self._asker, self._admin)
        await self._open_sidecar()
        await self.gpus.read(decoded=True)  # before Ready is told, the engine's allocation has been seen
        self._watch = watch
        self._phase = Phase.NOT_READY
        self._decoded.set()
        await watch.run()

    async def _open_sidecar(self) -> None:
        """It may still send clients away: an engine container that the kubelet starts again finds the sidecar as it left it."""
        try:
            await self._admin.pass_health_check()
        except Unanswered as error:
            logger.warning("the sidecar may close each connection after one answer: %s", error)

    async def _until_healthy(self) -> None:
        url = self._config.engine_url + self._engine.health_path
        while True:
            try:
                answer = await self._http.get(url, self._config.health.probe_timeout_seconds)
            except Unanswered:
                answer = None
            if answer is not None and answer.status == 200:  # noqa: PLR2004
                return
            await asyncio.sleep(_START_POLL_SECONDS)

    def _on_warmup_failure(self, why: str) -> None:
        self._warmup_failures += 1
        self._start_problem = Problem(Reason.WARMUP_FAILED, why)

    async def _tell(self) -> None:
        """Logs every change of health, so that the container's log tells the story."""
        told = None
        while True:
            health = self.health()
            now = health.phase, health.problem.reason, health.ready, health.live
            if now != told:
                answers = f"readyz {'200' if health.ready else '503'}, livez {'200' if health.live else '503'}"
                logger.info("%s: %s: %s (%s)", health.phase, health.problem.reason, health.problem.message, answers)
                told = now
            await asyncio.sleep(0.5)

    async def _end(self, engine: EngineProcess) -> End:
        """Drains if there is something to drain, then stops the engine."""
        why = "told to end before it served"
        if self._decoded.is_set() and self._watch is not None and self.health().live:
            self._watch.leave_sidecar_alone = True
            draining = asyncio.create_task(
                drain.drain(
                    self._admin, self._unacknowledged, self._config.drain, lambda: not self.health().live, self._loop.time
                )
            )
            await _first(draining, engine.exited)
            if engine.exited.done():
                draining.cancel()
                return self._exited(engine)
            why = draining.result()
        health = self.health()
        if not health.live:
            logger.warning("killing the engine: %s: %s", health.problem.reason, health.problem.message)
            engine.signal(signal.SIGKILL)
            return End(await engine.exited, health.problem, tuple(engine.last_lines()))
        self._accepting = False
        logger.info("stopping the engine: %s", why)
        engine.signal(signal.SIGTERM)
        patience = self._config.drain.engine_shutdown_seconds if self._decoded.is_set() else _UNSERVED_SHUTDOWN_SECONDS
        await asyncio.wait([engine.exited], timeout=patience)
        if not engine.exited.done():
            logger.warning("the engine has not ended %.0f s after SIGTERM: killing it", patience)
        engine.signal(signal.SIGKILL)  # also what it left behind
        await engine.exited
        return End(0, Problem(Reason.DRAINING, f"ended as told: {why}"), tuple(engine.last_lines()))

    def _exited(self, engine: EngineProcess) -> End:
        code = engine.exited.result()
        engine.signal(signal.SIGKILL)  # what it left behind
        lines = engine.last_lines()
        if 128 < code < 128 + signal.NSIG:  # noqa: PLR2004
            how = f"signal {signal.Signals(code - 128).name}"  # what it has written had it go on
        else:
            how = ": ".join(filter(None, (f"exit code {code}", self._engine.cause(lines) if code else "")))
        return End(code, Problem(Reason.ENGINE_EXITED, f"the engine ended with {how}"), tuple(lines))


async def _first(*futures: asyncio.Future[Any]) -> None:
    """Until one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
