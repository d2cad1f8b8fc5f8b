"""The PodDisruptionBudget: a node that is drained takes one replica at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.resources import names
from fairlead.resources.manifest import Manifest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment


def pod_disruption_budget(mdep: ModelDeployment) -> Manifest:
    """maxUnavailable, as minAvailable 1 would block every drain at one replica; a replica that serves nobody may always go."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(mdep),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.selector(mdep.metadata.name)},
        },
    }
