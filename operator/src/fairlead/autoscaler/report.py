"""What is shown of the decisions: status.autoscaling and the condition Autoscaled. Pure.

A decision falls every two seconds and mostly says what the one before it said, with other numbers. Shown is each change of the
number of replicas, at once, and a change of the reason alone once it has stood for a while: status must not be written by the
tick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fairlead.api import conditions
from fairlead.api.status import AutoscalingChange, AutoscalingInputs, AutoscalingLearned, AutoscalingStatus
from fairlead.autoscaler.capacity import FULL_SLOWDOWN, Capacity
from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.reasons import Reason
from fairlead.reconciler.conditions import Verdict
from fairlead.reconciler.words import bounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fairlead.autoscaler.policy import Decision, Inputs

STOOD_SECONDS = 10.0
"""A reason that holds for less is not told: while replicas start and end the reason changes with each look."""
APART_SECONDS = 30.0
"""Between two changes of the reason alone: two writes a minute at most, for an object whose load is just at a bound."""
LEARNED_SECONDS = 600.0
"""Between two writes of what was learned where nothing else is to be written: so much is learned anew after a restart at most."""
LEARNED_PERCENT = 20
"""What has moved by less is not worth a write of its own."""
MOST_CHANGES = 10
MESSAGE_LIMIT = 1000

_UNFOLLOWED = frozenset(
    {
        Reason.NO_CAPACITY,
        Reason.AT_MAXIMUM,
        Reason.QUEUE_WITHOUT_WORK,
        Reason.METRICS_MISSING,
        Reason.METRICS_STALE,
        Reason.METRICS_INVALID,
        Reason.METRICS_PARTIAL,
    }
)
"""With these the number of replicas does not follow the demand."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is shown, and what may be shown next. Times are seconds of the loop's clock."""

    status: Mapping[str, Any]
    """status.autoscaling; empty: nothing yet."""
    reasoned: float = float("-inf")
    """When the reason alone was last changed."""
    learned: float = float("-inf")
    """When what was learned was last written."""
    other: str = ""
    """Another reason than the one that is shown."""
    other_since: float = 0.0


def shown(report: Report | None, decision: Decision, now: float, stamp: str, *, recommended: bool = False) -> Report:
    """The report after a decision; `stamp` is the time as RFC 3339. `recommended`: it is not carried out."""
    report = report or Report({})
    before = report.status
    changes: Sequence[Mapping[str, Any]] = before.get("changes", ())
    change = _change(before, changes, decision, stamp, recommended=recommended)
    if not before:
        return _first(report, decision, change, now, stamp)
    if change is not None:
        changes = (change, *changes)[:MOST_CHANGES]
    if change is not None or before["desired"] != decision.replicas:
        return Report(_status(decision, changes, stamp), report.reasoned, now)
    if before["reason"] == decision.reason:
        return _with_learned(replace(report, other="") if report.other else report, decision.memory, now)
    if report.other != decision.reason:
        return replace(report, other=decision.reason, other_since=now)
    if now - report.other_since < STOOD_SECONDS or now - report.reasoned < APART_SECONDS:
        return report
    return Report(_status(decision, changes, stamp), now, now)


def _change(
    before: Mapping[str, Any], changes: Sequence[Mapping[str, Any]], decision: Decision, stamp: str, *, recommended: bool
) -> Mapping[str, Any] | None:
    """What this decision changes, or would change, if anything.

    Measured by what is asked for; by what was shown last where that is newer: a recommendation upon another one, or a number that
    an operator which has ended had set and not told.
    """
    start = decision.inputs.asked
    was_recommended = bool(changes and changes[0].get("recommended"))
    if before and was_recommended == recommended and (recommended or start == decision.replicas):
        start = before["desired"]
    if start == decision.replicas:
        return None
    change = AutoscalingChange(
        at=stamp,
        before=start,
        after=decision.replicas,
        reason=decision.reason,
        message=bounded(decision.message, MESSAGE_LIMIT),
        recommended=recommended or None,
    )
    return change.to_wire()


def _first(report: Report, decision: Decision, change: Mapping[str, Any] | None, now: float, stamp: str) -> Report:
    """The first one, at once unless it would be a complaint: connections to the agents are being made."""
    if decision.reason in _UNFOLLOWED:
        if report.other != decision.reason:
            return replace(report, other=decision.reason, other_since=now)
        if now - report.other_since < STOOD_SECONDS:
            return report
    return Report(_status(decision, (change,) if change else (), stamp), learned=now)


