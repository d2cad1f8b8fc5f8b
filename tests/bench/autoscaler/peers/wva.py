"""llm-d's workload variant autoscaler, its saturation analyzer (V1).

llm-d/llm-d-workload-variant-autoscaler, internal/saturation/analyzer.go, read for its rules: a replica is saturated at 80 % of
its KV cache or 5 waiting requests; one more if those that are not have on average less than 10 % or 3 requests to spare; one
fewer
if they would still have it with one fewer; nothing while pods and target differ. Every 60 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead.autoscaler.simulator.fleet import View

INTERVAL = 60.0


@dataclass(frozen=True)
class Saturation:
    """What the analyzer says."""

    free: int
    """Replicas that are not saturated."""
    up: bool
    down: bool


def analyze(
    replicas: Sequence[tuple[float, float]], kv: float = 0.8, queue: float = 5, kv_spare: float = 0.1, queue_spare: float = 3
) -> Saturation:
    """From KV usage (0 to 1) and queue length of each replica."""
    if not replicas:
        return Saturation(0, up=False, down=False)
    free = [(used, waiting) for used, waiting in replicas if used < kv and waiting < queue]
    count = len(free)
    if not free:
        return Saturation(0, up=True, down=False)
    used, waiting = sum(each for each, _ in free) / count, sum(each for _, each in free) / count
    up = kv - used < kv_spare or queue - waiting < queue_spare
    fewer = count / (count - 1) if count > 1 else 0.0
    down = count > 1 and kv - used * fewer >= kv_spare and queue - waiting * fewer >= queue_spare
    return Saturation(count, up=up, down=down and not up)


class WVA:
    """One step a minute."""

    def __init__(self, kv: float) -> None:
        """KV usage (0 to 1) at which a replica is saturated."""
        self._kv = kv
        self._next = 0.0

    def decide(self, view: View) -> int:
        """Every 60 s, unless replicas come or go."""
        if view.now < self._next:
            return view.target
        self._next = view.now + INTERVAL
        ready = view.ready
        if len(ready) != view.target:
            return view.target
        found = analyze([(pod.kv, pod.waiting) for pod in ready], kv=self._kv)
        return max(view.target + found.up - found.down, 1)
