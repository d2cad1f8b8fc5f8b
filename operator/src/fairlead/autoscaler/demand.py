"""How many full replicas the traffic would need, now, lately and soon."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from operator import itemgetter

from fairlead.autoscaler.value import value

BUCKET_SECONDS = 10.0
"""Demand is remembered as its greatest value in each ten seconds: an hour's quiet window is 360 numbers."""
TREND_BUCKETS = 12
"""Two minutes: a slope is seen within the time of most starts, and noise averages out."""
TREND_SECONDS = TREND_BUCKETS * BUCKET_SECONDS
_bucket, _demand = itemgetter(0), itemgetter(1)
SURE = 8.0
"""A slope counts if it is so many times its standard error: 1 in 700 of slopes that are none, were each ten seconds another throw
of the dice. Demand is smoothed, so that they hang together, and it is more: 1 in 24 where noise is all there is."""


@value(frozen=True, slots=True)
class History:
    """The greatest demand of each ten seconds, oldest first; gaps are left out. Times are seconds watched."""

    peaks: tuple[tuple[int, float], ...] = ()
    since: float | None = None
    """The watch began then."""
    peak: float = 0.0
    """The greatest demand that is remembered since then."""
    slope: float = 0.0
    """Replicas per second over the last two minutes; 0 for what may be noise, and for a fall."""
    usual: float | None = None
    """The greatest demand that is remembered from before the last two minutes; None: nothing is."""

    def add(self, elapsed: float, demand: float, keep_seconds: float) -> History:
        """With one more value; forgets what is older than `keep_seconds`."""
        bucket = int(elapsed // BUCKET_SECONDS)
        peaks, since = self.peaks, elapsed if self.since is None else self.since
        if peaks and peaks[-1][0] == bucket:
            if demand <= peaks[-1][1]:
                return self
            return History((*peaks[:-1], (bucket, demand)), self.since, max(self.peak, demand), self.slope, self.usual)
        oldest = bucket - int(keep_seconds // BUCKET_SECONDS) - 1
        # A quiet window of less than two minutes leaves a slope and what was before it to be known.
        whole = peaks[bisect_left(peaks, min(oldest, bucket - 2 * TREND_BUCKETS), key=_bucket) :]
        usual = max(map(_demand, whole[: bisect_right(whole, bucket - TREND_BUCKETS, key=_bucket)]), default=None)
        quiet = whole[bisect_left(whole, max(oldest, since / BUCKET_SECONDS), key=_bucket) :]
        peak = max(map(_demand, quiet), default=demand)
        return History((*whole, (bucket, demand)), since, max(peak, demand), _slope(whole), usual)

    def begin(self, elapsed: float) -> History:
        """The watch begins anew: what was before counts for slope and habit, and no longer as a peak."""
        return replace(self, since=elapsed, peak=0.0)

    def watched(self, elapsed: float) -> float:
        """Seconds since the watch began."""
        return 0.0 if self.since is None else elapsed - self.since


def _slope(peaks: tuple[tuple[int, float], ...]) -> float:
    points = peaks[-TREND_BUCKETS:]
    count = len(points)
    if count < TREND_BUCKETS or points[-1][0] - points[0][0] > 2 * TREND_BUCKETS:
        return 0.0
    middle_at = sum(map(_bucket, points)) / count
    middle = sum(map(_demand, points)) / count
    spread = common = varied = 0.0
    for at, demand in points:
        x, y = at - middle_at, demand - middle
        spread += x * x
        common += x * y
        varied += y * y
    rise = common / spread
    # What is left of the varying is below 0 by rounding, where all points are on the line.
    left = max(varied - rise * common, 0.0)
    error = math.sqrt(left / (count - 2) / spread)
    return rise / BUCKET_SECONDS if rise > SURE * error else 0.0
