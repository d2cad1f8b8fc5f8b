"""The NetworkPolicy of the pods: requests from pods of the cluster, figures for those who may read them, out only for keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fairlead.resources import names
from fairlead.resources.envoy_access import keys_port
from fairlead.resources.manifest import Manifest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment
    from fairlead.resources.context import BuildContext


_DNS_PORT: Final = 53
_ANYWHERE: Final[tuple[dict[str, Any], ...]] = (
    # The link's own addresses are where clouds answer with the node's credentials, and nothing else that is asked for here.
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}},
    {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128", "fe80::/10"]}},
    # Some network plugins count no pod's address among those of a block.
    {"namespaceSelector": {}},
)


def network_policy(mdep: ModelDeployment, context: BuildContext) -> Manifest:
    """Kubelet probes come from the node, which a NetworkPolicy never shuts out.

    Nothing may go out: the model lies on a volume, and a request must not make the engine fetch from the tenant's network
    or the metadata address of a cloud. An empty `egress` list is not written, as the API server drops it; `policyTypes`
    says it. The one exception is a key set behind a URL: a policy knows no names, so its port is open to all addresses
    but those of the link, for the engine as well as for the sidecar.
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
            **({"egress": egress} if (egress := _egress(mdep)) else {}),
        },
    }


def _egress(mdep: ModelDeployment) -> list[dict[str, Any]]:
    jwks = mdep.spec.jwks
    port = keys_port(jwks) if jwks is not None else None
    if port is None:
        return []
    return [
        {"ports": [{"port": _DNS_PORT, "protocol": "UDP"}, _tcp(_DNS_PORT)]},
        {"to": [dict(peer) for peer in _ANYWHERE], "ports": [_tcp(port)]},
    ]


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}
