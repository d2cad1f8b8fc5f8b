"""The NetworkPolicy of the pods: in come requests and, from who may, readers of figures; out goes who fetches keys or a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fairlead.resources import names
from fairlead.resources.envoy_access import keys_port
from fairlead.resources.hub_model import HubModel
from fairlead.resources.manifest import Manifest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment
    from fairlead.resources.context import BuildContext


_DNS_PORT: Final = 53
# Where clouds answer with the node's credentials, and nothing else that is asked for here: the link's own addresses, among them
# 169.254.169.254 of most; of Alibaba Cloud; of Azure's host agent, beside its metadata. And over IPv6 of AWS and of Google Cloud.
_METADATA_IPV4: Final = ["100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16"]
_METADATA_IPV6: Final = ["fd00:ec2::/32", "fd20:ce::254/128", "fe80::/10"]
_ANYWHERE: Final[tuple[dict[str, Any], ...]] = (
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": _METADATA_IPV4}},
    {"ipBlock": {"cidr": "::/0", "except": _METADATA_IPV6}},
    # Some network plugins count no pod's address among those of a block.
    {"namespaceSelector": {}},
)


def network_policy(mdep: ModelDeployment, context: BuildContext) -> Manifest:
    """Kubelet probes come from the node, which a NetworkPolicy never shuts out.

    Nothing may go out: the model lies on a volume, and a request must not make the engine fetch from the tenant's network
    or the metadata address of a cloud. An empty `egress` list is not written, as the API server drops it; `policyTypes`
    says it. The exceptions are a key set behind a URL and a model of a hub: a policy knows no names, so their ports are open
    to all addresses but those of metadata services, for all containers of the pod; and DNS, at those too, as some clouds' nodes
    and caches answer it there.
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
                {"from": [operator], "ports": [_tcp(names.AGENT_PORT)]},
                *_scraping(context),
            ],
            **({"egress": egress} if (egress := _egress(mdep, context)) else {}),
        },
    }


def _scraping(context: BuildContext) -> list[dict[str, Any]]:
    peers = [dict(peer) for peer in context.scrape_from]
    # A rule from an empty list would be one from everybody.
    return [{"from": peers, "ports": [_tcp(names.AGENT_PORT), _tcp(names.METRICS_PORT)]}] if peers else []


def _egress(mdep: ModelDeployment, context: BuildContext) -> list[dict[str, Any]]:
    jwks, model = mdep.spec.jwks, HubModel.of(mdep.spec.model, context)
    port = keys_port(jwks) if jwks is not None else None
    ports = (set() if port is None else {port}) | (set() if model is None else model.ports)
    if not ports:
        return []
    return [
        {"ports": [{"port": _DNS_PORT, "protocol": "UDP"}, _tcp(_DNS_PORT)]},
        {"to": [dict(peer) for peer in _ANYWHERE], "ports": [_tcp(each) for each in sorted(ports)]},
    ]


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}