def _with_learned(report: Report, memory: Memory, now: float) -> Report:
    """The same with what was learned since, if that is worth a write."""
    if now - report.learned < LEARNED_SECONDS:
        return report
    learned, before = _learned(memory).to_wire(), report.status.get("learned") or {}
    moved = [name for name, value in learned.items() if 100 * abs(value - before.get(name, 0)) > LEARNED_PERCENT * value]
    if not moved:
        return replace(report, learned=now)
    return replace(report, status={**report.status, "learned": learned}, learned=now)


def verdict(status: Mapping[str, Any], *, recommends: bool) -> Verdict | None:
    """The condition Autoscaled, from what is shown."""
    if not status:
        return None
    reason, message = status["reason"], status.get("message", "")
    if reason in _UNFOLLOWED:
        return Verdict(status=False, reason=conditions.Reason(reason), message=message)
    told = f"{status['desired']}: {reason}: {message}".rstrip(": ")
    if recommends:
        return Verdict(status=False, reason=conditions.Reason.RECOMMENDED_ONLY, message=f"replicas would be {told}")
    return Verdict(status=True, reason=conditions.Reason.DEMAND_FOLLOWED, message=f"replicas are {told}")


def readable(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status that was found, or nothing where another version has written what this one cannot read."""
    try:
        AutoscalingStatus.model_validate(status)
    except ValueError:
        return {}
    return status


def remembered(status: Mapping[str, Any]) -> Memory:
    """What an operator that takes over knows of the replicas."""
    learned = AutoscalingLearned.model_validate(status.get("learned") or {})
    slowdown = learned.full_slowdown_percent
    return Memory(
        cold_start=None if learned.cold_start_seconds is None else float(learned.cold_start_seconds),
        capacity=Capacity(
            speed=None if learned.tokens_per_minute is None else learned.tokens_per_minute / 60,
            full_slowdown=FULL_SLOWDOWN if slowdown is None else slowdown / 100,
            full_running=None if learned.full_running is None else float(learned.full_running),
            idle_speed=None if learned.idle_tokens_per_minute is None else learned.idle_tokens_per_minute / 60,
        ),
    )


def _status(decision: Decision, changes: Sequence[Mapping[str, Any]], stamp: str) -> dict[str, Any]:
    status = AutoscalingStatus(
        desired=decision.replicas,
        reason=decision.reason,
        message=bounded(decision.message, MESSAGE_LIMIT),
        since=stamp,
        inputs=_inputs(decision.inputs),
        changes=[AutoscalingChange.model_validate(each) for each in changes],
        learned=_learned(decision.memory),
    ).to_wire()
    return status if changes else {key: value for key, value in status.items() if key != "changes"}


def _inputs(inputs: Inputs) -> AutoscalingInputs:
    duty = inputs.duty_cycle_percent
    return AutoscalingInputs(
        asked=inputs.asked,
        ready=inputs.ready,
        starting=inputs.starting,
        terminating=inputs.terminating,
        unreadable=inputs.unreadable,
        broken=inputs.broken,
        waiting=inputs.waiting,
        waiting_per_minute=round(60 * inputs.growth),
        running=round(inputs.running),
        demand_percent=round(100 * inputs.demand),
        surge_percent=round(100 * inputs.surge),
        forecast_percent=round(100 * inputs.forecast),
        peak_percent=round(100 * inputs.peak),
        duty_cycle_percent=None if duty is None else min(round(duty), 100),
        cold_start_seconds=round(inputs.cold_start_seconds),
    )


def _learned(memory: Memory) -> AutoscalingLearned:
    capacity = memory.capacity
    return AutoscalingLearned(
        cold_start_seconds=None if memory.cold_start is None else round(memory.cold_start),
        tokens_per_minute=None if capacity.speed is None else round(60 * capacity.speed),
        idle_tokens_per_minute=None if capacity.idle_speed is None else round(60 * capacity.idle_speed),
        full_slowdown_percent=round(100 * capacity.full_slowdown),
        full_running=None if capacity.full_running is None else round(capacity.full_running),
    )
