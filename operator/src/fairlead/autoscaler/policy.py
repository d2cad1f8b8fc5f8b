"""How many replicas there should be: a function from what is seen, remembered and configured to a number and its reason.

Up, at once: on demand (how much of each replica is in use, and the queue) against what a replica can do, and on demand's slope
over the time that a start takes. Down, one at a time: when one replica fewer would have carried the greatest demand of the quiet
window, nothing starts, nothing is unknown and no GPU speaks against it. What is not known holds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING

from fairlead.autoscaler import learning
from fairlead.autoscaler.demand import TREND_SECONDS
from fairlead.autoscaler.memory import Regret
from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.seen import Seen, see
from fairlead.autoscaler.value import value

if TYPE_CHECKING:
    from fairlead.autoscaler.config import Config
    from fairlead.autoscaler.memory import Memory
    from fairlead.autoscaler.observation import Observation

PANIC_PERCENT = 90.0
"""What came in a quarter of a minute is noise for the most part; so much of it is an overload."""
UNUSUAL = 1.2
"""So many times the greatest demand of the quiet window is a jump, if it is more than was planned for, too."""
AHEAD = 1.0
"""A jump goes on for as long as demand is smoothed (30 s): by what the last quarter of a minute is above the last minute."""
HELPED_SECONDS = 30.0
"""Before, a replica beside older ones has not had the time to work off any queue, and its own asks for no other."""
HYSTERESIS = 0.95
"""A step down must leave so much of the planned load: at the load at which a replica is added none is taken away."""
MOST_AT_ONCE = 4
"""Times the replicas that serve: how much more it takes shows only when they are there."""
HORIZON_SECONDS = 300.0
"""A slope of two minutes is carried on for five at most: what rises seldom goes on for longer as it began."""
SETTLED_SECONDS = 135.0
"""Three times what smooths a load (15 s) and the demand (30 s): 95 % of a step has gone through."""
REGRETTED = 0.9
LEAST_LOWER = 0.1
"""Of a full replica: where replicas have a request or none, less than that is no demand that is lower, but noise."""
MOST_REGRETS = 3
"""4**3 quiet windows: 16 hours, with the usual ones."""
AHEAD_SECONDS = 60.0
"""A queue that grows is counted as it will be in a minute. While it stands, its growth is all that tells how much more comes than
can be served, and replicas that are asked for one by one as it gets longer come one by one as well. As it will be once a replica
has started would be too much: with starts of five minutes all that may be asked for are, at each queue."""
ROUNDING = 1e-9


@value(frozen=True, slots=True)
class Inputs:
    """The numbers that a decision was made from."""

    asked: int
    ready: int
    starting: int
    terminating: int
    unreadable: int
    broken: int
    waiting: int
    growth: float
    """Requests per second by which a queue that stands gets longer."""
    running: float
    demand: float
    """Full replicas that would carry what is in flight, over the last minute; while a queue stands, of before."""
    surge: float
    """The same over a quarter of a minute, and what it takes to work off the queue."""
    forecast: float
    """The same when a replica that is asked for now would serve."""
    peak: float
    """The greatest demand of the quiet window."""
    duty_cycle_percent: float | None
    cold_start_seconds: float
    speed: float | None
    """Tokens per second that a request gets on an idle replica."""


@value(frozen=True, slots=True)
class Decision:
    """How many replicas, why, and what to remember."""

    replicas: int
    reason: Reason
    message: str
    inputs: Inputs
    memory: Memory


@value(frozen=True, slots=True)
class _Verdict:
    replicas: int
    reason: Reason
    message: str


_Vote = tuple[int, Reason]


def decide(observation: Observation, memory: Memory, config: Config) -> Decision:
    """The decision. It never raises replicas above maxReplicas nor lowers them below minReplicas."""
    clock, tick = memory.clock.tick(observation.now)
    seen = see(observation)
    calm = memory.overload.last is None
    memory = learning.update(memory, clock, tick, seen, config)
    inputs = _inputs(seen, memory, config)
    held = max(config.min_replicas, min(observation.asked, config.max_replicas))
    verdict = _bounds(observation.asked, held, config)
    if verdict is None and tick.jumped:
        verdict = _Verdict(held, Reason.CLOCK_JUMPED, "the clock jumped: as many replicas as there are, until the next readings")
    verdict = verdict or _blind(seen, held) or _up(seen, inputs, memory, config, calm=calm)
    verdict = verdict or _not_down(seen, inputs, memory, config) or _down(inputs, memory, config)
    return Decision(verdict.replicas, verdict.reason, verdict.message, inputs, _moved(memory, held, verdict.replicas, config))


def _inputs(seen: Seen, memory: Memory, config: Config) -> Inputs:
    demand = memory.level or 0.0
    cold_start = float(config.cold_start_seconds) if memory.cold_start is None else memory.cold_start
    return Inputs(
        asked=seen.asked,
        ready=len(seen.ready),
        starting=len(learning.coming(memory, config)),
        terminating=seen.terminating,
        unreadable=len(seen.ready) - len(seen.readable),
        broken=len(seen.broken),
        waiting=int(seen.waiting),
        growth=memory.overload.growth,
        running=round(seen.running, 1),
        demand=demand,
        surge=memory.surge,
        forecast=demand + _slope(memory) * min(cold_start, HORIZON_SECONDS),
        peak=memory.history.peak,
        duty_cycle_percent=seen.duty,
        cold_start_seconds=cold_start,
        speed=memory.capacity.idle_speed or memory.capacity.speed,
    )


def _slope(memory: Memory) -> float:
    """Demand's slope, once what a step down did to it is over: fewer replicas show more of it for a while, and no more came."""
    lowered = memory.lowered is not None and memory.clock.elapsed - memory.lowered < TREND_SECONDS + SETTLED_SECONDS
    return 0.0 if lowered else memory.history.slope


