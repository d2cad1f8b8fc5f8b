"""Kubernetes' HorizontalPodAutoscaler, as its documentation describes it, on a metric of the pods or on one of outside.

kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale ("Algorithm details", "Default behavior"): every 15 s;
a ratio within 10 % of 1 changes nothing; pods without a value count as 0 on the way up and as on target on the way down; at
most 4
pods or 100 % are added in 15 s; on the way down the greatest recommendation of 300 s counts.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fairlead.autoscaler.simulator.fleet import Pod, View

INTERVAL = 15.0
TOLERANCE = 0.1
STABILIZATION = 300.0
MOST_PODS, MOST_SHARE = 4, 2.0


def pods_metric(current: int, values: Sequence[float], missing: int, target: float) -> int:
    """The recommendation for an average over pods; `missing` of them have no value, as pods that start have none."""
    if not values:
        return current
    ratio = sum(values) / len(values) / target
    if not missing:
        return current if abs(ratio - 1) <= TOLERANCE else math.ceil(ratio * len(values) - 1e-9)
    count = len(values) + missing
    damped = (sum(values) + (0 if ratio > 1 else missing * target)) / count / target
    if abs(damped - 1) <= TOLERANCE or (damped > 1) != (ratio > 1):
        return current
    wanted = math.ceil(damped * count - 1e-9)
    return current if (wanted > current) != (ratio > 1) else wanted


def external_metric(current: int, total: float, target: float) -> int:
    """The recommendation for a total that is shared by all pods (type AverageValue)."""
    if abs(total / (target * current) - 1) <= TOLERANCE:
        return current
    return math.ceil(total / target - 1e-9)


class HPA:
    """With the default behaviour, on a recommendation made every 15 s."""

    def __init__(self, recommend: Callable[[View], int]) -> None:
        """Take what recommends."""
        self._recommend = recommend
        self._lately: deque[tuple[float, int]] = deque()
        self._next = 0.0

    def decide(self, view: View) -> int:
        """Recommend, stabilize, limit."""
        if view.now < self._next:
            return view.target
        self._next = view.now + INTERVAL
        self._lately.append((view.now, max(self._recommend(view), 1)))
        while self._lately[0][0] < view.now - STABILIZATION:
            self._lately.popleft()
        wanted = self._lately[-1][1]
        if wanted < view.target:
            wanted = min(max(each for _, each in self._lately), view.target)
        return min(wanted, max(view.target + MOST_PODS, math.ceil(view.target * MOST_SHARE)))


def on_pods(value: Callable[[Pod], float], target: float) -> HPA:
    """An HPA on a metric of each pod."""

    def recommend(view: View) -> int:
        starting = sum(pod.state == "starting" for pod in view.pods)
        return pods_metric(view.target, [value(pod) for pod in view.ready], starting, target)

    return HPA(recommend)


def on_queue(target: float) -> HPA:
    """On vllm:num_requests_waiting."""
    return on_pods(lambda pod: pod.waiting, target)


def on_duty_cycle(target: float) -> HPA:
    """On DCGM_FI_DEV_GPU_UTIL, in percent."""
    return on_pods(lambda pod: 100 * pod.duty, target)
