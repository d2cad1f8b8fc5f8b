"""A policy asked every two seconds while a trace is played, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fairlead.autoscaler.simulator.fleet import Fleet, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fairlead.autoscaler.simulator.fleet import Engines
    from fairlead.autoscaler.simulator.trace import Trace

TICK = 2.0
"""Seconds between two looks at the replicas, for every policy; slower ones skip looks."""
FIRST_TOKEN = 2.0
"""Seconds within which a first token is in time."""
REVERSAL = 600.0
"""Seconds within which a change in the other direction is a reversal."""


class Policy(Protocol):
    """Says how many replicas there should be."""

    def decide(self, view: View) -> int: ...


class Change(NamedTuple):
    """The policy asked for another number."""

    time: float
    before: int
    after: int


class Moment(NamedTuple):
    """Replicas asked for and ready at a time, and the longest queue since the moment before."""

    time: float
    asked: int
    ready: int
    waiting: float


@dataclass(frozen=True)
class Played:
    """What happened."""

    first: Sequence[float]
    """First-token time of each request in seconds; negative for those that never got one."""
    gpu_hours: float
    changes: tuple[Change, ...]
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class Result:
    """What it was worth."""

    attainment: float
    """Percent of requests whose first token came within FIRST_TOKEN seconds."""
    median: float
    p99: float
    """Seconds to the first token, both."""
    gpu_hours: float
    changes: int
    reversals: int


def play(
    engines: Engines,
    traffic: Trace,
    policy: Policy,
    *,
    cold_start: float,
    start: int,
    most: int,
    every: float = 30.0,
    progress: Callable[[float], None] = lambda _: None,
) -> Played:
    """Play a trace against a policy, with `start` replicas ready at its beginning and at most `most`.

    Args:
        engines: with the trace's requests, and no replica yet.
        traffic: the trace.
        policy: asked at each look.
        cold_start: seconds from asking for a replica to its first request.
        start: replicas that are there at the beginning.
        most: replicas that may be asked for.
        every: seconds between two moments that are kept.
        progress: told the time that is being played, at each of them.
    """
    fleet = Fleet(engines, cold_start, seed=3)
    for _ in range(start):
        fleet.add(0.0, ready=True)
    fleet.look(0.0, 0.0)
    now, target, gpu_seconds, longest, kept = 0.0, start, 0.0, 0.0, 0.0
    changes: list[Change] = []
    moments: list[Moment] = []
    while now < traffic.seconds:
        wanted = max(1, min(policy.decide(View(now, target, fleet.pods)), most))
        if wanted != target:
            changes.append(Change(now, target, wanted))
            target = wanted
            fleet.scale(now, target)
        gpu_seconds += len(fleet.pods) * TICK
        longest = max(longest, sum(pod.waiting for pod in fleet.pods))
        if now >= kept:
            moments.append(Moment(now, target, sum(pod.state == "ready" for pod in fleet.pods), longest))
            longest, kept = 0.0, kept + every
            progress(now)
        engines.advance(now + TICK)
        now += TICK
        fleet.look(now, now - TICK)
    return Played(engines.close(), gpu_seconds / 3600, tuple(changes), tuple(moments))


def late(traffic: Trace, played: Played) -> list[float]:
    """When those requests came whose first token was not in time."""
    return [
        at
        for at, waited in zip(traffic.arrival, played.first, strict=True)
        # What came in the last two seconds and has no token yet is not late.
        if not 0 <= waited <= FIRST_TOKEN and not (waited < 0 and at > traffic.seconds - FIRST_TOKEN)
    ]


def judge(traffic: Trace, played: Played) -> Result:
    """What it was worth to users, and what it cost."""
    first = zip(traffic.arrival, played.first, strict=True)
    # Who never got a token has waited until the end.
    ordered = sorted(waited if waited >= 0 else traffic.seconds - at for at, waited in first)
    return Result(
        attainment=100 * (1 - len(late(traffic, played)) / max(len(ordered), 1)),
        median=ordered[len(ordered) // 2] if ordered else 0.0,
        p99=ordered[int(0.99 * len(ordered))] if ordered else 0.0,
        gpu_hours=played.gpu_hours,
        changes=len(played.changes),
        reversals=reversals(played.changes),
    )


def reversals(changes: Sequence[Change]) -> int:
    """Changes that undo the direction of the one before within REVERSAL seconds."""
    return sum(
        (one.after > one.before) != (other.after > other.before) and other.time - one.time <= REVERSAL
        for one, other in pairwise(changes)
    )
