"""Observations and memories for tests: replicas that are as busy as the test says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fairlead.autoscaler.capacity import Capacity
from fairlead.autoscaler.clock import Clock
from fairlead.autoscaler.config import Config
from fairlead.autoscaler.demand import History
from fairlead.autoscaler.load import Load
from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.observation import Observation, Phase, Reading, Replica

NOW = 1_000_000.0
ELAPSED = 10_000.0
CONFIG = Config(min_replicas=1, max_replicas=8, load_percent=65, quiet_seconds=600)
SPEED = 50.0
RUNNING = 20.0
CAPACITY = Capacity(speed=SPEED, full_slowdown=0.8)


def busy(name: str, used: float, **readings: float | None) -> Replica:
    """A replica of which that share is in use; other readings by name, None for one that is missing."""
    values: dict[str, float | None] = {
        "running": RUNNING if used else 0.0,
        "waiting": 0.0,
        "tokens": rate(used) * 2.0 if used else 0.0,
        "kv_cache_percent": 10.0,
        "duty_cycle_percent": 97.0 if used else 0.0,
        **readings,
    }
    told: dict[str, Any] = {key: None if value is None else Reading(value, NOW) for key, value in values.items()}
    return Replica(name, Phase.READY, **told)


def rate(used: float) -> float:
    """Tokens per second of a replica of which that share is in use."""
    return RUNNING * SPEED * (1 - used * CAPACITY.full_slowdown)


def load(used: float, **more: Any) -> Load:
    """What is remembered of it from two seconds ago."""
    known: dict[str, Any] = {"counted": Reading(0.0, NOW - 2), "heard_seconds": 600.0, "told_duty": True}
    return Load(running=RUNNING if used else 0.0, token_rate=rate(used) if used else 0.0, **(known | more))


def memory(*used: float, peak: float | None = None, **more: Any) -> Memory:
    """Of replicas `replica-0` and so on that have been so busy for a long while, but for a `peak` some minutes ago."""
    demand = sum(used)
    greatest = demand if peak is None else peak
    peaks = tuple((int(ELAPSED // 10) - back, greatest if back == 40 else demand) for back in range(100, 0, -1))
    whole = Memory(
        clock=Clock(ELAPSED, NOW - 2),
        loads={f"replica-{index}": load(each) for index, each in enumerate(used)},
        cold_start=120.0,
        capacity=CAPACITY,
        history=History(peaks, since=0.0, peak=greatest),
        level=demand,
    )
    return replace(whole, **more)


def observation(*replicas: Replica, asked: int | None = None, now: float = NOW) -> Observation:
    """Of these; as many were asked for, if the test says nothing else."""
    return Observation(now, len(replicas) if asked is None else asked, replicas)
