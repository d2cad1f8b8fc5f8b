"""The ModelDeployment: one language model, served by some number of equal replicas."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from fairlead.api.access import Access, Jwks  # noqa: TC001  pydantic reads it at run time
from fairlead.api.autoscaling import Autoscaling  # noqa: TC001  as above
from fairlead.api.base import API_VERSION, KIND, ApiModel, QuantityStr
from fairlead.api.engine import Engine
from fairlead.api.markers import Cel
from fairlead.api.model import Model  # noqa: TC001  as above
from fairlead.api.pod import Accelerator, Pod
from fairlead.api.status import Status


class Warmup(ApiModel):
    """Requests that a replica answers to itself before it takes any from outside."""

    enabled: bool = True
    """Whether to warm up. Without it one short request is sent all the same: no replica is ready before a decode has worked."""
    requests: Annotated[int, Field(ge=1, le=256)] = 8
    """How many requests."""
    prompt_tokens: Annotated[int, Field(ge=1, le=8192)] = 64
    """Length of each prompt, in tokens, about."""
    max_tokens: Annotated[int, Field(ge=1, le=1024)] = 16
    """Length of each answer, in tokens."""


class Health(ApiModel):
    """When a replica counts as ready, and when it is restarted."""

    stall_seconds: Annotated[int, Field(ge=15, le=3600)] = 60
    """How long an engine with work may go without making a token before it is restarted, in seconds."""
    startup_timeout_seconds: Annotated[int, Field(ge=60, le=7200)] = 900
    """How long the engine may take from its start to the end of warm-up, in seconds. Waiting for GPU memory does not count."""
    gpu_memory_floor: Annotated[
        QuantityStr,
        Cel(
            rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0"
            " && quantity(string(self)).compareTo(quantity('1Ti')) <= 0",
            message="write a quantity of memory from 0 to 1Ti, such as 128Mi",
        ),
    ] = "128Mi"
    """GPU memory that must stay free while the engine runs; below it the replica is taken out of service."""


class Rollout(ApiModel):
    """How replicas are replaced when the spec changes. No stream is cut."""

    rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            # Optional selection, as the API server runs the rule on the default {} before it fills in the defaults of the fields.
            rule="self.?maxSurge.orValue(1) > 0 || self.?maxUnavailable.orValue(0) > 0",
            message="maxSurge and maxUnavailable cannot both be 0, or no replica could ever be replaced; "
            "write maxSurge: 1, or maxUnavailable: 1 where no GPU is spare",
        ),
    )
    max_surge: Annotated[int, Field(ge=0, le=100)] = 1
    """How many replicas more than spec.replicas may exist during a rollout. Each needs a spare GPU."""
    max_unavailable: Annotated[int, Field(ge=0, le=100)] = 0
    """How many replicas fewer than spec.replicas may serve during a rollout."""
    max_stream_seconds: Annotated[int, Field(ge=30, le=86_400)] = 600
    """How long a stream on a replica that is being replaced may go on, in seconds."""


class ModelDeploymentSpec(ApiModel):
    """What is wanted."""

    rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="!has(self.engine.maxModelLen) || self.warmup.promptTokens + self.warmup.maxTokens <= self.engine.maxModelLen",
            message="promptTokens and maxTokens together must fit into spec.engine.maxModelLen; lower them or raise maxModelLen",
            field_path=".warmup",
        ),
        Cel(
            rule="!(self.accelerator.resourceName in self.pod.resources.?requests.orValue({})) && "
            "!(self.accelerator.resourceName in self.pod.resources.?limits.orValue({}))",
            message="the GPU is asked for by spec.accelerator, one per replica; remove it here",
            reason="FieldValueForbidden",
            field_path=".pod.resources",
        ),
        Cel(
            rule="!(self.?autoscaling.mode.orValue('') == 'Auto' && oldSelf.?autoscaling.mode.orValue('') == 'Auto') || "
            "self.replicas == oldSelf.replicas",
            message="the operator sets the number of replicas while spec.autoscaling.mode is Auto; change minReplicas or "
            "maxReplicas, or set spec.autoscaling.mode to Recommend first",
            reason="FieldValueForbidden",
            field_path=".replicas",
        ),
        Cel(
            rule="self.?autoscaling.mode.orValue('') != 'Auto' || self.replicas > 0",
            message="0 stops a model for good, which spec.autoscaling.mode Auto never does; write 1 or more, or set the mode to "
            "Recommend",
            field_path=".replicas",
        ),
    )

    model: Model
    """Which model, and under which name clients ask for it."""
    engine: Engine = Field(default_factory=Engine)
    """The program that runs the model."""
    accelerator: Accelerator = Field(default_factory=Accelerator)
    """The GPU of a replica, and the nodes that have it."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 2
    """How many replicas serve the model. 0 stops it and frees its GPUs. With spec.autoscaling.mode Auto: how many there are at
    first."""
    autoscaling: Autoscaling | None = None
    """Who sets the number of replicas, and by what. Default: nobody, spec.replicas is the number."""
    warmup: Warmup = Field(default_factory=Warmup)
    """Requests that a replica answers to itself before it takes any from outside."""
    health: Health = Field(default_factory=Health)
    """When a replica counts as ready, and when it is restarted."""
    rollout: Rollout = Field(default_factory=Rollout)
    """How replicas are replaced when the spec changes."""
    access: Access | None = None
    """Who may send requests. Default: every pod of the cluster, and nobody outside."""
    pod: Pod = Field(default_factory=Pod)
    """What the pods carry beyond what Fairlead needs."""

    @property
    def jwks(self) -> Jwks | None:
        """Where the issuer's keys come from; None: requests need no token."""
        return self.access.jwt.jwks if self.access is not None else None


class ObjectMeta(ApiModel):
    """The part of metadata that Fairlead reads."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class ModelDeployment(ApiModel):
    """One language model, served by some number of equal replicas behind one Service."""

    rules: ClassVar[tuple[Cel, ...]] = (
        # The name becomes that of a Service and, with a suffix, that of pods, whose names and labels end at 63 characters.
        Cel(
            rule="self.metadata.name.matches('^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$')",
            message="write at most 50 lower-case letters, digits and -, beginning with a letter and not "
            "ending with -, such as chat-8b",
            field_path=".metadata.name",
        ),
    )
    api_version: Literal["serving.fairlead.dev/v1alpha1"] = API_VERSION
    kind: Literal["ModelDeployment"] = KIND
    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    """What is wanted."""
    status: Status = Field(default_factory=Status)
    """What the operator has seen."""

    @property
    def served_name(self) -> str:
        """The name that clients ask for."""
        return self.spec.model.served_name or self.metadata.name
