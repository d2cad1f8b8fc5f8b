"""A replica in virtual time: vLLM as API process and core, each of which can freeze; the sidecar in front; the GPU below.

It stands in for HTTP, NVML and the child process, so that the real supervisor, watchers and drain run against it.
"""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairlead_agent.faults import Faults
from fairlead_agent.gpu import Device, GpuError
from fairlead_agent.http_client import Answer, Unanswered
from fairlead_agent.readiness import Health
from fairlead_agent.reasons import Problem, Reason
from fairlead_agent.supervisor import End, Supervisor
from tests.unit.agent.settings import GIB, config

TOTAL = 24 * GIB
HELD = 20 * GIB
TOKENS_PER_SECOND = 20
BYTES_PER_TOKEN = 200
PROBE_BYTES = 120


class Gate:
    """Open, or shut: who passes waits until it opens."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    @property
    def shut(self) -> bool:
        return not self._open.is_set()

    def set(self, *, shut: bool) -> None:
        if shut:
            self._open.clear()
        else:
            self._open.set()

    async def passed(self) -> None:
        await self._open.wait()


class Engine:
    """vLLM. `load` streams run for ever, each making tokens while neither the core nor the whole engine is frozen."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self.loop.create_future()
        self.signals: list[signal.Signals] = []
        self.api = Gate()
        self.core = Gate()
        self.up_after = 30.0
        self.born: float | None = None
        self.load = 0
        self.waiting = 0
        self.slow_pages = 0.0
        self.metrics_status = 200
        self.core_queue = 0.0
        self.refusal: tuple[int, str] | None = None
        self.empty = False
        self.prefilling = False
        self.ends_on_sigterm_after: float | None = 1.0
        self.asked: list[dict[str, Any]] = []
        self.tokens = 0.0
        self._chunks = 0.0
        self._reported = ""
        self._counted_at = 0.0

    def count(self) -> None:
        """Brings the tokens of the load up to now. Call before anything that changes their pace."""
        now = self.loop.time()
        passed, self._counted_at = now - self._counted_at, now
        if not self.core.shut and not self.api.shut and not self.exited.done():
            if self.prefilling:
                self._chunks += passed
            elif self.load:
                self.tokens += passed * TOKENS_PER_SECOND * self.load

    def freeze(self, what: str) -> None:
        """SIGSTOP of `all` or of the `core` alone."""
        self.count()
        (self.api if what == "all" else self.core).set(shut=True)

    def thaw(self) -> None:
        self.count()
        self.api.set(shut=False)
        self.core.set(shut=False)

    def page(self) -> str:
        """What the API process last heard of the core: a frozen core leaves it as it was."""
        self.count()
        if self.core.shut and self._reported:
            return self._reported
        values = {
            "num_requests_running": self.load + self.prefilling,
            "num_requests_waiting": self.waiting,
            "generation_tokens_total": int(self.tokens),
            "iteration_tokens_total_count": int(self.tokens / max(self.load, 1)),
            "iteration_tokens_total_sum": int(self.tokens),
            "prompt_tokens_total": 10,
            "kv_cache_usage_perc": (self._chunks % 1000) / 1000,
        }
        self._reported = "".join(f'vllm:{name}{{engine="0",model_name="tiny"}} {value}\n' for name, value in values.items())
        return self._reported

    async def generate(self, body: dict[str, Any]) -> Answer:
        self.asked.append(body)
        await self.api.passed()
        await asyncio.sleep(0.01 + self.core_queue)
        await self.core.passed()
        await self.api.passed()
        if self.refusal:
            status, message = self.refusal
            return Answer(status, json.dumps({"error": {"message": message}}))
        made = 0 if self.empty else body["max_tokens"]
        self.tokens += made
        return Answer(200, json.dumps({"usage": {"completion_tokens": made}}))

    def signal(self, number: signal.Signals) -> None:
        if self.exited.done():
            return
        self.signals.append(number)
        if number is signal.SIGKILL:
            self.end(137)
        elif number is signal.SIGTERM and self.ends_on_sigterm_after is not None and not self.api.shut:
            self.loop.call_later(self.ends_on_sigterm_after, self.end, 0)

    def end(self, code: int) -> None:
        if not self.exited.done():
            self.count()
            self.exited.set_result(code)

    def last_lines(self) -> list[str]:
        return ["ValueError: why", "the engine's last line"]


@dataclass
class Gpu:
    """One GPU that the engine fills when it is up."""

    engine: Engine
    others: int = 0
    ecc: int = 0
    gone: bool = False
    missing: Problem | None = None
    hang: Gate = field(default_factory=Gate)

    async def read(self) -> tuple[Device, ...]:
        if self.hang.shut:
            await asyncio.sleep(5)
            if self.hang.shut:
                raise GpuError(Problem(Reason.NVML_HUNG, "NVML has not answered for 5 s"))
        if self.missing:
            raise GpuError(self.missing)
        engine = self.engine
        runs = engine.born is not None and not engine.exited.done() and not self.gone
        used = self.others + (HELD if runs else 0)
        return (Device("GPU-1", TOTAL, used, TOTAL - used, self.ecc, 40),)


