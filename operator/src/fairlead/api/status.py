"""`status`: what the operator has seen. Only the operator writes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from fairlead.api.base import ApiModel
from fairlead.api.markers import ListMap

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
