"""The operator's own metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, Counter, Gauge, Histogram

from fairlead.controller.workqueue import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead.reconciler.kinds import Key, Kind

_DURATIONS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From a visit that finds nothing to do (some milliseconds) to one that waits for dead agents."""


class Metrics:
    """All families, in a registry of their own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the clock that the queue's times are of."""
        self.registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)
        self.visits = Counter(
            "fairlead_reconcile",
            "Visits of ModelDeployments: ok, retry (the API server refused or was silent), error (a defect)",
            ["result"],
            registry=self.registry,
        )
        for result in ("ok", "retry", "error"):
            self.visits.labels(result)
        self.seconds = Histogram(
            "fairlead_reconcile_duration_seconds", "How long a visit took", buckets=_DURATIONS, registry=self.registry
        )
        self._writes = Counter(
            "fairlead_api_writes",
            "Writes sent to the Kubernetes API; in a settled cluster only those of kind Lease go on",
            ["verb", "kind"],
            registry=self.registry,
        )
        self._events = Counter("fairlead_watch_events", "Events that the watches have brought", ["kind"], registry=self.registry)
        self._last_event: dict[str, float] = {}
        self._age = Gauge(
            "fairlead_watch_last_event_age_seconds", "Time since the last event of a kind", ["kind"], registry=self.registry
        )
        self._clock = clock
        self._leader = Gauge(
            "fairlead_operator_leader", "1: this operator leads, 0: it stands by for another one", registry=self.registry
        )
        self._schedule: Schedule[Key] = Schedule()
        depth = Gauge("fairlead_queue_depth", "ModelDeployments that are due; 0 on a pod that stands by", registry=self.registry)
        depth.set_function(lambda: self._schedule.waiting(clock()))
        oldest = Gauge("fairlead_queue_oldest_age_seconds", "How long the first of them has been due", registry=self.registry)
        oldest.set_function(lambda: self._schedule.oldest_wait(clock()))
        running = Gauge(
            "fairlead_reconcile_longest_running_seconds", "How long the longest visit in hand has taken", registry=self.registry
        )
        running.set_function(lambda: self._schedule.longest_running(clock()))

    def leads(self, schedule: Schedule[Key] | None) -> None:
        """This operator leads and works on that schedule, or (None) no longer."""
        self._leader.set(schedule is not None)
        self._schedule = schedule or Schedule()

    def wrote(self, verb: str, kind: Kind) -> None:
        """A write is sent."""
        self._writes.labels(verb, kind.name).inc()

    def event(self, kind: str) -> None:
        """A watch has brought an event."""
        self._events.labels(kind).inc()
        if kind not in self._last_event:
            self._age.labels(kind).set_function(lambda: self._clock() - self._last_event[kind])
        self._last_event[kind] = self._clock()
