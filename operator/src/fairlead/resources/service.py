"""The Service that clients use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.resources import names
from fairlead.resources.manifest import Manifest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment


def service(mdep: ModelDeployment) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(mdep),
        "spec": {
            "type": "ClusterIP",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "selector": names.selector(mdep.metadata.name),
            "ports": [{"name": "http", "port": names.SERVICE_PORT, "targetPort": names.HTTP_PORT, "protocol": "TCP"}],
        },
    }
