"""Cases of the policy: what lets it do with fewer, and what it waits for before."""

from __future__ import annotations

from dataclasses import replace

from fairlead.autoscaler.memory import Memory, Regret
from fairlead.autoscaler.observation import Phase, Replica
from fairlead.autoscaler.reasons import Reason
from tests.unit.autoscaler.cases import CONFIG, ELAPSED, busy, memory, observation
from tests.unit.autoscaler.policy_cases import DUTY, FULL, QUIET, STARTING, TERMINATING, Case

UNSCHEDULABLE = Replica("replica-9", Phase.STARTING, unschedulable=True)

CASES = [
    Case("quiet", observation(*QUIET), memory(0.1, 0.1, 0.1), 2, Reason.DEMAND_LOW, "2 will do"),
    Case(
        "quiet, for too short a time",
        observation(*QUIET),
        memory(0.1, 0.1, 0.1, peak=2.0),
        3,
        Reason.QUIET_WINDOW,
        "2 would do now; they would have to do for 600 s",
    ),
    Case(
        "quiet, and one was added lately",
        observation(*QUIET),
        memory(0.1, 0.1, 0.1, raised=ELAPSED - 500),
        3,
        Reason.QUIET_WINDOW,
        "2 would do now",
    ),
    Case(
        "quiet, and nobody watched before",
        observation(*QUIET),
        replace(memory(0.1, 0.1, 0.1), history=Memory().history),
        3,
        Reason.QUIET_WINDOW,
        "2 would do now",
    ),
    Case(
        "quiet, and one was taken away a moment ago",
        observation(*QUIET),
        memory(0.1, 0.1, 0.1, lowered=ELAPSED - 10),
        3,
        Reason.QUIET_WINDOW,
        "the step before was 12 s ago",
    ),
    Case(
        "quiet, and two did not do the last time",
        observation(*QUIET),
        memory(0.1, 0.1, 0.1, regrets={3: Regret(peak=0.3, until=ELAPSED + 600, times=1)}),
        3,
        Reason.QUIET_WINDOW,
        "2 were tried at a demand for 0.3 full replicas and did not do",
    ),
    Case(
        "quieter than when two did not do",
        observation(*QUIET),
        memory(0.1, 0.1, 0.1, regrets={3: Regret(peak=0.5, until=ELAPSED + 600, times=1)}),
        2,
        Reason.DEMAND_LOW,
        "2 will do",
    ),
    Case(
        "quieter by a hair, where next to nothing is seen of a demand for which two did not do",
        observation(*[busy(f"replica-{index}", 0.0) for index in range(3)]),
        memory(0.0, 0.0, 0.0, peak=0.03, regrets={3: Regret(peak=0.1, until=ELAPSED + 600, times=1)}),
        3,
        Reason.QUIET_WINDOW,
        "2 were tried at a demand for 0.1 full replicas and did not do",
    ),
    Case(
        "quiet, as few as may be",
        observation(busy("replica-0", 0.1)),
        memory(0.1),
        1,
        Reason.STEADY,
        "0.1 full replicas, 1 are there",
    ),
    Case(
        "one starts",
        observation(*QUIET, STARTING),
        memory(0.1, 0.1, 0.1),
        4,
        Reason.REPLICAS_STARTING,
        "1 replicas start",
    ),
    Case(
        "one starts that never comes",
        observation(*QUIET, STARTING),
        memory(0.1, 0.1, 0.1, starting={"replica-8": ELAPSED - 3600}),
        3,
        Reason.DEMAND_LOW,
        "3 will do",
    ),
    Case(
        "one still ends its streams",
        observation(*QUIET, TERMINATING, asked=3),
        memory(0.1, 0.1, 0.1),
        2,
        Reason.DEMAND_LOW,
        "2 will do",
    ),
    Case("none serves yet", observation(STARTING), Memory(), 1, Reason.NO_REPLICA_READY, "no replica serves yet"),
    Case(
        "no node has a GPU",
        observation(*FULL, UNSCHEDULABLE, TERMINATING, asked=3),
        memory(0.98, 0.98),
        3,
        Reason.NO_CAPACITY,
        "no node takes replica-9, 1 that end still hold their GPUs",
        replace(CONFIG, load_percent=50),
    ),
    Case(
        "no node has a GPU, and it is no longer needed",
        observation(*QUIET, UNSCHEDULABLE),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.DEMAND_LOW,
        "3 will do",
    ),
    Case(
        "a duty cycle over the target with one fewer",
        observation(*[busy(f"replica-{index}", 0.1, duty_cycle_percent=60.0) for index in range(3)]),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.DUTY_CYCLE_VETO,
        "one replica fewer would be over it",
        DUTY,
    ),
    Case(
        "a duty cycle under the target with one fewer",
        observation(*[busy(f"replica-{index}", 0.1, duty_cycle_percent=50.0) for index in range(3)]),
        memory(0.1, 0.1, 0.1),
        2,
        Reason.DEMAND_LOW,
        "2 will do",
        DUTY,
    ),
    Case(
        "idle says the engine, busy says its GPU",
        observation(*QUIET[:2], busy("replica-2", 0.0, duty_cycle_percent=99.0)),
        memory(0.1, 0.1, 0.0),
        3,
        Reason.DUTY_CYCLE_VETO,
        "replica-2 work on no request, and the GPU is busy",
    ),
    Case(
        "a queue before a GPU that does nothing",
        observation(*QUIET[:2], busy("replica-2", 0.1, waiting=5.0, duty_cycle_percent=0.0)),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.QUEUE_WITHOUT_WORK,
        "requests wait on replica-2 and the GPU does nothing",
    ),
]
