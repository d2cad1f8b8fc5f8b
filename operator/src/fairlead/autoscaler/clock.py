"""The autoscaler's own time. It goes forward only, and never by more than a few looks at once."""

from __future__ import annotations

from typing import NamedTuple

from fairlead.autoscaler.value import value

LONGEST_STEP = 10.0
"""Seconds. A longer gap is a clock that was set, or an operator that did not run: nobody watched, so nothing was quiet."""


class Tick(NamedTuple):
    """How far time went since the last look."""

    seconds: float
    jumped: bool


@value(frozen=True, slots=True)
class Clock:
    """Seconds watched so far, and what the outer clock showed at the last look."""

    elapsed: float = 0.0
    last: float | None = None

    def tick(self, now: float) -> tuple[Clock, Tick]:
        """Look at the outer clock."""
        if self.last is None:
            return Clock(self.elapsed, now), Tick(0.0, jumped=False)
        gap = now - self.last
        step = min(max(gap, 0.0), LONGEST_STEP)
        return Clock(self.elapsed + step, now), Tick(step, jumped=not 0.0 <= gap <= LONGEST_STEP)
