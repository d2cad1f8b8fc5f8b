"""`spec.autoscaling`: who sets the number of replicas, and by what."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fairlead.api.base import ApiModel
from fairlead.api.markers import Cel


class PrometheusMetric(ApiModel):
    """The GPUs' duty cycle out of the Prometheus that the chart's values name, instead of from the replicas themselves."""

    metric: (
        Annotated[
            str,
            Field(min_length=1, max_length=200),
            Cel(
                rule="self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')",
                message="write the name of a metric and no expression, such as my_gpu_busy_ratio",
            ),
        ]
        | None
    ) = None
    """Name of a metric. Only series with the namespace and the name of a replica's pod count; several of one pod are averaged.
    Default: DCGM_FI_DEV_GPU_UTIL, and where that is missing, as it is under MIG, DCGM_FI_PROF_GR_ENGINE_ACTIVE."""
    unit: Literal["Percent", "Ratio"] = "Percent"
    """Whether that metric goes from 0 to 100 or from 0 to 1. Of NVIDIA's two it is known."""


class Autoscaling(ApiModel):
    """Who sets the number of replicas, and by what."""

    rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="self.mode == 'External' || has(self.maxReplicas)",
            message="write the greatest number of replicas that may be paid for, such as 4",
            reason="FieldValueRequired",
            field_path=".maxReplicas",
        ),
        Cel(
            rule="!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            message="write a number that is not above spec.autoscaling.maxReplicas, such as 1",
            field_path=".minReplicas",
        ),
    )

    mode: Literal["Auto", "Recommend", "External"] = "Auto"
    """Auto: the operator sets the number of replicas. Recommend: it says in status.autoscaling what it would set, and
    spec.replicas counts. External: spec.replicas is left to a HorizontalPodAutoscaler or KEDA, by the scale subresource."""
    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 2
    """The smallest number of replicas. With 1 nothing answers while that one is replaced after a crash or with its node."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The greatest number of replicas. Required, unless mode is External."""
    queue_depth: Annotated[int, Field(ge=1, le=1000)] = 4
    """Requests that may wait in the engine of each replica. More of them over some seconds ask for another replica."""
    duty_cycle_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """A target for the GPUs' duty cycle. Above it, and while requests wait, one more replica is asked for; none is taken away
    that would bring the others above it. A GPU is over 90 at a single request, so this is seldom a good target. Default: none,
    the duty cycle only proves that a GPU works or does not."""
    load_percent: Annotated[int, Field(ge=10, le=95)] = 68
    """How much of what a replica can do is planned with. The rest is for what comes while another one starts."""
    quiet_seconds: Annotated[int, Field(ge=30, le=86_400)] = 900
    """For how long one replica fewer must have been enough before one is taken away."""
    step_seconds: Annotated[int, Field(ge=2, le=86_400)] = 60
    """Shortest time between two steps down."""
    cold_start_seconds: Annotated[int, Field(ge=1, le=7200)] = 180
    """How long a replica takes from being asked for to its first request, until that was measured."""
    prometheus: PrometheusMetric | None = None
    """The GPUs' duty cycle out of Prometheus. Default: from the replicas themselves, by NVML."""

    @property
    def decides(self) -> bool:
        """Whether the operator works out a number."""
        return self.mode != "External"
