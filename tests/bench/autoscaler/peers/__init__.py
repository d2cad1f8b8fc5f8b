"""Other autoscalers' rules, written anew from what they publish, and the knob of each that a user would turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.autoscaler.peers.aibrix import APA
from tests.bench.autoscaler.peers.hpa import on_duty_cycle, on_queue
from tests.bench.autoscaler.peers.keda import keda
from tests.bench.autoscaler.peers.knative import KPA
from tests.bench.autoscaler.peers.kubeai import KubeAI
from tests.bench.autoscaler.peers.ray_serve import RayServe
from tests.bench.autoscaler.peers.wva import WVA

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead.autoscaler.simulator.fleet import View
    from fairlead.autoscaler.simulator.play import Policy

IN_FLIGHT = (4, 8, 12, 16, 24, 32, 40, 48, 64)
"""Requests per replica: from one that is all but idle to one that is as good as full."""


class Static:
    """Always as many."""

    def __init__(self, replicas: float) -> None:
        """That many."""
        self._replicas = int(replicas)

    def decide(self, view: View) -> int:
        """That many."""
        del view
        return self._replicas


PEERS: dict[str, tuple[Callable[[float], Policy], tuple[float, ...]]] = {
    "HPA, queue": (on_queue, (0.1, 0.5, 2, 5)),
    "HPA, duty cycle": (on_duty_cycle, (50, 60, 70, 80, 90)),
    "KEDA, in flight": (keda, IN_FLIGHT),
    "Knative KPA": (KPA, IN_FLIGHT),
    "KubeAI": (KubeAI, IN_FLIGHT),
    "Ray Serve": (RayServe, IN_FLIGHT),
    "AIBrix APA": (APA, IN_FLIGHT),
    "llm-d WVA": (WVA, (0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.8)),
    "static": (Static, (2, 3, 4, 5, 6, 8, 10, 12)),
}
"""Name, how to make one, and the values of its main knob that are swept."""
