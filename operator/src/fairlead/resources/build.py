"""From a ModelDeployment to the manifests of its children. Pure: the same in, the same out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.resources.config_map import config_map
from fairlead.resources.deployment import deployment
from fairlead.resources.manifest import Manifest, sealed
from fairlead.resources.network_policy import network_policy
from fairlead.resources.pod import pod_template
from fairlead.resources.pod_disruption_budget import pod_disruption_budget
from fairlead.resources.service import service
from fairlead.resources.service_account import service_account

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment
    from fairlead.resources.context import BuildContext


def build(mdep: ModelDeployment, context: BuildContext) -> list[Manifest]:
    """The children, in the order in which to write them: what pods need comes before the pods.

    Raises:
        ValueError: the spec is one that `validate` refuses.
    """
    config = config_map(mdep, context)
    children = (
        service_account(mdep),
        config,
        network_policy(mdep, context),
        service(mdep),
        pod_disruption_budget(mdep),
        deployment(mdep, pod_template(mdep, context, config["metadata"]["name"])),
    )
    return [sealed(child) for child in children if child is not None]
