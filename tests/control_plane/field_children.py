"""Which children a field of spec shows in: said here field by field, held against what is built and what an API server has."""

from typing import Any

from tests.control_plane.changes import PROPERTIES
from tests.control_plane.crd_fields import Field
from tests.objects import Object

# Every field shows in the Deployment: what pods read has another name, or there would be no rollout.
ALSO: dict[str, tuple[str, ...]] = {
    "ConfigMap": (
        *("spec.model", "spec.model.uri", "spec.model.revision", "spec.model.endpoint", "spec.model.servedName"),
        *("spec.model.secretRef", "spec.model.secretRef.name", "spec.model.secretRef.key"),
        *("spec.engine", "spec.engine.maxNumSeqs", "spec.engine.gpuMemoryUtilizationPercent"),
        *("spec.warmup", "spec.warmup.enabled", "spec.warmup.requests", "spec.warmup.promptTokens", "spec.warmup.maxTokens"),
        *("spec.health", "spec.health.stallSeconds", "spec.health.startupTimeoutSeconds", "spec.health.gpuMemoryFloor"),
        *("spec.rollout", "spec.rollout.maxStreamSeconds"),
        *("spec.access", "spec.access.jwt", "spec.access.jwt.issuer", "spec.access.jwt.audiences"),
        *("spec.access.jwt.jwks", "spec.access.jwt.jwks.inline", "spec.access.jwt.jwks.url"),
        "spec.access.jwt.jwks.configMapKeyRef",
    ),
    "NetworkPolicy": (
        *("spec.model", "spec.model.uri", "spec.model.endpoint"),
        *("spec.access", "spec.access.jwt", "spec.access.jwt.jwks", "spec.access.jwt.jwks.url"),
    ),
    "ServiceAccount": ("spec.pod", "spec.pod.serviceAccountName"),
}
"""The children that have it besides the Deployment. A new field that is only in the Deployment needs no row."""
ONE_VALUE = frozenset({"spec.engine.name", "spec.engine.version"})
"""Fields of which this version takes one value, so that nothing can be seen to change with them."""


def children_of(field: Field) -> set[str]:
    """The kinds of children that may change with the field."""
    return {"Deployment", *(kind for kind, names in ALSO.items() if field.name in names)}


def may_change(before: Object, after: Object) -> set[str]:
    """The kinds of children that may change from one spec to another."""
    differing = [field for field in PROPERTIES if _at(before, field) != _at(after, field)]
    # Of an object that is there both before and after the fields in it tell more than it does itself.
    there_twice = [field for field in differing if None not in (_at(before, field), _at(after, field))]
    telling = [field for field in differing if field not in there_twice or not any(_within(other, field) for other in differing)]
    return set().union(*map(children_of, telling))


def _within(field: Field, other: Field) -> bool:
    return field.path != other.path and field.path[: len(other.path)] == other.path


def _at(spec: Any, field: Field) -> Any:
    for part in field.path[1:]:
        spec = (spec or {}).get(part)
    return spec
