"""A queue that stands: while it does, how busy replicas are says only that they are full, and not how many would be enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

STANDS_SECONDS = 4.0
"""The queue is too deep if it was at three looks: one look may fall between two steps of the engine."""
OVER_SECONDS = 30.0
"""For so long afterwards the replicas still work off what has waited: twice what smooths a load."""
TREND_SECONDS = 10.0
SHRINKS = 0.9
"""A queue that is by so much shorter than it was some ten seconds ago shrinks: what is there is enough to empty it."""


@dataclass(frozen=True, slots=True)
class Overload:
    """Of all replicas that serve. Times are seconds watched."""

    deep_seconds: float = 0.0
    """For so long more requests have waited than may."""
    waiting: float = 0.0
    """Requests, as of the last look."""
    trend: float = 0.0
    """The same, smoothed."""
    last: float | None = None
    """When the queue stood last, until it is over."""

    def look(self, elapsed: float, seconds: float, waiting: float, allowed: float) -> Overload:
        """After one more look."""
        deep = self.deep_seconds + seconds if waiting > allowed else 0.0
        trend = self.trend - math.expm1(-seconds / TREND_SECONDS) * (waiting - self.trend)
        if deep >= STANDS_SECONDS:
            return Overload(deep, waiting, trend, elapsed)
        over = self.last is None or elapsed - self.last > OVER_SECONDS
        return Overload(deep, waiting, trend, None if over else self.last)

    @property
    def stands(self) -> bool:
        """Whether more requests have waited than may for long enough."""
        return self.deep_seconds >= STANDS_SECONDS

    @property
    def shrinks(self) -> bool:
        """Whether it gets shorter by itself."""
        return self.waiting < SHRINKS * self.trend
