"""A queue that stands: while it does, how busy replicas are says only that they are full, and not how many would be enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

STANDS_SECONDS = 4.0
"""The queue is too deep if it was at three looks: one look may fall between two steps of the engine."""
OVER_SECONDS = 30.0
"""For so long afterwards the replicas still work off what has waited: twice what smooths a load."""
TREND_SECONDS = 10.0
AHEAD_SECONDS = 60.0
"""A queue that grows is counted as it will be in a minute. While it stands, its growth is all that tells how much more comes than
can be served, and replicas asked for one by one as it gets longer come one by one as well: on the days that defaults are chosen on,
a seventh fewer first tokens are late for the same GPU-hours. As it will be once a replica has started would be too much: with starts
of five minutes all that may be asked for are, at each queue."""
SHRINKS = 0.9
"""A queue that is by so much shorter than it was some ten seconds ago shrinks: what is there is enough to empty it."""


@dataclass(frozen=True, slots=True)
class Overload:
    """Of all replicas that serve. Times are seconds watched."""

    deep_seconds: float = 0.0
    """For so long more requests have waited than may."""
    first: float = 0.0
    """Requests that waited at the first look at which they were too many."""
    waiting: float = 0.0
    """Requests, as of the last look."""
    trend: float = 0.0
    """The same, smoothed."""
    last: float | None = None
    """When the queue stood last, until it is over."""

    def look(self, elapsed: float, seconds: float, waiting: float, allowed: float) -> Overload:
        """After one more look."""
        deep = self.deep_seconds + seconds if waiting > allowed else 0.0
        first = self.first if self.deep_seconds else waiting
        trend = self.trend - math.expm1(-seconds / TREND_SECONDS) * (waiting - self.trend)
        if deep >= STANDS_SECONDS:
            return Overload(deep, first, waiting, trend, elapsed)
        over = self.last is None or elapsed - self.last > OVER_SECONDS
        return Overload(deep, first, waiting, trend, None if over else self.last)

    @property
    def stands(self) -> bool:
        """Whether more requests have waited than may for long enough."""
        return self.deep_seconds >= STANDS_SECONDS

    @property
    def growing(self) -> float:
        """How many times as long as now it will be AHEAD_SECONDS from now, if it goes on as it does; at least 1.

        It goes on as in the last ten seconds, or as since it stands where that is less: what came at once comes no more.
        """
        if not self.deep_seconds:
            return 1.0
        # A smoothed value is behind one that rises evenly by its rise within the smoothing's time.
        rise = min((self.waiting - self.trend) / TREND_SECONDS, (self.waiting - self.first) / self.deep_seconds)
        return 1 + AHEAD_SECONDS * max(rise, 0.0) / max(self.waiting, 1.0)

    @property
    def shrinks(self) -> bool:
        """Whether it gets shorter by itself."""
        return self.waiting < SHRINKS * self.trend
