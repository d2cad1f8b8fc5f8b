"""Ray Serve: ongoing requests, averaged over 30 s, against a target per replica; up after 30 s, down after 600 s of one vote.

docs.ray.io/en/latest/serve/advanced-guides/advanced-autoscaling.html (look_back_period_s, upscale_delay_s, downscale_delay_s).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from tests.bench.autoscaler.peers.keda import in_flight

if TYPE_CHECKING:
    from fairlead.autoscaler.simulator.fleet import View

LOOK_BACK, UP_DELAY, DOWN_DELAY = 30.0, 30.0, 600.0


class Delays:
    """A vote counts after it was the same way for long enough."""

    def __init__(self, up: float = UP_DELAY, down: float = DOWN_DELAY) -> None:
        """Seconds."""
        self._up, self._down = up, down
        self._since: tuple[int, float] | None = None

    def decide(self, now: float, requests: float, running: int, target: int, per_replica: float) -> int:
        """Replicas, from all requests and the replicas that run."""
        wanted = math.ceil(running * (requests / running / per_replica) - 1e-9) if running else target
        way = (wanted > target) - (wanted < target)
        if not way:
            self._since = None
            return target
        if self._since is None or self._since[0] != way:
            self._since = (way, now)
        if now - self._since[1] < (self._up if way > 0 else self._down):
            return target
        self._since = None
        return wanted


class RayServe:
    """Averages over looks, and the delays."""

    def __init__(self, target: float) -> None:
        """target_ongoing_requests."""
        self._target = target
        self._delays = Delays()
        self._looks: deque[tuple[float, float]] = deque()

    def decide(self, view: View) -> int:
        """Every look."""
        self._looks.append((view.now, in_flight(view)))
        while self._looks[0][0] <= view.now - LOOK_BACK:
            self._looks.popleft()
        average = sum(value for _, value in self._looks) / len(self._looks)
        return max(self._delays.decide(view.now, average, len(view.ready), view.target, self._target), 1)
