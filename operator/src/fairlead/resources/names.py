"""Every name, label, annotation, port and path that the operator writes into a cluster. Nothing here is decided elsewhere."""

from __future__ import annotations

from typing import Final

from fairlead.api.base import GROUP

FIELD_MANAGER: Final = "fairlead"

# Labels and annotations.
MODEL_DEPLOYMENT_LABEL: Final = f"{GROUP}/model-deployment"
"""The whole selector of a ModelDeployment's pods."""
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
NAME_LABEL: Final = "app.kubernetes.io/name"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
NAMESPACE_NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""Set by the API server on each namespace, and by nobody else: what a NetworkPolicy can trust."""
OPERATOR_NAME: Final = "fairlead-operator"
"""`app.kubernetes.io/name` of the operator's own pods."""
APPLIED_HASH_ANNOTATION: Final = f"{GROUP}/applied-hash"
"""On each child: sha256 of what was wanted when it was applied."""

# Containers, volumes, paths.
ENGINE_CONTAINER: Final = "engine"
SIDECAR_CONTAINER: Final = "sidecar"
FETCH_CONTAINER: Final = "fetch"
CONFIG_VOLUME: Final = "config"
CONFIG_PATH: Final = "/etc/fairlead"
ENVOY_CONFIG_KEY: Final = "envoy.json"
AGENT_CONFIG_KEY: Final = "agent.json"
FETCH_CONFIG_KEY: Final = "fetch.json"
KEYS_VOLUME: Final = "keys"
KEYS_PATH: Final = "/etc/fairlead-keys"
"""Of the sidecar alone: the ConfigMap that spec.access.jwt.jwks names."""
KEYS_FILE: Final = "jwks.json"
TMP_VOLUME: Final = "tmp"
TMP_PATH: Final = "/tmp"  # noqa: S108 # nosec B108 # the pod's own emptyDir, not a shared folder
SHM_VOLUME: Final = "shm"
SHM_PATH: Final = "/dev/shm"  # noqa: S108 # nosec B108 # as above
MODEL_VOLUME: Final = "model"
MODEL_PATH: Final = "/models"
DOWNLOAD_FOLDER: Final = "model"
"""Of a volume that a model is downloaded to."""
HUB_TOKEN_VOLUME: Final = "hub-token"  # noqa: S105  a name
HUB_TOKEN_PATH: Final = "/etc/fairlead-hub"  # noqa: S105  a path
"""Of the container that downloads alone: the Secret that spec.model.secretRef names."""
HUB_TOKEN_FILE: Final = "token"  # noqa: S105  a name

COMPILE_CACHE_VOLUME: Final = "compile-cache"
COMPILE_CACHE_PATH: Final = "/var/cache/fairlead"

# Ports of a pod. The engine, the agent's drain, Envoy's admin and its own copy of mounted keys are on loopback only.
HTTP_PORT: Final = 8000
ENGINE_PORT: Final = 8001
AGENT_PORT: Final = 8002
DRAIN_PORT: Final = 8003
METRICS_PORT: Final = 8004
KEYS_PORT: Final = 8005
ADMIN_PORT: Final = 9901
SERVICE_PORT: Final = 80

UID: Final = 65532
"""User and group of both containers: `nonroot` of the distroless images."""


def config_map_name(name: str, data_hash: str) -> str:
    """The ConfigMap of ModelDeployment `name` with data of that hash; each other child is called like the ModelDeployment itself.

    Other data makes another ConfigMap, so that the pods roll, and one that is restarted meanwhile finds what it began with.
    """
    return f"{name}-config-{data_hash[:10]}"


def selector(name: str) -> dict[str, str]:
    """The labels by which the pods of ModelDeployment `name` are found."""
    return {MODEL_DEPLOYMENT_LABEL: name}


def labels(name: str, engine: str) -> dict[str, str]:
    """The labels of each child and pod of ModelDeployment `name`."""
    return {
        MANAGED_BY_LABEL: "fairlead",
        NAME_LABEL: engine,
        INSTANCE_LABEL: name,
        **selector(name),
    }
