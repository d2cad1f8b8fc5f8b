"""Each reason of a decision, by a case in which it is the one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.autoscaler.capacity import Capacity
from fairlead.autoscaler.config import Config
from fairlead.autoscaler.memory import Memory, Regret
from fairlead.autoscaler.observation import Phase, Reading, Replica
from fairlead.autoscaler.overload import Overload
from fairlead.autoscaler.policy import decide
from fairlead.autoscaler.reasons import Reason
from tests.unit.autoscaler import policy_down, policy_readings, policy_up
from tests.unit.autoscaler.cases import CAPACITY, CONFIG, ELAPSED, NOW, busy, load, memory, observation
from tests.unit.autoscaler.policy_cases import FULL, STARTING, TERMINATING, Case, aged

CASES = [*policy_up.CASES, *policy_down.CASES, *policy_readings.CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reason(case: Case) -> None:
    decision = decide(case.observed, case.remembered, case.config)
    assert (decision.replicas, decision.reason) == (case.replicas, case.reason)
    assert case.says in decision.message


def test_every_reason_has_a_case() -> None:
    assert {case.reason for case in CASES} == set(Reason)


def test_reasons_are_camel_case_and_explained() -> None:
    for reason in Reason:
        assert reason.isalpha()
        assert reason[0].isupper()
        assert reason.meaning.endswith(".")


def test_inputs_are_the_numbers_of_the_decision() -> None:
    decision = decide(observation(*FULL, STARTING, TERMINATING, asked=3), memory(0.9, 0.9), CONFIG)
    inputs = decision.inputs
    assert (inputs.asked, inputs.ready, inputs.starting, inputs.terminating, inputs.unreadable) == (3, 2, 1, 1, 0)
    assert inputs.demand == pytest.approx(1.8, abs=0.01)
    assert inputs.duty_cycle_percent == 97.0
    assert (inputs.running, inputs.waiting, inputs.cold_start_seconds) == (40.0, 0, 120.0)
    assert inputs.speed == pytest.approx(50, abs=0.1)


def broken(name: str) -> Replica:
    return busy(name, 0.1, waiting=50.0, duty_cycle_percent=0.0)


@pytest.mark.parametrize(("level", "wanted", "reason"), [(1.8, 4, Reason.QUEUE_WITHOUT_WORK), (2.4, 5, Reason.DEMAND_HIGH)])
def test_a_broken_replica_is_one_that_is_replaced(level: float, wanted: int, reason: Reason) -> None:
    """What the healthy ones carry needs three or four that are healthy: so many beside the broken one."""
    healthy = [busy(f"replica-{index}", level / 3) for index in range(3)]
    remembered = memory(*[level / 3] * 3, 0.1, level=level)
    decision = decide(observation(*healthy, broken("replica-3")), remembered, CONFIG)
    assert (decision.replicas, decision.reason) == (wanted, reason)


@pytest.mark.parametrize("count", [1, 3])
def test_where_all_are_broken_none_is_bought(count: int) -> None:
    """A driver, or a duty cycle that comes from somewhere else: the next one would look the same."""
    names = [f"replica-{index}" for index in range(count)]
    remembered = memory(*[0.3] * count)
    for look in range(90):
        now = NOW + 2 * look
        seen = [aged(broken(name), -2 * look) for name in names]
        decision = decide(observation(*seen, now=now), remembered, CONFIG)
        assert (decision.replicas, decision.reason) == (count, Reason.QUEUE_WITHOUT_WORK)
        remembered = decision.memory


def test_what_is_left_of_requests_that_are_gone_is_no_load() -> None:
    """An engine whose gauges stayed up after its clients went away (vllm#29928): no token comes and the GPU does nothing."""
    stale = busy("replica-0", 0.5, tokens=0.0, duty_cycle_percent=0.0, kv_cache_percent=0.0)
    remembered = memory(0.5)
    for look in range(60):
        now = NOW + 2 * look
        decision = decide(observation(aged(stale, -2 * look), now=now), remembered, CONFIG)
        remembered = decision.memory
    assert decision.inputs.demand < 0.1


def test_the_cold_start_is_measured() -> None:
    remembered = memory(0.5, starting={"replica-1": ELAPSED - 200})
    decision = decide(observation(busy("replica-0", 0.5), busy("replica-1", 0.1)), remembered, CONFIG)
    assert decision.inputs.cold_start_seconds == 202
    shorter = memory(0.5, starting={"replica-1": ELAPSED - 18}, cold_start=120.0)
    decision = decide(observation(busy("replica-0", 0.5), busy("replica-1", 0.1)), shorter, CONFIG)
    assert decision.inputs.cold_start_seconds == 100


def test_a_replica_that_comes_back_is_no_measure_of_a_start() -> None:
    """A second without readiness is no cold start of a second, and an hour of it is none of an hour."""
    remembered = memory(0.5, 0.1)
    serving = [busy("replica-0", 0.5), busy("replica-1", 0.1)]
    for now, seen in ((NOW, [serving[0], Replica("replica-1", Phase.STARTING)]), (NOW + 2, serving)):
        told = [aged(each, NOW - now) for each in seen]
        remembered = decide(observation(*told, now=now), remembered, CONFIG).memory
    assert (remembered.cold_start, remembered.returning) == (120.0, frozenset())


def test_a_step_down_that_is_undone_is_not_tried_again() -> None:
    remembered = memory(0.9, 0.9, lowered=ELAPSED - 100, lowered_at_peak=1.5)
    decision = decide(observation(*FULL), remembered, CONFIG)
    assert decision.reason is Reason.DEMAND_HIGH
    assert decision.memory.regrets == {3: Regret(peak=1.5, until=ELAPSED + 2 + 2400, times=1)}
    again = replace(decision.memory, lowered=ELAPSED + 2, raised=ELAPSED)
    third = decide(observation(*FULL), replace(again, clock=remembered.clock), CONFIG)
    assert third.memory.regrets[3].times == 2


@pytest.mark.parametrize(("ago", "times"), [(2400.0, 2), (2500.0, 1)])
def test_a_step_down_that_was_undone_long_ago_is_forgotten(ago: float, times: int) -> None:
    """It was held off for 2400 s; in as many again it was not tried, or did."""
    regret = Regret(peak=1.5, until=ELAPSED + 2 - ago, times=1)
    remembered = memory(0.9, 0.9, lowered=ELAPSED - 100, lowered_at_peak=1.5, regrets={3: regret})
    assert decide(observation(*FULL), remembered, CONFIG).memory.regrets[3].times == times


def test_a_load_that_is_planned_for_is_no_panic() -> None:
    seen = [busy(f"replica-{index}", 0.92) for index in range(4)]
    decision = decide(observation(*seen), memory(*[0.92] * 4), replace(CONFIG, load_percent=95))
    assert (decision.replicas, decision.reason) == (4, Reason.STEADY)


def test_what_a_user_asks_for_must_be_possible() -> None:
    with pytest.raises(ValueError, match="minReplicas 3 and maxReplicas 2: write 1 <= minReplicas"):
        Config(min_replicas=3, max_replicas=2)


def test_an_empty_memory_holds_until_it_knows_enough() -> None:
    """After a restart of the operator: no jump, whatever it sees first."""
    for used in (0.0, 0.5, 0.95):
        decision = decide(observation(*[busy(f"replica-{index}", used) for index in range(3)]), Memory(), CONFIG)
        assert decision.replicas == 3


def test_a_kept_capacity_is_used_at_once() -> None:
    """Full replicas are seen as full by an operator that has just started, if it kept what it had learned."""
    kept = Memory(capacity=Capacity(CAPACITY.speed, CAPACITY.full_slowdown), cold_start=120.0)
    remembered = kept
    for look in range(20):
        now = NOW + 2 * look
        replicas = [
            replace(aged(each, -2 * look), tokens=Reading((each.tokens.value if each.tokens else 0) * look, now)) for each in FULL
        ]
        decision = decide(observation(*replicas, now=now), remembered, CONFIG)
        remembered = decision.memory
    assert decision.reason is Reason.DEMAND_HIGH


def test_while_a_queue_stands_full_replicas_are_no_demand() -> None:
    """They work off what waits. Then what is seen counts at once, and the quiet window begins."""
    full = {f"replica-{index}": load(0.98) for index in range(4)}
    seen = observation(*[busy(f"replica-{index}", 0.98) for index in range(4)])
    during = decide(seen, replace(memory(*[0.3] * 4), loads=full, overload=Overload(last=ELAPSED - 10)), CONFIG)
    assert (during.replicas, during.inputs.demand, during.inputs.peak) == (4, 1.2, 0.0)
    after = decide(seen, replace(memory(*[0.3] * 4), loads=full, overload=Overload(last=ELAPSED - 29)), CONFIG)
    assert after.inputs.demand == pytest.approx(3.92, abs=0.01)
    assert (after.replicas, after.reason, after.memory.history.since) == (7, Reason.DEMAND_HIGH, ELAPSED + 2)
