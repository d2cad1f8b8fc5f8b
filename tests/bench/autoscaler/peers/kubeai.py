"""KubeAI: the average of active requests over ten minutes against a target per replica.

kubeai.org/concepts/autoscaling and substratusai/kubeai, internal/modelautoscaler, internal/movingaverage and
internal/modelclient, read for their rules: every 10 s; up at once; down only after scaleDownDelaySeconds (30) of looks in a row
that say so.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from tests.bench.autoscaler.peers.keda import in_flight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fairlead.autoscaler.simulator.fleet import View

INTERVAL, WINDOW, DOWN_DELAY = 10.0, 600.0, 30.0


class MovingAverage:
    """Of the last values, as many as the seed has."""

    def __init__(self, seed: Iterable[float]) -> None:
        """Begin with the seed."""
        values = list(seed)
        self._values = deque(values, maxlen=len(values))

    def next(self, value: float) -> float:
        """The average with one more value."""
        self._values.append(value)
        return sum(self._values) / len(self._values)


class KubeAI:
    """The window begins full of the first value: with KubeAI's own zeros it would begin every trace with one replica."""

    def __init__(self, target: float) -> None:
        """Active requests per replica (targetRequests, 100 by default)."""
        self._target = target
        self._average: MovingAverage | None = None
        self._next, self._votes = 0.0, 0

    def decide(self, view: View) -> int:
        """Every 10 s."""
        if view.now < self._next:
            return view.target
        self._next = view.now + INTERVAL
        active = in_flight(view)
        self._average = self._average or MovingAverage([active] * int(WINDOW / INTERVAL))
        wanted = max(math.ceil(self._average.next(active) / self._target), 1)
        if wanted >= view.target:
            self._votes = 0
            return wanted
        self._votes += 1
        if self._votes < DOWN_DELAY / INTERVAL:
            return view.target
        self._votes = 0
        return wanted
