"""`spec.accelerator` and `spec.pod`: where a replica runs and what its pod carries."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fairlead.api.base import ApiModel, QuantityStr
from fairlead.api.markers import Atomic, Cel, ListMap, PreserveUnknown, Rules

LabelValue = Annotated[str, Field(max_length=63)]


def _label_rules() -> Rules:
    """Keys and values that a label may have; the API server would refuse the pods, not the ModelDeployment."""
    return Rules(
        (
            Cel(
                rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",
                message="a key is a name such as team, or example.com/team with a domain in front",
            ),
            Cel(
                rule="self.all(k, !format.labelValue().validate(self[k]).hasValue())",
                message="a value has at most 63 letters, digits, -, _ and . and begins and ends with a letter or digit",
            ),
        )
    )


LabelMap = Annotated[dict[str, LabelValue], Field(max_length=32)]

_OURS = "['app.kubernetes.io/managed-by', 'app.kubernetes.io/name', 'app.kubernetes.io/instance']"


class Toleration(ApiModel):
    """A taint that the pods tolerate; the fields are those of a pod's toleration."""

    key: Annotated[str, Field(max_length=317)] | None = None
    """Key of the taint. Left out together with operator Exists: every taint."""
    operator: Literal["Equal", "Exists"] | None = None
    """How key and value are compared. Default: Equal."""
    value: LabelValue | None = None
    """Value of the taint, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Default: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """How long a NoExecute taint is tolerated, in seconds. Default: for ever."""


class Accelerator(ApiModel):
    """The GPU of a replica, and the nodes that have it. A replica takes one."""

    resource_name: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Cel(
            rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')",
            message="write an extended resource as DOMAIN/NAME, such as nvidia.com/gpu",
        ),
    ] = "nvidia.com/gpu"
    """The extended resource that the device plugin advertises."""
    node_selector: Annotated[LabelMap, _label_rules()] = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=32), Atomic()] = Field(default_factory=list)
    """Taints of GPU nodes that the pods tolerate."""


class LabelSelectorRequirement(ApiModel):
    """One requirement of a label selector."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label is compared with values."""
    values: Annotated[list[LabelValue], Field(max_length=32), Atomic()] | None = None
    """Values, for In and NotIn."""


class LabelSelector(ApiModel):
    """Which pods are counted."""

    match_labels: LabelMap | None = None
    """Labels that a pod must have."""
    match_expressions: Annotated[list[LabelSelectorRequirement], Field(max_length=16), Atomic()] | None = None
    """Requirements that a pod must meet."""


class TopologySpreadConstraint(ApiModel):
    """How replicas are spread; the fields are those of a pod's topologySpreadConstraints."""

    max_skew: Annotated[int, Field(ge=1, le=1000)] = 1
    """Largest difference in the number of replicas between two domains."""
    topology_key: Annotated[str, Field(min_length=1, max_length=317)]
    """Label of nodes that tells one domain from another, such as topology.kubernetes.io/zone."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "ScheduleAnyway"
    """Whether a replica that would break the rule waits or starts all the same."""
    min_domains: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Fewest domains to spread over, for DoNotSchedule."""
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes outside the pod's node affinity count."""
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes with taints that the pod does not tolerate count."""
    label_selector: LabelSelector | None = None
    """Which pods are counted. Default: the replicas of this ModelDeployment."""


class LocalObjectReference(ApiModel):
    """An object in the ModelDeployment's own namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Its name."""


ResourceList = Annotated[dict[str, QuantityStr], Field(max_length=16)]


def _quantities() -> Cel:
    return Cel(
        rule="self.all(k, isQuantity(string(self[k])) && quantity(string(self[k])).compareTo(quantity('0')) >= 0)",
        message="a value is a quantity of zero or more, such as 500m, 2 or 4Gi",
    )


def _default_requests() -> dict[str, int | str]:
    return {"cpu": "1", "memory": "4Gi"}


class Resources(ApiModel):
    """Host resources of the engine container. The GPU is asked for by spec.accelerator."""

    rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="!has(self.limits) || !has(self.requests) || self.limits.all(k, !(k in self.requests) || "
            "!isQuantity(string(self.limits[k])) || !isQuantity(string(self.requests[k])) || "
            "quantity(string(self.limits[k])).compareTo(quantity(string(self.requests[k]))) >= 0)",
            message="a limit is below its request (the default requests are cpu 1 and memory 4Gi); "
            "raise the limit or write a lower request",
        ),
    )
    requests: Annotated[ResourceList, _quantities()] = Field(default_factory=_default_requests)
    """What a node must have free. If it is set at all, the defaults are gone: name both cpu and memory."""
    limits: Annotated[ResourceList, _quantities()] = Field(default_factory=dict)
    """What the container may not exceed. The engine is killed at its memory limit, so leave room for loading the model."""


class Pod(ApiModel):
    """What the pods carry beyond what Fairlead needs."""

    labels: Annotated[
        LabelMap,
        _label_rules(),
        Cel(
            rule=f"self.all(k, !k.startsWith('serving.fairlead.dev/') && !(k in {_OURS}))",
            message="serving.fairlead.dev/… and app.kubernetes.io/managed-by, name and instance are Fairlead's; "
            "use a key of your own, such as example.com/team",
            reason="FieldValueForbidden",
        ),
    ] = Field(default_factory=dict)
    """Labels added to the pods."""
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=8192)]],
        Field(max_length=32),
        Cel(
            rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue())",
            message="a key is a name such as team, or example.com/team with a domain in front",
        ),
        Cel(
            rule="self.all(k, !k.startsWith('serving.fairlead.dev/') && k != 'app.kubernetes.io/managed-by')",
            message="serving.fairlead.dev/… and app.kubernetes.io/managed-by are Fairlead's; "
            "use a key of your own, such as example.com/owner",
            reason="FieldValueForbidden",
        ),
    ] = Field(default_factory=dict)
    """Annotations added to the pods."""
    affinity: Annotated[dict[str, Any], PreserveUnknown()] | None = None
    """Affinity of the pods, as in a pod's spec."""
    topology_spread_constraints: Annotated[list[TopologySpreadConstraint], Field(max_length=8), Atomic()] | None = None
    """How the replicas are spread. Default: over nodes, as well as possible. An empty list: not at all."""
    priority_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """PriorityClass of the pods."""
    runtime_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """RuntimeClass of the pods, such as nvidia where the GPU operator needs it."""
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=16), ListMap(("name",))] = Field(
        default_factory=list
    )
    """Secrets of this namespace with which nodes pull the images."""
    service_account_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """ServiceAccount of the pods. Default: one of the ModelDeployment's own, without rights. No token is mounted either way."""
    resources: Resources = Field(default_factory=Resources)
    """Host resources of the engine container."""
