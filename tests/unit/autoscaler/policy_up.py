"""Cases of the policy: what asks for more replicas, and what only looks as if it did."""

from __future__ import annotations

from dataclasses import replace

from fairlead.autoscaler.config import Config
from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.overload import Overload
from fairlead.autoscaler.reasons import Reason
from tests.unit.autoscaler.cases import ELAPSED, busy, load, memory, observation
from tests.unit.autoscaler.policy_cases import DUTY, FULL, QUIET, STARTING, Case

JUMPED = [busy(f"replica-{index}", 0.75) for index in range(4)]
JUMP = {f"replica-{index}": load(0.75) for index in range(4)}
HALF = [busy(f"replica-{index}", 0.5) for index in range(2)]
QUEUE = [busy(f"replica-{index}", 0.5, waiting=9.0) for index in range(2)]
DEEP = Overload(deep_seconds=2.0, waiting=10.0, trend=10.0)
"""A queue that was too deep at the two looks before."""


def rising(each: float) -> Memory:
    """Demand of two replicas that has risen by a tenth of one in every ten seconds."""
    whole = memory(each, each)
    bucket = int(ELAPSED // 10)
    peaks = tuple((bucket - back, 2 * each - 0.1 * back) for back in range(100, 0, -1))
    return replace(whole, history=replace(whole.history, peaks=peaks))


CASES = [
    Case("busy", observation(*FULL), memory(0.9, 0.9), 3, Reason.DEMAND_HIGH, "1.8 full replicas at 65 % of each"),
    Case(
        "busy, and one is coming that will do",
        observation(*FULL, STARTING),
        memory(0.9, 0.9),
        3,
        Reason.REPLICAS_STARTING,
        "1 replicas start",
    ),
    Case(
        "rising",
        observation(*HALF),
        rising(0.5),
        4,
        Reason.DEMAND_RISING,
        "1.0 full replicas will be for 2.2 in 120 s",
    ),
    Case(
        "not rising: a step down only shows more",
        observation(*HALF),
        replace(rising(0.5), lowered=ELAPSED - 60),
        2,
        Reason.STEADY,
        "2 are there",
    ),
    Case(
        "not rising: what a step down does to the slope takes a while to go through",
        observation(*HALF),
        replace(rising(0.5), lowered=ELAPSED - 240),
        2,
        Reason.STEADY,
        "2 are there",
    ),
    Case(
        "rising, long after a step down",
        observation(*HALF),
        replace(rising(0.5), lowered=ELAPSED - 260),
        4,
        Reason.DEMAND_RISING,
        "1.0 full replicas will be for 2.2 in 120 s",
    ),
    Case(
        "rising, where a start takes an hour: no slope is carried on for more than five minutes",
        observation(*HALF),
        replace(rising(0.5), cold_start=3600.0),
        7,
        Reason.DEMAND_RISING,
        "will be for 4.0",
    ),
    Case(
        "a jump within seconds",
        observation(*[busy(f"replica-{index}", 0.98) for index in range(2)]),
        replace(memory(0.98, 0.98), level=1.0),
        3,
        Reason.PANIC,
        "jumped to 2.0",
    ),
    Case(
        "a jump above what is usual",
        observation(*JUMPED),
        replace(memory(*[0.3] * 4), loads=JUMP),
        8,
        Reason.PANIC,
        "jumped to 3.0",
    ),
    Case(
        "a jump to what there are replicas for",
        observation(*JUMPED, *[busy(f"replica-{index}", 0.1) for index in (4, 5)]),
        replace(memory(*[0.3] * 4, 0.1, 0.1), loads=JUMP | {f"replica-{index}": load(0.1) for index in (4, 5)}),
        6,
        Reason.STEADY,
        "6 are there",
    ),
    Case(
        "a jump that is usual",
        observation(*JUMPED),
        replace(memory(*[0.3] * 4, peak=2.6), loads=JUMP),
        4,
        Reason.STEADY,
        "4 are there",
    ),
    Case(
        "a replica that has just begun looks full",
        observation(*JUMPED),
        replace(memory(*[0.3] * 4), loads=JUMP | {"replica-3": replace(load(0.75), heard_seconds=50)}),
        4,
        Reason.STEADY,
        "4 are there",
    ),
    Case(
        "a jump while a queue is worked off",
        observation(*JUMPED),
        replace(memory(*[0.3] * 4), loads=JUMP, overload=Overload(last=ELAPSED - 10)),
        4,
        Reason.STEADY,
        "4 are there",
    ),
    Case(
        "a queue",
        observation(*QUEUE),
        replace(memory(0.5, 0.5), overload=DEEP),
        3,
        Reason.QUEUE_HIGH,
        "18 requests wait on 2 replicas, queueDepth is 4",
    ),
    Case(
        "a queue at one look",
        observation(*QUEUE),
        memory(0.5, 0.5),
        2,
        Reason.STEADY,
        "2 are there",
    ),
    Case(
        "a queue like no other is answered by four times the replicas at most",
        observation(busy("replica-0", 0.9, waiting=5000.0)),
        replace(memory(0.9), overload=replace(DEEP, last=ELAPSED), loads={"replica-0": load(0.9, queued_seconds=20)}),
        4,
        Reason.QUEUE_HIGH,
        "5000 requests wait on 1 replicas",
    ),
    Case(
        "a queue, and none has been there for long",
        observation(*QUEUE),
        replace(
            memory(0.5, 0.5),
            overload=DEEP,
            loads={f"replica-{index}": replace(load(0.5), heard_seconds=10) for index in range(2)},
        ),
        3,
        Reason.QUEUE_HIGH,
        "18 requests wait on 2 replicas",
    ),
    Case(
        "a queue of 12 full replicas: three for what runs, four to empty it within a minute",
        observation(*[busy(f"replica-{index}", 0.9, waiting=124.0) for index in range(2)]),
        replace(
            memory(0.9, 0.9),
            overload=replace(DEEP, last=ELAPSED),
            loads={f"replica-{index}": load(0.9, queued_seconds=20) for index in range(2)},
        ),
        7,
        Reason.QUEUE_HIGH,
        "248 requests wait on 2 replicas",
    ),
    Case(
        "the same queue, grown by two requests a second: as many more as will wait in a minute",
        observation(*[busy(f"replica-{index}", 0.9, waiting=124.0) for index in range(2)]),
        replace(
            memory(0.9, 0.9),
            overload=replace(DEEP, last=ELAPSED, looks=tuple((ELAPSED - 10 + 2 * look, 224.0 + 4 * look) for look in range(6))),
            loads={f"replica-{index}": load(0.9, queued_seconds=20) for index in range(2)},
        ),
        8,
        Reason.QUEUE_HIGH,
        "248 requests wait on 2 replicas, 120 more each minute, queueDepth is 4",
    ),
    Case(
        "grown by ten a second",
        observation(*[busy(f"replica-{index}", 0.9, waiting=124.0) for index in range(2)]),
        replace(
            memory(0.9, 0.9),
            overload=replace(DEEP, last=ELAPSED, looks=tuple((ELAPSED - 10 + 2 * look, 128.0 + 20 * look) for look in range(6))),
            loads={f"replica-{index}": load(0.9, queued_seconds=20) for index in range(2)},
        ),
        8,
        Reason.QUEUE_HIGH,
        "600 more each minute",
    ),
    Case(
        "a queue that shrinks",
        observation(*QUEUE),
        replace(memory(0.5, 0.5), overload=replace(DEEP, trend=40.0)),
        2,
        Reason.QUIET_WINDOW,
        "requests wait: none is taken away",
    ),
    Case(
        "a queue, and two have just come that will help",
        observation(*QUEUE, *[busy(f"replica-{index}", 0.5, waiting=9.0) for index in (2, 3)]),
        replace(
            memory(0.5, 0.5, 0.5, 0.5),
            overload=DEEP,
            loads={f"replica-{index}": replace(load(0.5), heard_seconds=10 if index > 1 else 600) for index in range(4)},
        ),
        4,
        Reason.QUIET_WINDOW,
        "requests wait: none is taken away",
    ),
    Case(
        "the duty cycle votes with a queue",
        observation(busy("replica-0", 0.5, waiting=1.0), busy("replica-1", 0.5)),
        memory(0.5, 0.5),
        3,
        Reason.DUTY_CYCLE_HIGH,
        "97 %, dutyCyclePercent is 80",
        DUTY,
    ),
    Case(
        "the duty cycle alone is no vote: it is high at little load",
        observation(*HALF),
        memory(0.5, 0.5),
        2,
        Reason.STEADY,
        "1.0 full replicas",
        DUTY,
    ),
    Case(
        "too few asked for", observation(asked=0), Memory(), 2, Reason.BELOW_MINIMUM, "minReplicas is 2", Config(min_replicas=2)
    ),
    Case(
        "too many asked for",
        observation(*QUIET, asked=9),
        memory(0.1, 0.1, 0.1),
        8,
        Reason.ABOVE_MAXIMUM,
        "9 were asked for, maxReplicas is 8",
    ),
    Case(
        "no more than the most",
        observation(*[busy(f"replica-{index}", 0.9) for index in range(8)]),
        memory(*[0.9] * 8),
        8,
        Reason.AT_MAXIMUM,
        "maxReplicas is 8",
    ),
]