def _bounds(asked: int, held: int, config: Config) -> _Verdict | None:
    if asked < held:
        return _Verdict(held, Reason.BELOW_MINIMUM, f"{asked} were asked for, minReplicas is {config.min_replicas}")
    if asked > held:
        return _Verdict(held, Reason.ABOVE_MAXIMUM, f"{asked} were asked for, maxReplicas is {config.max_replicas}")
    return None


def _blind(seen: Seen, held: int) -> _Verdict | None:
    """Nobody can be read: hold."""
    if not seen.ready:
        return _Verdict(held, Reason.NO_REPLICA_READY, "no replica serves yet")
    if not seen.readable:
        word = {Reason.METRICS_MISSING: "told nothing", Reason.METRICS_INVALID: "told what is not a number"}
        what = word.get(seen.worst, "told nothing new lately")
        return _Verdict(held, seen.worst, f"all {len(seen.ready)} replicas that serve {what}: their number stays")
    return None


def _up(seen: Seen, inputs: Inputs, memory: Memory, config: Config, *, calm: bool) -> _Verdict | None:
    held = inputs.asked
    wanted, reason = _wanted(seen, inputs, memory, config, calm=calm)
    if wanted <= held:
        return None
    # Only now: at most looks nobody would read it.
    message = _why(reason, inputs, config)
    if seen.unschedulable:
        message = f"{message}; no node takes {', '.join(seen.unschedulable)}"
        if seen.terminating:
            message += f", {seen.terminating} that end still hold their GPUs"
        return _Verdict(held, Reason.NO_CAPACITY, message)
    if held == config.max_replicas:
        return _Verdict(held, Reason.AT_MAXIMUM, f"{message}, maxReplicas is {held}")
    return _Verdict(min(wanted, config.max_replicas), reason, message)


