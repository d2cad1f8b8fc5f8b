"""KEDA with a Prometheus trigger on all requests in flight: an HPA on an external metric of type AverageValue.

keda.sh/docs/latest/scalers/prometheus and /concepts/scaling-deployments. From one replica on KEDA leaves all to the HPA that it
makes; its own polling (30 s) is for 0 and 1 only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.autoscaler.peers.hpa import HPA, external_metric

if TYPE_CHECKING:
    from fairlead.autoscaler.simulator.fleet import View


def in_flight(view: View) -> float:
    """Requests that replicas have, those that drain not counted."""
    return sum(pod.running + pod.waiting for pod in view.ready)


def keda(threshold: float) -> HPA:
    """On sum(vllm:num_requests_running + vllm:num_requests_waiting)."""
    return HPA(lambda view: external_metric(view.target, in_flight(view), threshold))
