"""A model of replicas under a constant load, in closed form: fast enough to play hours of it in a test.

Each replica can do `capacity` of whatever the load is counted in. The more of it is in use the slower its requests get, until
`most_running` are in it; the rest waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from fairlead.autoscaler import report
from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.observation import Observation, Phase, Reading, Replica
from fairlead.autoscaler.policy import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fairlead.autoscaler.config import Config
    from fairlead.autoscaler.policy import Decision

TICK = 10.0
"""Seconds between two looks: more than in production, so that hours take fewer of them."""
SPEED = 50.0
"""Tokens per second of a request that is alone."""


@dataclass
class Plant:
    """Replicas, a load and a policy that is asked about them."""

    config: Config
    load: float
    capacity: float = 1.0
    most_running: float = 200.0
    half: float = 20.0
    """Requests in a replica of which half is in use."""
    cold_start: float = 120.0
    asked: int = 1
    now: float = 1_000_000.0
    """The outer clock, which tests set."""
    time: float = 0.0
    memory: Memory = field(default_factory=Memory)
    ready_at: list[float] = field(default_factory=lambda: [0.0])
    waiting: float = 0.0
    tokens: float = 0.0
    blind: Callable[[Replica, float], Replica] = field(default=lambda replica, _: replica)
    """What the readings look like on their way."""
    unready: int = 0
    """So many of the oldest do not serve, although they did."""
    full_kv_percent: float = 90.0
    """Of the KV cache, with as many requests as fit."""
    at_once: int | None = None
    """As many requests as the policy is told to fit."""
    full: bool = False
    """No node takes another one: those that start wait until one does."""

    def look(self) -> Decision:
        """One look, and what follows from it."""
        if self.full:
            self.ready_at = [at if at <= self.time else self.time + self.cold_start + TICK for at in self.ready_at]
        serving = [index >= self.unready and at <= self.time for index, at in enumerate(self.ready_at)]
        ready = sum(serving)
        full = self.most_running / (self.half + self.most_running)
        share = self.load / (self.capacity * ready) if ready else 0.0
        used = min(share, full)
        if used < full and self.waiting:
            used = full
        running = min(self.half * used / (1 - used), self.most_running)
        # A replica's requests per second at full use, from Little's law with an answer of 200 tokens.
        rate = SPEED * self.half / 200
        self.waiting = max(self.waiting + (share - used) * rate * ready * TICK, 0.0)
        self.tokens += running * SPEED * (1 - used) * TICK
        replicas = []
        for index, at in enumerate(self.ready_at):
            name = f"replica-{index}-{at}"
            if not serving[index]:
                replicas.append(Replica(name, Phase.STARTING, unschedulable=self.full and at > self.time))
                continue
            seen = Replica(
                name,
                Phase.READY,
                running=Reading(running, self.now),
                waiting=Reading(self.waiting / ready, self.now),
                tokens=Reading(self.tokens, self.now),
                kv_cache_percent=Reading(self.full_kv_percent * running / self.most_running, self.now),
                duty_cycle_percent=Reading(100.0 if running else 0.0, self.now),
            )
            replicas.append(self.blind(seen, self.now))
        decision = decide(Observation(self.now, self.asked, tuple(replicas), self.at_once), self.memory, self.config)
        self.memory = decision.memory
        if decision.replicas > self.asked:
            self.ready_at += [self.time + self.cold_start] * (decision.replicas - self.asked)
        elif decision.replicas < self.asked:
            del self.ready_at[decision.replicas :]
        self.asked = decision.replicas
        self.time += TICK
        self.now += TICK
        return decision

    def forget(self) -> None:
        """Another operator takes over: it knows what the status tells of what was learned."""
        status = {"learned": report._learned(self.memory).to_wire()}
        self.memory = report.remembered(status)

    def play(self, seconds: float) -> list[int]:
        """Replicas asked for at each look."""
        return [self.look().replicas for _ in range(int(seconds / TICK))]


def turns(counts: Sequence[int]) -> int:
    """How often the direction of change turns."""
    steps = [after - before for before, after in pairwise(counts) if after != before]
    return sum(one * other < 0 for one, other in pairwise(steps))
