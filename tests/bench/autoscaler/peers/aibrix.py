"""AIBrix's APA: pods times the ratio of use to target, outside of a tolerance of 10 % and within a factor of 2.

aibrix.readthedocs.io (autoscaling, APA) and vllm-project/aibrix, pkg/controller/podautoscaler/algorithm/apa.go, read for its
rules. The pods are all there are, those that start among them, and the use is that of those that serve: while some start it
goes on adding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairlead.autoscaler.simulator.fleet import View

INTERVAL = 10.0
TOLERANCE = 0.1


def apa(pods: float, use: float, target: float, *, up_rate: float = 2.0, down_rate: float = 2.0) -> int:
    """Pods that there should be, from the use per pod."""
    ratio = use / target
    if ratio > 1 + TOLERANCE + 1e-9:
        return int(min(math.ceil(pods * ratio - 1e-9), math.ceil(pods * up_rate)))
    if ratio < 1 - TOLERANCE - 1e-9:
        return int(max(math.ceil(pods * ratio - 1e-9), math.floor(pods / down_rate)))
    return int(pods)


class APA:
    """On requests in flight per pod."""

    def __init__(self, target: float) -> None:
        """Requests in flight that a pod should have."""
        self._target = target
        self._next = 0.0

    def decide(self, view: View) -> int:
        """Every 10 s."""
        ready = view.ready
        if view.now < self._next or not ready:
            return view.target
        self._next = view.now + INTERVAL
        return max(apa(view.target, sum(pod.running + pod.waiting for pod in ready) / len(ready), self._target), 1)
