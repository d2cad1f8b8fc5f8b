"""What the policy cannot know: rollouts, other ModelDeployments, where the duty cycle was to come from. Pure.

Each limit holds the number of replicas where it is, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fairlead.autoscaler.reasons import Reason

if TYPE_CHECKING:
    from fairlead.autoscaler.memory import Memory
    from fairlead.autoscaler.policy import Decision
    from fairlead.autoscaler.sharing import Wish

_ORDINARY = frozenset({Reason.STEADY, Reason.QUIET_WINDOW, Reason.REPLICAS_STARTING, Reason.NO_REPLICA_READY})
"""Reasons that say less than that no node takes a replica that was asked for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one ModelDeployment, at one look."""

    asked: int
    rolling: bool = False
    """Replicas are being replaced."""
    unknown_duty: str = ""
    """Why the duty cycle of a replica is not known that was to be gone by; empty: it is, or none was."""
    first: Wish | None = None
    """Another ModelDeployment that waits for the same GPUs and comes first."""
    unschedulable: tuple[tuple[str, str], ...] = ()
    """Replicas that no node takes, each with the scheduler's words."""


def limited(decision: Decision, facts: Facts, before: Memory) -> Decision:
    """The decision that may be carried out; `before` is the memory that it was made with."""
    if decision.replicas < facts.asked and decision.reason is not Reason.ABOVE_MAXIMUM:
        if facts.rolling:
            told = "replicas are being replaced: none is taken away until that is done"
            return _held(decision, facts, before, Reason.REPLICAS_STARTING, told)
        if facts.unknown_duty:
            return _held(decision, facts, before, Reason.METRICS_PARTIAL, f"{facts.unknown_duty}: none is taken away")
    if decision.replicas > facts.asked and facts.first is not None and decision.reason is not Reason.BELOW_MINIMUM:
        first = facts.first
        told = f"{decision.message}; {first.key} waits for the same GPUs and comes first (priority {first.priority})"
        return _held(decision, facts, before, Reason.NO_CAPACITY, told)
    if facts.unschedulable and decision.replicas == facts.asked and decision.reason in _ORDINARY:
        name, words = facts.unschedulable[0]
        return replace(decision, reason=Reason.NO_CAPACITY, message=f"{facts.asked} are asked for, no node takes {name}: {words}")
    return decision


def unmoved(after: Memory, before: Memory) -> Memory:
    """The memory of a decision that is not carried out: no replica comes or goes by it."""
    return replace(
        after, raised=before.raised, lowered=before.lowered, lowered_at_peak=before.lowered_at_peak, regrets=before.regrets
    )


def _held(decision: Decision, facts: Facts, before: Memory, reason: Reason, message: str) -> Decision:
    memory = unmoved(decision.memory, before)
    return replace(decision, replicas=facts.asked, reason=reason, message=message, memory=memory)