def _wanted(seen: Seen, inputs: Inputs, memory: Memory, config: Config, *, calm: bool) -> _Vote:
    """The greatest vote; `calm`: no queue stood before this look."""
    healthy = seen.healthy
    most = MOST_AT_ONCE * inputs.ready
    # What a broken one should carry others have to: one for each, and no more than there are others to show that one can work.
    # What breaks every replica, or says so of every one, would break the next as well.
    replaced = min(inputs.broken, healthy)

    percent = config.load_percent
    votes = [(_carry(inputs.demand, percent), Reason.DEMAND_HIGH), (_carry(inputs.forecast, percent), Reason.DEMAND_RISING)]
    if calm:
        jumped = max(_carry(inputs.surge, max(PANIC_PERCENT, percent)), _carry(_jump(inputs, memory, config), percent))
        # One that is new looks full without a jump.
        if jumped + replaced > inputs.asked and not any(memory.loads[each.name].new for each in seen.readable):
            votes.append((jumped, Reason.PANIC))
    if memory.overload.stands and not memory.overload.shrinks:
        helped = sum(
            memory.loads[each.name].heard_seconds >= HELPED_SECONDS and each.name not in seen.broken for each in seen.readable
        )
        new_seconds = HELPED_SECONDS if helped else 0.0
        more = AHEAD_SECONDS * inputs.growth
        busy, queue = learning.demand(seen, memory.loads, memory.capacity, config, new_seconds=new_seconds, more=more)
        needed = busy + queue / learning.DRAIN * percent / 100
        least = (helped + inputs.unreadable if helped else healthy) + 1
        votes.append((max(_carry(needed, percent), least), Reason.QUEUE_HIGH))
    wanted, reason = max(votes, key=itemgetter(0))
    wanted = min(wanted, most) + replaced
    target, duty = config.duty_cycle_percent, inputs.duty_cycle_percent
    if target is not None and duty is not None and duty > target and inputs.waiting > 0:
        # Not by more than one: the duty cycle is close to 100 whether a GPU has a little too much to do or ten times too much.
        one_more = min(inputs.ready, inputs.asked) + 1
        if one_more > wanted:
            return one_more, Reason.DUTY_CYCLE_HIGH
    return wanted, reason


def _carry(demand: float, percent: float) -> int:
    """Replicas that would carry it, each with so much of what it can do."""
    return math.ceil(100 * demand / percent - ROUNDING)


def _why(reason: Reason, inputs: Inputs, config: Config) -> str:
    """A vote's reason in words."""
    now, planned = f"demand for {inputs.demand:.1f} full replicas", f"at {config.load_percent} % of each"
    match reason:
        case Reason.DEMAND_HIGH:
            return f"{now} {planned}"
        case Reason.DEMAND_RISING:
            return f"{now} will be for {inputs.forecast:.1f} in {inputs.cold_start_seconds:.0f} s, {planned}"
        case Reason.PANIC:
            return f"demand jumped to {inputs.surge:.1f} full replicas"
        case Reason.QUEUE_HIGH:
            more = f", {60 * inputs.growth:.0f} more each minute" if inputs.growth else ""
            return f"{inputs.waiting} requests wait on {inputs.ready} replicas{more}, queueDepth is {config.queue_depth}"
        case _:
            return _duty(inputs, config)


def _jump(inputs: Inputs, memory: Memory, config: Config) -> float:
    """Where demand will be in a moment, if it has just jumped; 0 if it has not."""
    usual = memory.history.usual
    if usual is None or inputs.surge <= max(UNUSUAL * usual, inputs.asked * config.load_percent / 100):
        return 0.0
    return inputs.surge + AHEAD * max(inputs.surge - inputs.demand, 0.0)


def _duty(inputs: Inputs, config: Config) -> str:
    return f"GPU duty cycle {inputs.duty_cycle_percent:.0f} %, dutyCyclePercent is {config.duty_cycle_percent:.0f}"


def _not_down(seen: Seen, inputs: Inputs, memory: Memory, config: Config) -> _Verdict | None:
    """What forbids to take one away."""
    held = inputs.asked
    if seen.broken:
        names = ", ".join(seen.broken)
        return _Verdict(
            held, Reason.QUEUE_WITHOUT_WORK, f"requests wait on {names} and the GPU does nothing: it is broken, not busy"
        )
    if inputs.unreadable:
        return _Verdict(
            held,
            Reason.METRICS_PARTIAL,
            f"{inputs.unreadable} of {inputs.ready} replicas that serve cannot be read: none is taken away",
        )
    if inputs.starting:
        return _Verdict(held, Reason.REPLICAS_STARTING, f"{inputs.starting} replicas start: none is taken away until they serve")
    if memory.overload.last is not None and inputs.waiting:
        # How busy the replicas are says nothing while they work off a queue, and the demand of before is over.
        words = f"{inputs.waiting} requests wait: none is taken away, and the quiet window begins when they are gone"
        return _Verdict(held, Reason.QUIET_WINDOW, words)
    if held == config.min_replicas or not _enough(max(inputs.demand, inputs.surge), held - 1, config):
        return _Verdict(held, Reason.STEADY, f"demand for {inputs.demand:.1f} full replicas, {held} are there")
    return _veto(seen, inputs, config, held)


