"""The ConfigMap with what the two programs of a pod read at their start: never changed, but replaced by one of another name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fairlead.resources import names
from fairlead.resources.agent_config import agent_config
from fairlead.resources.envoy import bootstrap
from fairlead.resources.manifest import Manifest, digest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment


def config_map(mdep: ModelDeployment) -> Manifest:
    data = {
        names.ENVOY_CONFIG_KEY: json.dumps(bootstrap(mdep.spec), indent=1, sort_keys=True),
        names.AGENT_CONFIG_KEY: json.dumps(agent_config(mdep), indent=1, sort_keys=True),
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(mdep, names.config_map_name(mdep.metadata.name, digest(data))),
        "data": data,
        "immutable": True,
    }
