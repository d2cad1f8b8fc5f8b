"""What holds a decision of the policy, and what is told of it."""

from dataclasses import replace

import pytest

from fairlead.autoscaler.limits import Facts, limited
from fairlead.autoscaler.memory import Memory, Regret
from fairlead.autoscaler.policy import Decision, Inputs
from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.sharing import Wish
from fairlead.reconciler.kinds import Key

INPUTS = Inputs(2, 2, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, None, 120.0, None)
BEFORE = Memory(raised=1.0, lowered=2.0, lowered_at_peak=3.0, regrets={2: Regret(1.0, 9.0, 1)}, surge=1.0)
AFTER = Memory(raised=50.0, lowered=60.0, lowered_at_peak=7.0, surge=5.0)
FIRST = Wish(Key("other", "big"), ("nvidia.com/gpu", frozenset()), 1000, raises=False, short=True)


def decision(replicas: int, reason: Reason = Reason.STEADY) -> Decision:
    return Decision(replicas, reason, "because", INPUTS, AFTER)


HELD = {
    "a step down during a rollout": (
        decision(1, Reason.DEMAND_LOW),
        Facts(2, rolling=True),
        Reason.REPLICAS_STARTING,
        "being replaced",
    ),
    "a step down without the duty cycle that was asked for": (
        decision(1, Reason.DEMAND_LOW),
        Facts(2, unknown_duty="Prometheus has told no duty cycle of x"),
        Reason.METRICS_PARTIAL,
        "Prometheus has told no duty cycle of x: none is taken away",
    ),
    "one more while another comes first": (
        decision(3, Reason.QUEUE_HIGH),
        Facts(2, first=FIRST),
        Reason.NO_CAPACITY,
        "because; other/big waits for the same GPUs and comes first (priority 1000)",
    ),
}


@pytest.mark.parametrize(("made", "facts", "reason", "words"), HELD.values(), ids=HELD)
def test_held_where_it_is(made: Decision, facts: Facts, reason: Reason, words: str) -> None:
    found = limited(made, facts, BEFORE)
    assert (found.replicas, found.reason) == (2, reason)
    assert words in found.message
    moved = (found.memory.raised, found.memory.lowered, found.memory.lowered_at_peak, found.memory.regrets)
    assert moved == (1.0, 2.0, 3.0, BEFORE.regrets), "what is not done is not remembered as done"
    assert found.memory.surge == 5.0, "what was seen is"


LET_BE = {
    "one more during a rollout": (decision(3, Reason.QUEUE_HIGH), Facts(2, rolling=True)),
    "one more without a duty cycle": (decision(3, Reason.QUEUE_HIGH), Facts(2, unknown_duty="none")),
    "a step down while another comes first": (decision(1, Reason.DEMAND_LOW), Facts(2, first=FIRST)),
    "the user's own maximum during a rollout": (decision(1, Reason.ABOVE_MAXIMUM), Facts(2, rolling=True, unknown_duty="none")),
    "the user's own minimum while another comes first": (decision(3, Reason.BELOW_MINIMUM), Facts(2, first=FIRST)),
    "nothing in the way": (decision(2), Facts(2)),
}


@pytest.mark.parametrize(("made", "facts"), LET_BE.values(), ids=LET_BE)
def test_let_be(made: Decision, facts: Facts) -> None:
    assert limited(made, facts, BEFORE) == made


@pytest.mark.parametrize("reason", [Reason.STEADY, Reason.QUIET_WINDOW, Reason.REPLICAS_STARTING, Reason.NO_REPLICA_READY])
def test_a_replica_that_no_node_takes_is_told_although_no_more_are_wanted(reason: Reason) -> None:
    facts = Facts(2, unschedulable=(("chat-1", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."),))
    found = limited(decision(2, reason), facts, BEFORE)
    assert (found.replicas, found.reason) == (2, Reason.NO_CAPACITY)
    assert found.message == "2 are asked for, no node takes chat-1: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    assert found.memory == AFTER


@pytest.mark.parametrize("reason", [Reason.METRICS_STALE, Reason.QUEUE_WITHOUT_WORK, Reason.NO_CAPACITY])
def test_what_says_more_stays(reason: Reason) -> None:
    facts = Facts(2, unschedulable=(("chat-1", "no"),))
    assert limited(decision(2, reason), facts, BEFORE) == decision(2, reason)
    lowered = replace(decision(1, Reason.DEMAND_LOW))
    assert limited(lowered, facts, BEFORE) == lowered
