"""The NetworkPolicy of the pods: requests from pods of the cluster, figures for those who may read them, nothing out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.resources import names
from fairlead.resources.manifest import Manifest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment
    from fairlead.resources.context import BuildContext


def network_policy(mdep: ModelDeployment, context: BuildContext) -> Manifest:
    """Kubelet probes come from the node, which a NetworkPolicy never shuts out.

    Nothing may go out: the model lies on a volume, and a request must not make the engine fetch from the tenant's network
    or the metadata address of a cloud. An empty `egress` list is not written, as the API server drops it; `policyTypes`
    says it.
    """
    operator = {
        "namespaceSelector": {"matchLabels": {names.NAMESPACE_NAME_LABEL: context.operator_namespace}},
        "podSelector": {"matchLabels": {names.NAME_LABEL: names.OPERATOR_NAME}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(mdep),
        "spec": {
            "podSelector": {"matchLabels": names.selector(mdep.metadata.name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"namespaceSelector": {}}], "ports": [_tcp(names.HTTP_PORT)]},
                {
                    "from": [operator, *(dict(peer) for peer in context.scrape_from)],
                    "ports": [_tcp(names.AGENT_PORT), _tcp(names.METRICS_PORT)],
                },
            ],
        },
    }


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}
