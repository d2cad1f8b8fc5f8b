"""What one look adds to the memory, and the demand that follows from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fairlead.autoscaler import capacity
from fairlead.autoscaler.load import Load, heard, unheard
from fairlead.autoscaler.memory import NONE, Memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fairlead.autoscaler.capacity import Capacity
    from fairlead.autoscaler.clock import Clock, Tick
    from fairlead.autoscaler.config import Config
    from fairlead.autoscaler.seen import Seen

_UNKNOWN = Load()
DRAIN = 3.0
"""A replica that is full of requests can be full of others three times within the minute that a queue may take to empty."""
LEVEL_SECONDS = 30.0
"""A burst of seconds is no reason to keep a replica for a quiet window: one more would not have been there in time."""
STUCK = 3
"""A replica that takes so many times as long to start as others is not coming: it holds nothing up."""
FORGET_SHORTER = 0.2
"""A start that was shorter than the longest one moves the measure by this share: long starts are the ones to plan for."""


def update(memory: Memory, clock: Clock, tick: Tick, seen: Seen, config: Config) -> Memory:
    """With the loads, the starts, the capacity and the demand of this look, one `tick` after the last."""
    elapsed, seconds, known_loads, readable = clock.elapsed, tick.seconds, memory.loads, seen.readable
    loads = {each.name: heard(known_loads.get(each.name, _UNKNOWN), each, seconds, config.queue_depth) for each in readable}
    if len(readable) < len(seen.ready):
        silent = [each.name for each in seen.ready if each.name not in loads]
        loads.update((name, unheard(known_loads.get(name, _UNKNOWN))) for name in silent)
    healthy = [loads[each.name] for each in seen.readable if each.name not in seen.broken]
    known = capacity.learn(memory.capacity, healthy, seconds)
    level, surge, history = memory.level, memory.surge, memory.history
    overload = memory.overload.unwatched() if tick.jumped or not readable else memory.overload
    if readable:
        busy, queue = demand(seen, loads, known, config)
        surge = busy + queue / DRAIN
        # Over those that serve and are not broken: a broken replica's queue is no demand.
        overload = overload.look(elapsed, seconds, sum(load.waiting for load in healthy), config.queue_depth * seen.healthy)
        if memory.overload.last is None:
            level = busy if level is None else level - math.expm1(-seconds / LEVEL_SECONDS) * (busy - level)
            history = history.add(elapsed, level, config.quiet_seconds)
        else:
            # Full replicas would be taken for demand: the level waits until the queue is worked off, and the quiet window
            # begins then.
            level = surge if overload.last is None else level
            history = history.begin(elapsed)
    return Memory(
        clock=clock,
        loads=loads,
        starting={name: memory.starting.get(name, elapsed) for name in seen.starting} if seen.starting else NONE,
        returning=_returning(memory, seen) if seen.starting else frozenset(),
        cold_start=_cold_start(memory, seen, elapsed),
        capacity=known,
        level=level,
        surge=surge,
        overload=overload,
        history=history,
        raised=memory.raised,
        lowered=memory.lowered,
        lowered_at_peak=memory.lowered_at_peak,
        regrets=memory.regrets,
    )


def _returning(memory: Memory, seen: Seen) -> frozenset[str]:
    return frozenset(name for name in seen.starting if name in memory.loads or name in memory.returning)


def demand(
    seen: Seen, loads: Mapping[str, Load], known: Capacity, config: Config, *, new_seconds: float = 0.0, more: float = 0.0
) -> tuple[float, float]:
    """Full replicas that would carry what the replicas work on, and that would hold what waits beyond what may.

    A replica that cannot be read just now counts as it was when last heard. A broken one's queue does not count, and what it was
    busy with is soon nothing. One that has been heard for less than `new_seconds` does not count. `more`: requests that will have
    joined the queues.
    """
    busy = queue = 0.0
    queued: list[Load] = []
    for replica in seen.ready:
        load = loads[replica.name]
        if load.heard_seconds >= new_seconds or load.counted is None:
            busy += known.used(load, seen.at_once)
            if load.saturated and load.waiting > config.queue_depth and replica.name not in seen.broken:
                queued.append(load)
    for load in queued:
        requests = load.waiting - config.queue_depth + more / len(queued)
        queue += requests / max(seen.at_once or known.full_running or load.running, 1.0)
    return busy, queue


def coming(memory: Memory, config: Config) -> list[str]:
    """Replicas that start and are not stuck."""
    if not memory.starting:
        return []
    longest = STUCK * max(memory.cold_start or 0.0, float(config.cold_start_seconds))
    elapsed = memory.clock.elapsed
    return [name for name, since in memory.starting.items() if elapsed - since <= longest]


def _cold_start(memory: Memory, seen: Seen, elapsed: float) -> float | None:
    """The measure after this look: replicas that started before and serve now have just taken so long."""
    known = memory.cold_start
    if not memory.starting:
        return known
    for replica in seen.ready:
        since = memory.starting.get(replica.name)
        if since is not None and replica.name not in memory.returning:
            took = elapsed - since
            known = took if known is None or took > known else known + FORGET_SHORTER * (took - known)
    return known
