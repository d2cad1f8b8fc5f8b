"""What replicas carry, from all sources: one look at those that serve.

A source tells Reading by Reading, each with its time. A request gateway that counts what it holds for a model will be one more.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead.autoscaler.agents import Told
from fairlead.autoscaler.observation import Phase, Reading
from fairlead.autoscaler.place import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fairlead.autoscaler.agents import Agents
    from fairlead.autoscaler.fleet import Subject
    from fairlead.autoscaler.prometheus import Prometheus

NOTHING = Told()
NO_URL = Reading(
    math.nan,
    math.nan,
    "the chart's value prometheus.url is not set: write there where a Prometheus is, such as "
    "http://prometheus.monitoring.svc:9090, or leave out spec.autoscaling.prometheus",
)
"""What is told where there is nobody to ask."""


class Signals:
    """The sources together."""

    def __init__(self, agents: Agents, prometheus: Prometheus | None) -> None:
        self._agents = agents
        self._prometheus = prometheus
        self._queued: dict[Place, float] = {}
        """Since when requests wait there, without a break."""

    async def look(self, subjects: Sequence[Subject]) -> Mapping[Place, Told]:
        """What is known of each replica that serves, as far as anything is."""
        serving = [
            (Place(subject.key.namespace, pod.name), pod.address, subject.autoscaling.prometheus)
            for subject in subjects
            for pod in subject.pods
            if pod.phase is Phase.READY and pod.address
        ]
        told = dict(await self._agents.ask({place: address for place, address, _ in serving}))
        by_prometheus = [(place, metric) for place, _, metric in serving if metric is not None]
        if self._prometheus is not None:
            self._prometheus.want(by_prometheus)
        for place, metric in by_prometheus:
            duty = NO_URL if self._prometheus is None else self._prometheus.reading(place, metric)
            told[place] = replace(told.get(place, NOTHING), duty_cycle_percent=duty)
        self._leave_out_what_was_before_a_queue(told)
        return told

    def _leave_out_what_was_before_a_queue(self, told: dict[Place, Told]) -> None:
        """A GPU that did nothing before requests waited is not one that does nothing while they wait.

        Through Prometheus a duty cycle is up to a minute old: each burst on idle replicas would look like a fault of all of them.
        """
        for gone in self._queued.keys() - told.keys():
            del self._queued[gone]
        for place, each in told.items():
            waiting, duty = each.waiting, each.duty_cycle_percent
            if waiting is None or not waiting.value > 0:
                self._queued.pop(place, None)
                continue
            since = self._queued.setdefault(place, waiting.time)
            if duty is not None and duty.time < since:
                told[place] = replace(each, duty_cycle_percent=None)
