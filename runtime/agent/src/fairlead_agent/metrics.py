"""The agent's own metric families, in front of the engine's page, which is passed through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fairlead_agent.gpu import Device
    from fairlead_agent.readiness import Health

#: The Prometheus text format, which is what vLLM answers as well.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Facts:
    """What the families show; times in seconds."""

    health: Health
    devices: tuple[Device, ...] = ()
    waited_for_gpu: float = 0.0
    engine_start: float | None = None
    warmup: float | None = None
    suspect: float = 0.0
    canaries: Mapping[str, int] = field(default_factory=dict)
    warmup_failures: int = 0
    xids: Mapping[tuple[str, int], int] = field(default_factory=dict)


def render(facts: Facts, engine_page: str) -> bytes:
    """The whole page; `engine_page` may be empty."""
    registry = CollectorRegistry()
    registry.register(_Collector(facts))
    return generate_latest(registry) + engine_page.encode()


class _Collector:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        facts = self._facts
        health = facts.health
        yield _gauge("ready", "1 while /readyz answers 200.", float(health.ready))
        yield _gauge("live", "1 while /livez answers 200.", float(health.live))
        state = GaugeMetricFamily("fairlead_agent_state", "1 for the present phase and reason.", labels=["phase", "reason"])
        state.add_metric([health.phase, health.problem.reason], 1)
        yield state
        yield _gauge("gpu_wait_seconds", "How long the engine's start waited for GPU memory.", facts.waited_for_gpu)
        if facts.engine_start is not None:
            yield _gauge("engine_start_seconds", "From the engine's start to its first healthy answer.", facts.engine_start)
        if facts.warmup is not None:
            yield _gauge("warmup_seconds", "From the first healthy answer to the end of warm-up.", facts.warmup)
        yield _gauge("suspect_seconds", "How long progress has been expected and not seen; 0 while all is well.", facts.suspect)
        yield CounterMetricFamily(
            "fairlead_agent_warmup_failures", "Attempts at warm-up that failed.", value=facts.warmup_failures
        )
        canaries = CounterMetricFamily(
            "fairlead_agent_canaries",
            "One-token requests to an idle engine: returned, failed, or dropped when something else moved.",
            labels=["outcome"],
        )
        for outcome, count in facts.canaries.items():
            canaries.add_metric([outcome], count)
        yield canaries
        xids = CounterMetricFamily("fairlead_agent_xids", "Xids that the driver reported.", labels=["uuid", "xid"])
        for (uuid, xid), count in facts.xids.items():
            xids.add_metric([uuid, str(xid)], count)
        yield xids
        yield from _device_families(facts.devices)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"fairlead_agent_{name}", text, value=value)


def _device_families(devices: tuple[Device, ...]) -> Iterable[Metric]:
    total = GaugeMetricFamily("fairlead_agent_gpu_memory_total_bytes", "Memory of the GPU.", labels=["uuid"])
    free = GaugeMetricFamily("fairlead_agent_gpu_memory_free_bytes", "Free memory of the GPU.", labels=["uuid"])
    ecc = GaugeMetricFamily("fairlead_agent_gpu_ecc_uncorrected", "Uncorrected ECC errors since driver load.", labels=["uuid"])
    duty = GaugeMetricFamily("fairlead_agent_gpu_duty_cycle_ratio", "Share of time in which a kernel ran.", labels=["uuid"])
    for device in devices:
        total.add_metric([device.uuid], device.total)
        free.add_metric([device.uuid], device.free)
        if device.ecc_uncorrected is not None:
            ecc.add_metric([device.uuid], device.ecc_uncorrected)
        if device.utilization_percent is not None:
            duty.add_metric([device.uuid], device.utilization_percent / 100)
    yield from (total, free, ecc, duty)