def _veto(seen: Seen, inputs: Inputs, config: Config, held: int) -> _Verdict | None:
    if seen.contradicted:
        names = ", ".join(seen.contradicted)
        return _Verdict(held, Reason.DUTY_CYCLE_VETO, f"{names} work on no request, and the GPU is busy: its metrics stand still")
    target, percent = config.duty_cycle_percent, inputs.duty_cycle_percent
    if target is not None and percent is not None and percent * inputs.ready > target * (held - 1):
        return _Verdict(held, Reason.DUTY_CYCLE_VETO, f"{_duty(inputs, config)}: one replica fewer would be over it")
    return None


def _enough(demand: float, replicas: int, config: Config) -> bool:
    return demand <= replicas * config.load_percent / 100 * HYSTERESIS


def _down(inputs: Inputs, memory: Memory, config: Config) -> _Verdict:
    held = inputs.asked
    elapsed = memory.clock.elapsed
    raised = math.inf if memory.raised is None else elapsed - memory.raised
    lowered = math.inf if memory.lowered is None else elapsed - memory.lowered
    regret = memory.regrets.get(held)
    if not _enough(inputs.peak, held - 1, config) or min(memory.history.watched(elapsed), raised) < config.quiet_seconds:
        seconds = config.quiet_seconds
        message = (
            f"{held - 1} would do now; they would have to do for {seconds} s (greatest demand {inputs.peak:.1f} full replicas)"
        )
    elif lowered < config.step_seconds:
        message = f"{held - 1} would do; the step before was {lowered:.0f} s ago"
    elif regret is not None and elapsed < regret.until and inputs.peak > _lower(regret.peak):
        message = (
            f"{held - 1} were tried at a demand for {regret.peak:.1f} full replicas and did not do: not at such a demand for "
            f"another {(regret.until - elapsed) / 60:.0f} min"
        )
    else:
        peak, seconds = inputs.peak, config.quiet_seconds
        message = f"demand was for {peak:.1f} full replicas at most in {seconds} s: {held - 1} will do"
        return _Verdict(held - 1, Reason.DEMAND_LOW, message)
    return _Verdict(held, Reason.QUIET_WINDOW, message)


def _lower(peak: float) -> float:
    """Demand that is lower than that one was."""
    return min(REGRETTED * peak, peak - LEAST_LOWER)


def _moved(memory: Memory, held: int, replicas: int, config: Config) -> Memory:
    """Remember a change.

    Whatever was wrong with what was known of the replicas: a step down that had to be undone is not tried again before demand is
    lower than it was, or four times as much time has gone by as the last time.
    """
    elapsed = memory.clock.elapsed
    if replicas < held:
        return replace(memory, lowered=elapsed, lowered_at_peak=memory.history.peak)
    if replicas == held:
        return memory
    regrets = dict(memory.regrets)
    undone = memory.lowered is not None and elapsed - memory.lowered <= config.quiet_seconds
    if undone and (memory.raised is None or memory.raised < (memory.lowered or 0.0)):
        before = regrets.get(held + 1)
        # One that has not been tried for as long again as it was held off is forgotten.
        recent = before is not None and elapsed - before.until <= config.quiet_seconds * 4**before.times
        times = min(before.times + 1, MOST_REGRETS) if before and recent else 1
        regrets[held + 1] = Regret(memory.lowered_at_peak, elapsed + config.quiet_seconds * 4**times, times)
    return replace(memory, raised=elapsed, regrets=regrets)
