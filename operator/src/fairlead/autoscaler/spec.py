"""The policy's settings out of `spec.autoscaling`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.autoscaler.config import Config

if TYPE_CHECKING:
    from fairlead.api.autoscaling import Autoscaling


def config(autoscaling: Autoscaling) -> Config:
    """The settings; the API server has seen to the bounds.

    Raises:
        ValueError: they contradict each other all the same, as an object of an older CRD may.
    """
    return Config(
        min_replicas=autoscaling.min_replicas,
        max_replicas=autoscaling.max_replicas or autoscaling.min_replicas,
        queue_depth=autoscaling.queue_depth,
        duty_cycle_percent=autoscaling.duty_cycle_percent,
        load_percent=autoscaling.load_percent,
        quiet_seconds=autoscaling.quiet_seconds,
        step_seconds=autoscaling.step_seconds,
        cold_start_seconds=autoscaling.cold_start_seconds,
    )
