"""What one replica can do, learned from the replicas themselves.

Continuous batching has no fixed number of requests that fit. But every step of an engine is shared by all its requests, so a
request's tokens come the slower the more the engine has to do: an engine that is idle but for one request gives it `speed`
tokens per second, one that works on prompts and other requests for a share x of its time gives it speed * (1 - x). The slowdown
1 - (tokens per second and request) / speed is therefore how busy the engine is, whatever the mix of prompts and answers, on
any GPU. Two other limits can be reached first: the KV cache, which the engine tells, and the number of requests it takes at
once, which the spec tells or else shows when requests wait. An engine of two at once is full when it is hardly slower.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import TYPE_CHECKING

from fairlead.autoscaler.idle import Line
from fairlead.autoscaler.value import value

if TYPE_CHECKING:
    from collections.abc import Collection

    from fairlead.autoscaler.load import Load

FASTER_SECONDS = 60.0
"""A request that is faster than `speed` moves it so fast: one lucky look does not."""
SLOWER_SECONDS = 72 * 3600.0
"""Engines change (a new version, a warmer GPU), so that a speed that is never seen again is forgotten, over days."""
LEARN_SECONDS = 300.0
"""What a full replica looks like is learned so fast while one is full."""
LEAST_SLOWDOWN = 0.4
"""An engine that is full at less is limited by the number of its requests, and its slowdown says nothing."""
FULL_SLOWDOWN = 0.85
"""Until one was seen. Engines of the simulator are full at 0.8 to 0.9."""
FASTEST = 1.25
"""Times the fastest that was seen: a line through what varied little may begin anywhere."""
MOST_SPEED = 10_000.0
"""Tokens per second and request. No engine is so fast: who tells it has miscounted, and to forget it would take weeks."""
FULL_KV = 0.95
"""vLLM begins to put requests back when a decode finds no free block."""


@value(frozen=True, slots=True)
class Capacity:
    """What is known of a replica."""

    speed: float | None = None
    """Tokens per second and request, the most that was seen."""
    full_slowdown: float = FULL_SLOWDOWN
    """How slow a replica is that has all it can do."""
    full_running: float | None = None
    """Requests that such a replica works on at once."""
    line: Line = field(default_factory=Line)
    idle_speed: float | None = None
    """Tokens per second that one request would get on an engine that is idle but for it; None: as `speed`."""

    def slowdown(self, load: Load) -> float:
        """How much slower a request is than on an idle engine, 0 to 1."""
        return _slowdown(load, self.idle_speed or self.speed)

    def used(self, load: Load, at_once: int | None = None) -> float:
        """The share of a replica that is in use, about 1 when it is full; `at_once`: requests that it is limited to."""
        if self.full_running and self.full_slowdown < LEAST_SLOWDOWN:
            busy = load.running / self.full_running
        else:
            busy = self.slowdown(load) / max(self.full_slowdown, LEAST_SLOWDOWN)
        slots = load.running / at_once if at_once else 0.0
        return min(max(busy, slots, load.kv / FULL_KV), 1.0)


def learn(capacity: Capacity, loads: Collection[Load], seconds: float) -> Capacity:
    """From replicas that were heard just now."""
    settled = [
        load for load in loads if load.settled and load.running >= 1 and (load.token_rate or 0.0) <= MOST_SPEED * load.running
    ]
    if not settled:
        return capacity
    speed = _speed(capacity.speed, settled, seconds)
    line = capacity.line.add(settled, seconds)
    fitted = line.speed or capacity.idle_speed
    idle = None if fitted is None else min(max(fitted, speed), FASTEST * speed)
    slowdown, running = capacity.full_slowdown, capacity.full_running
    share = -math.expm1(-seconds / LEARN_SECONDS)
    slowest = most = slow = held = 0.0
    full = 0
    for load in settled:
        if not load.waiting:
            slowest, most = max(slowest, _slowdown(load, idle or speed)), max(most, load.running)
        elif load.saturated:
            full += 1
            slow += _slowdown(load, idle or speed)
            held += load.running
    if full:
        slowdown += share * (slow / full - slowdown)
        running = held / full if running is None else running + share * (held / full - running)
    # Who does more than a full one, and nothing waits, shows that full was not full.
    slowdown += share * max(slowest - slowdown, 0.0)
    if running is not None:
        running += share * max(most - running, 0.0)
    return Capacity(speed, slowdown, running, line, idle)


def _slowdown(load: Load, speed: float | None) -> float:
    if not speed or load.running < 1 or load.token_rate is None:
        return 0.0
    return min(max(1 - load.token_rate / load.running / speed, 0.0), 1.0)


def _speed(speed: float | None, loads: Collection[Load], seconds: float) -> float:
    tokens = running = 0.0
    for load in loads:
        tokens += load.token_rate or 0.0
        running += load.running
    seen = tokens / running
    if speed is None:
        return seen
    return speed + -math.expm1(-seconds / (FASTER_SECONDS if seen > speed else SLOWER_SECONDS)) * (seen - speed)
