"""The kinds of object that the operator reads or writes, and the paths of the API at which they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fairlead.api.base import GROUP, KIND, PLURAL, VERSION
from fairlead.resources.manifest import Manifest
from fairlead.resources.names import MODEL_DEPLOYMENT_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["Key", "Kind", "Manifest", "kind_of"]


class Key(NamedTuple):
    """A ModelDeployment, as the work queue knows it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """The form in which people write it."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Kind:
    """A namespaced kind of object."""

    group: str
    version: str
    name: str
    plural: str

    @property
    def api_version(self) -> str:
        """As in a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def selector(self) -> str:
        """Which objects of this kind the operator looks at: all ModelDeployments, and what is labelled as belonging to one."""
        return "" if self.group == GROUP else MODEL_DEPLOYMENT_LABEL

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The path of one object, or of all of a namespace, or (namespace None) of the whole cluster."""
        prefix = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(part for part in (f"{prefix}{within}/{self.plural}", name, subresource) if part)


MODEL_DEPLOYMENT = Kind(GROUP, VERSION, KIND, PLURAL)
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SERVICE = Kind("", "v1", "Service", "services")
POD = Kind("", "v1", "Pod", "pods")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
EVENT = Kind("events.k8s.io", "v1", "Event", "events")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")

CHILDREN = (SERVICE_ACCOUNT, CONFIG_MAP, NETWORK_POLICY, SERVICE, POD_DISRUPTION_BUDGET, DEPLOYMENT)
WATCHED = (MODEL_DEPLOYMENT, *CHILDREN, POD)
_BY_NAME = {(kind.api_version, kind.name): kind for kind in (*WATCHED, EVENT, LEASE)}


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """The kind of a manifest.

    Raises:
        KeyError: a kind that the operator does not handle.
    """
    return _BY_NAME[manifest["apiVersion"], manifest["kind"]]
