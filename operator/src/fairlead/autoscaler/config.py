"""What a user sets, and the numbers that are the same for everyone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Config:
    """A ModelDeployment's `spec.autoscaling`, checked.

    The defaults were chosen on traffic that the figures in docs/autoscaling.md were not measured on.
    """

    min_replicas: int = 2
    max_replicas: int = 10
    queue_depth: int = 4
    """Requests that may wait per replica that serves."""
    duty_cycle_percent: int | None = None
    """Above this the GPUs' duty cycle counts as a vote for more, and forbids fewer. None: only its two proofs are used."""
    load_percent: int = 68
    """Of what a replica can do, so much is planned with. The rest is for what comes while a new one starts."""
    quiet_seconds: int = 900
    """One replica fewer must have been enough for so long."""
    step_seconds: int = 60
    """Seconds between two steps down."""
    cold_start_seconds: int = 180
    """From asking for a replica to its first request, until one was measured."""

    def __post_init__(self) -> None:
        """Bounds that contradict each other would make every decision a lie.

        Raises:
            ValueError: minReplicas is below 1 or above maxReplicas.
        """
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(
                f"minReplicas {self.min_replicas} and maxReplicas {self.max_replicas}: "
                "write 1 <= minReplicas (2 where it is not written) <= maxReplicas"
            )


STALE_SECONDS = 10.0
"""Age at which an engine's reading no longer counts: five looks missed in a row."""
DUTY_STALE_SECONDS = 60.0
"""The same for the duty cycle, which may come through Prometheus: two scrapes at its default of 30 s."""
BUSY_DUTY_PERCENT = 50.0
"""An idle GPU shows 0 to 5, one with a single request shows over 90 (dcgm-exporter#301): half is far from both."""
IDLE_DUTY_PERCENT = 5.0
