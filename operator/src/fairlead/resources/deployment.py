"""The Deployment of the replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.resources import lifetimes, names
from fairlead.resources.manifest import Manifest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment


def deployment(mdep: ModelDeployment, template: dict[str, Any]) -> Manifest:
    spec = mdep.spec
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(mdep),
        "spec": {
            "replicas": spec.replicas,
            "selector": {"matchLabels": names.selector(mdep.metadata.name)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": spec.rollout.max_surge, "maxUnavailable": spec.rollout.max_unavailable},
            },
            # No minReadySeconds: a replica is ready only once it has answered real requests. (A 0 would be dropped.)
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": lifetimes.progress_deadline(spec),
            "template": template,
        },
    }
