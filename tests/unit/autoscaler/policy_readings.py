"""Cases of the policy: readings that are missing, old or no numbers, and clocks that jump."""

from __future__ import annotations

import math
from dataclasses import replace

from fairlead.autoscaler.reasons import Reason
from tests.unit.autoscaler.cases import NOW, busy, memory, observation
from tests.unit.autoscaler.policy_cases import FULL, QUIET, Case, aged

CASES = [
    Case(
        "nothing told",
        observation(*[busy(f"replica-{index}", 0.1, running=None) for index in range(3)]),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.METRICS_MISSING,
        "all 3 replicas that serve told nothing",
    ),
    Case(
        "told long ago",
        observation(*[aged(each, 11) for each in QUIET]),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.METRICS_STALE,
        "told nothing new lately",
    ),
    Case(
        "told from the future",
        observation(*[aged(each, -6) for each in QUIET]),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.METRICS_STALE,
        "told nothing new lately",
    ),
    Case(
        "told what is no number",
        observation(*[busy(f"replica-{index}", 0.1, waiting=math.nan) for index in range(3)]),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.METRICS_INVALID,
        "what is not a number",
    ),
    Case(
        "one of three told nothing",
        observation(*QUIET[:2], busy("replica-2", 0.1, tokens=None)),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.METRICS_PARTIAL,
        "1 of 3 replicas that serve cannot be read",
    ),
    Case(
        "one of three does not tell how full its KV cache is",
        observation(*QUIET[:2], busy("replica-2", 0.1, kv_cache_percent=None)),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.METRICS_PARTIAL,
        "1 of 3 replicas that serve cannot be read",
    ),
    Case(
        "one of three told nothing, and the others are full",
        observation(*FULL, busy("replica-2", 0.9, tokens=None)),
        memory(0.9, 0.9, 0.9),
        5,
        Reason.DEMAND_HIGH,
        "2.7 full replicas",
    ),
    Case(
        "an hour forward",
        replace(observation(*QUIET), now=NOW + 3600),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.CLOCK_JUMPED,
        "the clock jumped",
    ),
    Case(
        "a minute back",
        replace(observation(*QUIET), now=NOW - 60),
        memory(0.1, 0.1, 0.1),
        3,
        Reason.CLOCK_JUMPED,
        "the clock jumped",
    ),
]
