"""The ServiceAccount of the pods: it has no rights, and its token is not mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.resources.manifest import Manifest, metadata

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment


def service_account_name(mdep: ModelDeployment) -> str:
    """The user's own, or ours."""
    return mdep.spec.pod.service_account_name or mdep.metadata.name


def service_account(mdep: ModelDeployment) -> Manifest | None:
    """None where the user names another."""
    if mdep.spec.pod.service_account_name is not None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(mdep),
        "automountServiceAccountToken": False,
    }
