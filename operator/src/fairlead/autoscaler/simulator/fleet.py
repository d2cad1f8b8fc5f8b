"""Replicas that start, serve and drain, as a Deployment's do."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fairlead.autoscaler.simulator.engine import Reading


class Engines(Protocol):
    """Engines by slot: those of engine.py, or the benchmark's compiled ones."""

    def open(self, slot: int, now: float) -> None: ...
    def drain(self, slot: int) -> None: ...
    def remove(self, slot: int) -> None: ...
    def advance(self, until: float) -> None: ...
    def read(self, slot: int) -> Reading: ...
    def close(self) -> list[float]: ...


@dataclass
class Pod:
    """A replica. Numbers are those of the last look."""

    number: int
    slot: int
    created: float
    ready_at: float
    state: str = "starting"
    """starting, ready or draining."""
    running: float = 0.0
    waiting: float = 0.0
    kv: float = 0.0
    duty: float = 0.0
    """Share of the time since the last look in which it was busy."""
    busy: float = 0.0
    tokens: float = 0.0


@dataclass
class View:
    """What a policy sees."""

    now: float
    target: int
    """What was asked for last."""
    pods: list[Pod]
    """All that hold a GPU, in the order in which they were made."""

    @property
    def ready(self) -> list[Pod]:
        """Those that take requests."""
        return [pod for pod in self.pods if pod.state == "ready"]


class Fleet:
    """Replicas by state. A Deployment's rules: those that start go first on the way down, then the youngest."""

    def __init__(self, engines: Engines, cold_start: float, seed: int) -> None:
        """Start with none. Starts take `cold_start` seconds, give or take a tenth."""
        self.engines = engines
        self.pods: list[Pod] = []
        self._cold_start = cold_start
        self._dice = random.Random(seed)  # noqa: S311  # nosec B311: a start that takes a little longer is no secret
        self._made = 0

    def add(self, now: float, *, ready: bool = False) -> None:
        """One more."""
        taken = {pod.slot for pod in self.pods}
        slot = next(slot for slot in count() if slot not in taken)
        wait = 0.0 if ready else self._cold_start * self._dice.uniform(0.9, 1.1)
        self.pods.append(Pod(self._made, slot, now, now + wait))
        self._made += 1

    def scale(self, now: float, target: int) -> None:
        """As many as that, those that drain not counted."""
        living = [pod for pod in self.pods if pod.state != "draining"]
        for _ in range(target - len(living)):
            self.add(now)
        leaving = sorted(living, key=lambda pod: (pod.state == "starting", pod.created, pod.number), reverse=True)
        for pod in leaving[: max(len(living) - target, 0)]:
            if pod.state == "starting":
                self.pods.remove(pod)
            else:
                pod.state = "draining"
                self.engines.drain(pod.slot)

    def look(self, now: float, since: float) -> None:
        """Read all replicas; those that have started open, those that have drained go."""
        for pod in list(self.pods):
            if pod.state == "starting":
                if pod.ready_at <= now:
                    pod.state = "ready"
                    self.engines.open(pod.slot, now)
                continue
            read = self.engines.read(pod.slot)
            pod.running, pod.waiting, pod.kv, pod.tokens = read.running, read.waiting, read.kv, read.tokens
            pod.duty = min((read.busy - pod.busy) / (now - since), 1.0) if now > since else 0.0
            pod.busy = read.busy
            if pod.state == "draining" and not pod.running and not pod.waiting:
                self.engines.remove(pod.slot)
                self.pods.remove(pod)