class Kept:
    """The pod's memory of faults, without a disk."""

    def __init__(self) -> None:
        self.faults = Faults()

    def load(self) -> Faults:
        return self.faults

    def save(self, faults: Faults) -> None:
        self.faults = faults


class Replica:
    """Everything around the supervisor, and the supervisor."""

    def __init__(self, environment: Mapping[str, str] | None = None, faults: Kept | None = None, **changes: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.config = config(**changes)
        self.engine = Engine()
        self.gpu = Gpu(self.engine)
        self.lack: Problem | None = None
        self.spawned: list[list[str]] = []
        self.streams = 0
        self.health_failed = False
        self.sidecar = Gate()
        self.admin_answers = True
        self.headers: dict[str, str] = {}
        self._health_answers = 0
        self.probes_in_flight = 0
        self.unsent = 0
        self.unacknowledged = 0
        self.supervisor = Supervisor(
            self.config,
            (["/models/tiny"], environment or {}),
            http=self,
            model=self,
            gpus=self.gpu,
            faults=faults or Kept(),
            spawner=self,
            unacknowledged=lambda: self.unacknowledged,
        )
        self.running: asyncio.Task[End] = asyncio.create_task(self.supervisor.run())

    # what the supervisor is given

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> Engine:
        if "missing" in environment:
            raise FileNotFoundError(2, "No such file or directory")
        self.spawned.append(list(argv))
        self.engine.born = self.loop.time()
        return self.engine

    async def problem(self) -> Problem | None:
        return self.lack

    async def get(self, url: str, timeout: float) -> Answer:  # noqa: ASYNC109
        return await self._in_time(self._get(url), timeout)

    async def post(self, url: str, body: Any, timeout: float, headers: Mapping[str, str] | None = None) -> Answer:  # noqa: ASYNC109
        if url.startswith(self.config.engine_url):
            self.headers = dict(headers or {})
        return await self._in_time(self._post(url, body), timeout)

    async def _in_time(self, answering: Any, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):  # not wait_for: that of Python 3.11 can swallow a cancellation
                answer: Answer = await answering
        except TimeoutError:
            raise Unanswered(f"no answer in {seconds:.0f} s", timed_out=True) from None
        return answer

    async def _get(self, url: str) -> Answer:
        if url.startswith(self.config.sidecar_admin_url):
            return self._stat(url)
        if url.startswith(self.config.sidecar_url):
            await self.sidecar.passed()
            self.probes_in_flight += 1
            try:
                return await self._health()
            finally:
                self.probes_in_flight -= 1
        if url.endswith("/metrics"):
            await self._api()
            return Answer(self.engine.metrics_status, self.engine.page())
        return await self._health()

    async def _health(self) -> Answer:
        await self._api()
        self._health_answers += 1
        return Answer(200, "")

    async def _api(self) -> None:
        engine = self.engine
        if engine.born is None or engine.exited.done() or self.loop.time() - engine.born < engine.up_after:
            raise Unanswered("Connection refused", timed_out=False)
        await asyncio.sleep(0.001 + engine.slow_pages)
        await engine.api.passed()

    async def _post(self, url: str, body: Any) -> Answer:
        if url.startswith(self.config.sidecar_admin_url):
            if not self.admin_answers:
                raise Unanswered("Connection refused", timed_out=False)
            self.health_failed = url.endswith("/healthcheck/fail")
            return Answer(200, "OK")
        await self._api()
        return await self.engine.generate(body)

    def _stat(self, url: str) -> Answer:
        if not self.admin_answers:
            raise Unanswered("Connection refused", timed_out=False)
        if "rq_active" in url:
            return Answer(200, f"http.ingress_http.downstream_rq_active: {self.streams + self.probes_in_flight}\n")
        if "tx_bytes_buffered" in url:
            return Answer(200, f"http.ingress_http.downstream_cx_tx_bytes_buffered: {self.unsent}\n")
        self.engine.count()
        flowed = int(self.engine.tokens) * BYTES_PER_TOKEN + PROBE_BYTES * self._health_answers
        return Answer(200, f"cluster.engine.upstream_cx_rx_bytes_total: {flowed}\n")

    # what a test does

    @property
    def health(self) -> Health:
        return self.supervisor.health()

    @property
    def status(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.supervisor.status())
        return read

    async def until_ready(self) -> None:
        await self.until(lambda: self.health.ready, 300)

    async def until(self, condition: Any, seconds: float) -> float:
        """Seconds until the condition held; fails if it does not within `seconds`. Looks as often as the kubelet could."""
        began = self.loop.time()
        while not condition():
            assert self.loop.time() - began < seconds, f"not within {seconds} s: {self.health}"
            assert not self.running.done(), self.running
            await asyncio.sleep(0.25)
        return self.loop.time() - began

    async def always(self, condition: Any, seconds: float) -> None:
        """Fails if the condition does not hold all the time."""
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            assert condition(), (self.loop.time(), self.health)
            await asyncio.sleep(0.5)

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
