"""What the autoscaler is told: replicas, what each says of its load, and what time it is."""

from __future__ import annotations

import math
from enum import StrEnum

from fairlead.autoscaler.value import value


@value(frozen=True, slots=True)
class Reading:
    """A number and when it was true (seconds, by the clock of Observation.now)."""

    value: float
    time: float
    why: str = ""
    """Why it is no number, or no newer one, in words for whoever wrote the ModelDeployment."""


class Quality(StrEnum):
    """Whether a reading may be used, and if not, why."""

    FRESH = "fresh"
    STALE = "stale"
    INVALID = "invalid"
    MISSING = "missing"


FRESH = Quality.FRESH
"""By itself: Python 3.11 takes longer to find a member of an enumeration than to compare two numbers."""
AHEAD_SECONDS = 5.0
"""A reading may be so far in the future: agents and operator share a clock only as well as their nodes do."""

MOST_DUTY_PERCENT = 101.0
"""A duty cycle is a share of time: more than is left for rounding is another unit, or somebody's invention."""
MOST_KV_PERCENT = 105.0
"""The same for the KV cache: what an engine counts as used and what it has are not of the same moment."""


def quality(reading: Reading | None, now: float, oldest: float) -> Quality:
    """What a reading is worth at `now`, if it may be `oldest` seconds old. Loads are never negative."""
    if reading is None:
        return Quality.MISSING
    # The usual case in one line, as this is asked for every number of every replica; no comparison holds for what is no number.
    if 0 <= reading.value < math.inf and -AHEAD_SECONDS <= now - reading.time <= oldest:
        return FRESH
    if not (math.isfinite(reading.value) and reading.value >= 0 and math.isfinite(reading.time)):
        return Quality.INVALID
    return Quality.STALE


class Phase(StrEnum):
    """Where a replica is in its life."""

    STARTING = "starting"
    READY = "ready"
    TERMINATING = "terminating"


@value(frozen=True, slots=True)
class Replica:
    """One pod. Readings that nobody could take are None."""

    name: str
    phase: Phase
    running: Reading | None = None
    """Requests that the engine works on."""
    waiting: Reading | None = None
    """Requests that the engine holds back."""
    tokens: Reading | None = None
    """Tokens generated since the engine's start."""
    kv_cache_percent: Reading | None = None
    duty_cycle_percent: Reading | None = None
    """Share of time in which the GPU did anything at all; close to 100 at little load."""
    unschedulable: bool = False
    """No node takes it."""


@value(frozen=True, slots=True)
class Observation:
    """All that a decision is made from, besides what it remembers and what the spec says."""

    now: float
    """Seconds, by a clock that may be set at any time."""
    asked: int
    """Replicas that were asked for last."""
    replicas: tuple[Replica, ...]
    at_once: int | None = None
    """Requests that an engine works on at once, spec.engine.maxNumSeqs; None: its own default, which is far away for most."""
