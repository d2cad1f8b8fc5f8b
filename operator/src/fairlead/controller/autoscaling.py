"""The autoscaler of a term, with its sources; and its metrics, over all terms."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from fairlead.autoscaler import prometheus
from fairlead.autoscaler.agents import Agents
from fairlead.autoscaler.fleet import Fleet
from fairlead.autoscaler.loop import Loop
from fairlead.autoscaler.record import Record
from fairlead.autoscaler.signals import Signals
from fairlead.reconciler.status_writer import wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import CollectorRegistry

    from fairlead.autoscaler.load import Load
    from fairlead.autoscaler.policy import Decision
    from fairlead.controller.settings import PrometheusSettings
    from fairlead.reconciler.kinds import Key
    from fairlead.reconciler.scaling import Scaled
    from fairlead.reconciler.store import Store

_PARTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0)
_PREFIX = "fairlead_autoscaler"
_INPUTS: dict[str, tuple[str, Callable[[Decision], float | None]]] = {
    "desired_replicas": ("How many replicas there should be", lambda each: each.replicas),
    "asked_replicas": ("How many were asked for before", lambda each: each.inputs.asked),
    "ready_replicas": ("Replicas that serve", lambda each: each.inputs.ready),
    "starting_replicas": ("Replicas that start", lambda each: each.inputs.starting),
    "terminating_replicas": ("Replicas that finish their last streams", lambda each: each.inputs.terminating),
    "unreadable_replicas": ("Replicas that serve and whose load is not known", lambda each: each.inputs.unreadable),
    "broken_replicas": ("Replicas with a queue whose GPU does nothing", lambda each: each.inputs.broken),
    "waiting_requests": ("Requests that wait in the engines", lambda each: each.inputs.waiting),
    "waiting_growth_requests_per_second": ("What a queue that stands grows by", lambda each: each.inputs.growth),
    "running_requests": ("Requests that the engines work on", lambda each: each.inputs.running),
    "demand_replicas": ("Full replicas that would carry the demand of the last minute", lambda each: each.inputs.demand),
    "surge_replicas": ("The same over a quarter of a minute, with what waits", lambda each: each.inputs.surge),
    "forecast_replicas": ("The same when a replica asked for now would serve", lambda each: each.inputs.forecast),
    "peak_replicas": ("The greatest demand of the quiet window", lambda each: each.inputs.peak),
    "kv_cache_usage_ratio": ("KV cache in use, of the fullest replica", lambda each: max(map(_kv, _loads(each)), default=None)),
    "generation_tokens_per_second": ("Tokens that the replicas make", lambda each: sum(map(_tokens, _loads(each)))),
    "duty_cycle_ratio": ("Mean duty cycle of the GPUs", lambda each: _ratio(each.inputs.duty_cycle_percent)),
    "cold_start_seconds": ("How long a start takes", lambda each: each.inputs.cold_start_seconds),
    "speed_tokens_per_second": ("What a request gets on an idle replica", lambda each: each.inputs.speed),
}


def _loads(decision: Decision) -> Iterable[Load]:
    return decision.memory.loads.values()


def _kv(load: Load) -> float:
    return load.kv


def _tokens(load: Load) -> float:
    return load.token_rate or 0.0


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


class Autoscaling:
    """Runs the loop in each term."""

    def __init__(
        self, store: Store, registry: CollectorRegistry, settings: PrometheusSettings | None, clock: Callable[[], float]
    ) -> None:
        """Take the store, where to put the metrics, where Prometheus is and a monotonic clock."""
        self._store = store
        self._settings = settings
        self._clock = clock
        self._seconds = Histogram(
            f"{_PREFIX}_loop_seconds", "How long a look at all replicas took", ["part"], buckets=_PARTS, registry=registry
        )
        self._record = Record(self._ticked)
        registry.register(_Collector(self._record))

    async def run(self, scales: dict[Key, Scaled], changed: Callable[[Key], None]) -> None:
        """Decide until cancelled."""
        source: prometheus.Prometheus | None = None
        if self._settings is not None:
            labels = prometheus.Labels(self._settings.namespace_label, self._settings.pod_label)
            query = prometheus.connect(self._settings.url)
            source = prometheus.Prometheus(query, labels, clock=self._clock, wall=time.time)
        agents = Agents(self._clock)
        loop = Loop(Fleet(self._store), Signals(agents, source), scales, changed, self._record, clock=self._clock, now=wall_clock)
        try:
            async with asyncio.TaskGroup() as group:
                if source is not None:
                    group.create_task(source.run(), name="prometheus")
                await loop.run()
        finally:
            agents.close()
            self._record.clear()

    def _ticked(self, read: float, decided: float) -> None:
        self._seconds.labels("read").observe(read)
        self._seconds.labels("decide").observe(decided)


class _Collector:
    """Reads the record when somebody scrapes: a look costs no metric."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def collect(self) -> Iterable[Metric]:
        labels = ["namespace", "name"]
        for name, (text, value) in _INPUTS.items():
            family = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=labels)
            for key, decision in self._record.latest.items():
                if (number := value(decision)) is not None:
                    family.add_metric(list(key), number)
            yield family
        reasons = CounterMetricFamily(f"{_PREFIX}_decisions", "Looks, by how they ended", labels=[*labels, "reason"])
        for (key, reason), count in self._record.reasons.items():
            reasons.add_metric([*key, reason], count)
        yield reasons
