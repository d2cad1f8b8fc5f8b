"""The ConfigMap with what the two programs of a pod read at their start: never changed, but replaced by one of another name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fairlead.resources import names
from fairlead.resources.agent_config import agent_config
from fairlead.resources.envoy import bootstrap
from fairlead.resources.fetch import fetch_config
from fairlead.resources.hub_model import HubModel
from fairlead.resources.manifest import Manifest, digest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment
    from fairlead.resources.context import BuildContext


def config_map(mdep: ModelDeployment, context: BuildContext) -> Manifest:
    model = HubModel.of(mdep.spec.model, context)
    data = {
        names.ENVOY_CONFIG_KEY: json.dumps(bootstrap(mdep.spec, ipv6=context.ipv6), indent=1, sort_keys=True),
        names.AGENT_CONFIG_KEY: json.dumps(agent_config(mdep, ipv6=context.ipv6), indent=1, sort_keys=True),
    }
    if model is not None:
        fetch = fetch_config(model, engine=mdep.spec.engine.name, ipv6=context.ipv6)
        data[names.FETCH_CONFIG_KEY] = json.dumps(fetch, indent=1, sort_keys=True)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(mdep, names.config_map_name(mdep.metadata.name, digest(data))),
        "data": data,
        "immutable": True,
    }
