"""How many full replicas the traffic would need, now, lately and soon."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

BUCKET_SECONDS = 10.0
"""Demand is remembered as its greatest value in each ten seconds: an hour's quiet window is 360 numbers."""
TREND_BUCKETS = 12
"""Two minutes: a slope is seen within the time of most starts, and noise averages out."""
TREND_SECONDS = TREND_BUCKETS * BUCKET_SECONDS
SURE = 8.0
"""A slope counts if it is so many times its standard error: 1 in 700 of slopes that are none."""


@dataclass(frozen=True, slots=True)
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
        first = next((index for index, (at, _) in enumerate(peaks) if at >= oldest), len(peaks))
        whole = peaks[first:]
        usual = max((each for at, each in whole if at <= bucket - TREND_BUCKETS), default=None)
        peak = max([demand, *(each for at, each in whole if at * BUCKET_SECONDS >= since)])
        return History((*whole, (bucket, demand)), since, peak, _slope(whole), usual)

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
    middle_x = sum(at for at, _ in points) / count
    middle_y = sum(demand for _, demand in points) / count
    spread = sum((at - middle_x) ** 2 for at, _ in points)
    rise = sum((at - middle_x) * (demand - middle_y) for at, demand in points) / spread
    left = sum((demand - middle_y - rise * (at - middle_x)) ** 2 for at, demand in points)
    error = math.sqrt(left / (count - 2) / spread)
    return rise / BUCKET_SECONDS if rise > SURE * error else 0.0
