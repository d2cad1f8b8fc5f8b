"""A queue that stands: while it does, how busy replicas are says only that they are full, and not how many would be enough."""

from __future__ import annotations

import math

from fairlead.autoscaler.value import value

STANDS_SECONDS = 4.0
"""The queue is too deep if it was at two looks: one look may fall between two steps of the engine."""
OVER_SECONDS = 30.0
"""For so long afterwards the replicas still work off what has waited: twice what smooths a load."""
TREND_SECONDS = 10.0
SHRINKS = 0.9
"""A queue that is by so much shorter than it was some ten seconds ago shrinks: what is there is enough to empty it."""
GROWS_SECONDS = 10.0
"""A queue's growth is told from so many seconds of it: what comes at once shows over two or three looks, for each replica is read
at another moment, and comes no more."""
LATELY = 3
"""Looks over which it still grows: what grew before and does not any more has come."""
MOST_LOOKS = 16
"""Half a minute of them."""


@value(frozen=True, slots=True)
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
    looks: tuple[tuple[float, float], ...] = ()
    """The last ones at which more waited than may, without a break, the oldest first: when, and how many."""

    def look(self, elapsed: float, seconds: float, waiting: float, allowed: float) -> Overload:
        """After one more look."""
        deep = self.deep_seconds + seconds if waiting > allowed else 0.0
        looks = (*self.looks, (elapsed, waiting))[-MOST_LOOKS:] if waiting > allowed else ()
        trend = self.trend - math.expm1(-seconds / TREND_SECONDS) * (waiting - self.trend)
        if deep >= STANDS_SECONDS:
            return Overload(deep, waiting, trend, elapsed, looks)
        over = self.last is None or elapsed - self.last > OVER_SECONDS
        return Overload(deep, waiting, trend, None if over else self.last, looks)

    def unwatched(self) -> Overload:
        """Nobody looked, or saw anything: whether a queue stands, and by what it grows, shows anew."""
        return Overload(last=self.last)

    @property
    def stands(self) -> bool:
        """Whether more requests have waited than may for long enough."""
        return self.deep_seconds >= STANDS_SECONDS

    @property
    def growth(self) -> float:
        """Requests per second by which it grows: since it stands or lately, whichever is less; 0 where that is not known."""
        if len(self.looks) <= LATELY:
            return 0.0
        (began, first), (before, then), (now, waiting) = self.looks[0], self.looks[-1 - LATELY], self.looks[-1]
        if now - began < GROWS_SECONDS or now <= before:
            return 0.0
        return max(min((waiting - first) / (now - began), (waiting - then) / (now - before)), 0.0)

    @property
    def shrinks(self) -> bool:
        """Whether it gets shorter by itself."""
        return self.waiting < SHRINKS * self.trend
