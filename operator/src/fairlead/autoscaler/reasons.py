"""Why the autoscaler decided as it did. A reason is a promise: people write alerts on it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """One for each way a decision can end, with its meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """A string that knows what it means."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    # More replicas.
    DEMAND_HIGH = "DemandHigh", "The replicas are busier than they should be."
    DEMAND_RISING = "DemandRising", "At this slope the replicas would be too busy before a new one could serve."
    PANIC = "Panic", "Within seconds demand rose far above what is usual, or the replicas became as good as full."
    QUEUE_HIGH = "QueueHigh", "More requests wait per replica than queueDepth."
    DUTY_CYCLE_HIGH = "DutyCycleHigh", "The GPUs' duty cycle is over dutyCyclePercent, and requests wait."
    BELOW_MINIMUM = "BelowMinimum", "Fewer replicas were asked for than minReplicas."

    # Fewer replicas.
    DEMAND_LOW = "DemandLow", "One replica fewer would have carried all that came in the quiet window."
    ABOVE_MAXIMUM = "AboveMaximum", "More replicas were asked for than maxReplicas."

    # As many as there are.
    STEADY = "Steady", "The replicas fit the demand."
    AT_MAXIMUM = "AtMaximum", "More replicas are needed than maxReplicas allows."
    QUIET_WINDOW = "QuietWindow", "One replica fewer has to do for the whole quiet window before one is taken away."
    REPLICAS_STARTING = "ReplicasStarting", "Replicas are starting: none is taken away until they serve."
    NO_REPLICA_READY = "NoReplicaReady", "No replica serves yet, so there is no demand to see."
    NO_CAPACITY = "NoCapacity", "No node takes the replicas that were asked for: no more are asked for until one does."
    DUTY_CYCLE_VETO = "DutyCycleVeto", "The GPUs' duty cycle forbids to take a replica away."
    QUEUE_WITHOUT_WORK = "QueueWithoutWork", "Requests wait on a replica whose GPU does nothing: it is broken, not busy."

    # What it would have to know is not known: as many as there are.
    METRICS_MISSING = "MetricsMissing", "No replica that serves has told its load."
    METRICS_STALE = "MetricsStale", "What the replicas told last is too old."
    METRICS_INVALID = "MetricsInvalid", "What the replicas told is not a number."
    METRICS_PARTIAL = "MetricsPartial", "Some replicas have told their load: enough to add one, not to take one away."
    CLOCK_JUMPED = "ClockJumped", "The clock jumped: ages and rates mean nothing until the next readings."
