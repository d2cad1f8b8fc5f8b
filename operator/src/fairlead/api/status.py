"""`status`: what the operator has seen. Only the operator writes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from fairlead.api.base import ApiModel
from fairlead.api.markers import Atomic, ListMap

NOT_SEEN = -1
"""observedGeneration before the operator's first visit: tools that compare it with metadata.generation then wait."""


class Condition(ApiModel):
    """One condition, as the Kubernetes API conventions have it."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Which condition."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, in one CamelCase word."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """Why, for people: what is wrong, where, and what to do."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When status last changed (RFC 3339, UTC)."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The metadata.generation that was looked at."""


class AutoscalingInputs(ApiModel):
    """The numbers that a decision was made from. Demand is counted in full replicas: how many it would take to carry it."""

    model_config = ConfigDict(extra="ignore")

    asked: Annotated[int, Field(ge=0)] = 0
    """Replicas that were asked for before."""
    ready: Annotated[int, Field(ge=0)] = 0
    """Replicas that serve."""
    starting: Annotated[int, Field(ge=0)] = 0
    """Replicas that start."""
    terminating: Annotated[int, Field(ge=0)] = 0
    """Replicas that finish their last streams."""
    unreadable: Annotated[int, Field(ge=0)] = 0
    """Replicas that serve and whose load is not known."""
    broken: Annotated[int, Field(ge=0)] = 0
    """Replicas before which requests wait while the GPU does nothing."""
    waiting: Annotated[int, Field(ge=0)] = 0
    """Requests that wait in the engines."""
    waiting_per_minute: Annotated[int, Field(ge=0)] = 0
    """Requests by which a queue that stands gets longer in a minute."""
    running: Annotated[int, Field(ge=0)] = 0
    """Requests that the engines work on."""
    demand_percent: Annotated[int, Field(ge=0)] = 0
    """Demand over the last minute, in percent of a full replica."""
    surge_percent: Annotated[int, Field(ge=0)] = 0
    """Demand over a quarter of a minute, and what waits."""
    forecast_percent: Annotated[int, Field(ge=0)] = 0
    """Demand as it will be when a replica that is asked for now would serve."""
    peak_percent: Annotated[int, Field(ge=0)] = 0
    """The greatest demand of the quiet window."""
    duty_cycle_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Mean duty cycle of the GPUs, where it is known."""
    cold_start_seconds: Annotated[int, Field(ge=0)] = 0
    """How long a start takes."""


class AutoscalingChange(ApiModel):
    """A change of the number of replicas that the autoscaler decided on."""

    model_config = ConfigDict(extra="ignore")

    at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When (RFC 3339, UTC)."""
    before: Annotated[int, Field(ge=0)]
    """Replicas before it."""
    after: Annotated[int, Field(ge=0)]
    """Replicas after it."""
    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """Why, in one CamelCase word."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why, for people."""
    recommended: bool | None = None
    """True where it was only recommended (mode Recommend): the number of replicas stayed as it was."""


class AutoscalingLearned(ApiModel):
    """What was learned of the replicas, so that an operator that takes over need not learn it again."""

    model_config = ConfigDict(extra="ignore")

    cold_start_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long a start takes."""
    tokens_per_minute: Annotated[int, Field(ge=0)] | None = None
    """Tokens that a request gets on a replica with little else to do: the most that was seen."""
    idle_tokens_per_minute: Annotated[int, Field(ge=0)] | None = None
    """Tokens that a request would get on a replica that is idle but for it, as worked out from busy ones."""
    full_slowdown_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """How much slower requests are on a full replica."""
    full_running: Annotated[int, Field(ge=0)] | None = None
    """Requests that a full replica works on at once."""


class AutoscalingStatus(ApiModel):
    """What the autoscaler has decided last. Its numbers are those of the decision; the present ones are in the metrics."""

    model_config = ConfigDict(extra="ignore")

    desired: Annotated[int, Field(ge=0)]
    """How many replicas there should be."""
    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """Why, in one CamelCase word; docs/autoscaling.md has them all."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why, for people."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Since when number and reason are these (RFC 3339, UTC)."""
    inputs: AutoscalingInputs | None = None
    """The numbers that it was decided from."""
    changes: Annotated[list[AutoscalingChange], Field(max_length=10), Atomic()] = Field(default_factory=list)
    """The last changes of the number, the newest first."""
    learned: AutoscalingLearned | None = None
    """What was learned of the replicas by then."""


class Status(ApiModel):
    """What the operator has seen."""

    # A newer operator's status must not stop an older one that takes over again.
    model_config = ConfigDict(extra="ignore")

    observed_generation: Annotated[int, Field(ge=NOT_SEEN)] = NOT_SEEN
    """The metadata.generation that the operator has worked on last; -1 before its first visit."""
    conditions: Annotated[list[Condition], Field(max_length=16), ListMap(("type",))] = Field(default_factory=list)
    """What holds and what does not."""
    replicas: Annotated[int, Field(ge=0)] | None = None
    """Pods that exist and are not ending."""
    ready_replicas: Annotated[int, Field(ge=0)] | None = None
    """Pods that take requests."""
    updated_replicas: Annotated[int, Field(ge=0)] | None = None
    """Pods that run the present spec."""
    available_replicas: Annotated[int, Field(ge=0)] | None = None
    """Pods that count as available."""
    terminating_replicas: Annotated[int, Field(ge=0)] | None = None
    """Pods that finish their last streams. They still hold their GPUs."""
    availability: Annotated[str, Field(max_length=32)] | None = None
    """Ready and wanted replicas, as 1/2."""
    selector: Annotated[str, Field(max_length=512)] | None = None
    """Label selector of the pods, for an autoscaler."""
    url: Annotated[str, Field(max_length=512)] | None = None
    """Where the model answers inside the cluster."""
    served_name: Annotated[str, Field(max_length=253)] | None = None
    """The name that clients put into the request's model field."""
    model_revisions: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=16), Atomic()] | None = None
    """With hf://: the commits that replicas have downloaded; more than one during a rollout, or where a branch has moved."""
    autoscaling: AutoscalingStatus | None = None
    """With spec.autoscaling in mode Auto or Recommend: what the autoscaler has decided last."""
