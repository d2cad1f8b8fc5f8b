"""What one replica carries, smoothed over a quarter of a minute."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from fairlead.autoscaler.config import BUSY_DUTY_PERCENT, DUTY_STALE_SECONDS, IDLE_DUTY_PERCENT, STALE_SECONDS
from fairlead.autoscaler.observation import FRESH, Quality, quality
from fairlead.autoscaler.value import value

if TYPE_CHECKING:
    from fairlead.autoscaler.observation import Reading, Replica

SMOOTH_SECONDS = 15.0
"""Requests start and end at random: over less time than this the numbers of a few requests say little."""
SATURATED_SECONDS = 5.0
"""A queue that stands for so long is not one step's."""
NEW_SECONDS = 60.0
"""A replica that has just begun gets all new requests at once, and is not what it will be."""
LEAST_RATE_SECONDS = 0.5
"""Between two token counts. What is told closer together is the same look of the agent, by which nothing was made in no time: its
age is told in milliseconds, and the way there and back takes some."""
LONGEST_RATE_SECONDS = 30.0
"""Between two token counts. Over more, a rate is an average of what nobody saw, or of a clock that was set."""
_ALL_FRESH = (FRESH, FRESH, FRESH, FRESH)


class Said(NamedTuple):
    """What a replica says that can be read."""

    name: str
    running: float
    waiting: float
    """Requests."""
    tokens: Reading
    kv: float
    """Share of the KV cache in use."""
    duty: float | None
    """Percent."""

    @property
    def does_nothing(self) -> bool:
        """Whether requests wait on a GPU that does nothing, by its duty cycle."""
        return self.duty is not None and self.duty <= IDLE_DUTY_PERCENT and self.waiting > 0

    @property
    def contradicts(self) -> bool:
        """Whether the engine says that it works on nothing and its GPU says otherwise: a gauge that no longer moves."""
        return self.duty is not None and self.duty >= BUSY_DUTY_PERCENT and self.running == 0


@value(frozen=True, slots=True)
class Load:
    """A replica as it was when last heard of. Times are those of the readings."""

    running: float = 0.0
    """Requests, smoothed."""
    token_rate: float | None = None
    """Tokens per second, smoothed. Not known before two counts were heard, also of who is busy at the first look."""
    waiting: float = 0.0
    """Requests, as read."""
    kv: float = 0.0
    """Share of the KV cache in use, as read."""
    counted: Reading | None = None
    """The token count that the next rate is taken from."""
    queued_seconds: float = 0.0
    """For so long more requests have waited than may, without a break."""
    heard_seconds: float = 0.0
    """For so long readings have come: the smoothed numbers mean something after SMOOTH_SECONDS."""
    told_duty: bool = False
    """It has told a duty cycle: if it does not now, that is missing. Under MIG there is none to tell."""

    @property
    def saturated(self) -> bool:
        """Whether it has more than it can do."""
        return self.queued_seconds >= SATURATED_SECONDS

    @property
    def new(self) -> bool:
        """Whether it has been heard for so short a time that it says little of what it will be."""
        return self.heard_seconds < NEW_SECONDS

    @property
    def settled(self) -> bool:
        """Whether it was heard for long enough."""
        return self.heard_seconds >= SMOOTH_SECONDS and self.token_rate is not None


def said(replica: Replica, now: float, percent: float | None) -> Said | Quality:
    """What its engine says, or why that cannot be gone by: it is worth no more than the worst of it.

    `percent`: its duty cycle, if there is one to go by.
    """
    running, waiting, tokens, kv = replica.running, replica.waiting, replica.tokens, replica.kv_cache_percent
    if running is None or waiting is None or tokens is None or kv is None:
        return Quality.MISSING
    found = (
        quality(running, now, STALE_SECONDS),
        quality(waiting, now, STALE_SECONDS),
        quality(tokens, now, STALE_SECONDS),
        quality(kv, now, STALE_SECONDS),
    )
    if found == _ALL_FRESH:
        return Said(replica.name, running.value, waiting.value, tokens, min(kv.value / 100, 1.0), percent)
    return Quality.INVALID if Quality.INVALID in found else Quality.STALE


def duty(replica: Replica, now: float) -> float | None:
    """Its duty cycle in percent, if there is one to go by."""
    reading = replica.duty_cycle_percent
    return reading.value if reading is not None and quality(reading, now, DUTY_STALE_SECONDS) is FRESH else None


def heard(load: Load, replica: Said, seconds: float, queue_depth: int) -> Load:
    """With what it says now, `seconds` since the last look. A queue counts from more than `queue_depth`."""
    _, running, waiting, tokens, kv, percent = replica
    rate = _rate(load.counted, tokens)
    if percent is not None and percent <= IDLE_DUTY_PERCENT and rate == 0:
        # A GPU that does nothing and a count that stands: what it says it runs is left over from requests that are gone.
        running = 0.0
    # Both numbers begin together, as each says little without the other.
    begins = load.counted is None or load.token_rate is None
    share = 1.0 if begins else -math.expm1(-seconds / SMOOTH_SECONDS)
    return Load(
        running=load.running + share * (running - load.running),
        token_rate=load.token_rate if rate is None else _moved(load.token_rate, rate, share),
        waiting=waiting,
        kv=kv,
        counted=tokens,
        queued_seconds=load.queued_seconds + seconds if waiting > queue_depth else 0.0,
        heard_seconds=load.heard_seconds + seconds,
        told_duty=load.told_duty or percent is not None,
    )


def unheard(load: Load) -> Load:
    """Nothing fresh came: what was known stays, and the next token rate starts anew."""
    return replace(load, counted=None, queued_seconds=0.0, heard_seconds=0.0)


def _moved(before: float | None, now: float, share: float) -> float:
    return now if before is None else before + share * (now - before)


def _rate(before: Reading | None, after: Reading | None) -> float | None:
    """Tokens per second; None for counts that do not compare: the first, one told twice, a restarted engine, a set clock."""
    if before is None or after is None:
        return None
    seconds, tokens = after.time - before.time, after.value - before.value
    return tokens / seconds if LEAST_RATE_SECONDS <= seconds <= LONGEST_RATE_SECONDS and tokens >= 0 else None
