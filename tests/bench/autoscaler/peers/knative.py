"""Knative's KPA: a stable window of 60 s, a panic window of 6 s, both over the total of concurrent requests.

knative.dev/docs/serving/autoscaling/kpa-specific and knative/serving, pkg/autoscaler/scaling/autoscaler.go, read for its
rules: every 2 s; the number of ready pods, at least 1, times the up rate (1000) and divided by the down rate (2) bounds a step;
panic from
twice the ready pods on, left after 60 s without, and never down in it.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from tests.bench.autoscaler.peers.keda import in_flight

if TYPE_CHECKING:
    from fairlead.autoscaler.simulator.fleet import View

STABLE, PANIC = 60.0, 6.0
PANIC_THRESHOLD = 2.0


class Decider:
    """The decision from two averages."""

    def __init__(self, target: float, *, up_rate: float = 1000.0, down_rate: float = 2.0, start: int = 1) -> None:
        """Concurrent requests that a pod should have. More than one pod at the start means to begin in panic."""
        self._target, self._up, self._down = target, up_rate, down_rate
        self.panicked: float | None = 0.0 if start > 1 else None
        self._most = start if start > 1 else 0

    def decide(self, now: float, ready: int, stable: float, panic: float) -> int:
        """Pods that there should be."""
        count = max(ready, 1)
        most, least = math.ceil(self._up * count), math.floor(count / self._down)

        def bounded(concurrency: float) -> int:
            return int(min(max(math.ceil(concurrency / self._target), least), most))

        wanted, wanted_in_panic = bounded(stable), bounded(panic)
        over = math.ceil(panic / self._target) / count >= PANIC_THRESHOLD
        if over:
            if self.panicked is None:
                self._most = 0
            self.panicked = now
        elif self.panicked is not None and now > self.panicked + STABLE:
            self.panicked, self._most = None, 0
        if self.panicked is None:
            return wanted
        self._most = max(self._most, wanted, wanted_in_panic)
        return self._most


class KPA:
    """Windows over looks of 2 s, and the decider."""

    def __init__(self, target: float) -> None:
        """Concurrent requests per pod (0.7 of the container's concurrency, by default)."""
        self._target = target
        self._decider: Decider | None = None
        self._looks: deque[tuple[float, float]] = deque()

    def decide(self, view: View) -> int:
        """Every look."""
        if self._decider is None:
            self._decider = Decider(self._target, start=len(view.ready))
        self._looks.append((view.now, in_flight(view)))
        while self._looks[0][0] <= view.now - STABLE:
            self._looks.popleft()
        stable = sum(value for _, value in self._looks) / len(self._looks)
        lately = [value for at, value in self._looks if at > view.now - PANIC]
        return max(self._decider.decide(view.now, len(view.ready), stable, sum(lately) / len(lately)), 1)
