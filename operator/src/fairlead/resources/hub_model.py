"""A model of a hub: what to ask whom for, and the volume that it is downloaded to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fairlead.api.model import HUB_URI, Cache
from fairlead.resources import names

if TYPE_CHECKING:
    from fairlead.api.model import Model, TokenRef
    from fairlead.resources.context import BuildContext

DEFAULT_REVISION: Final = "main"
DEFAULT_SIZE: Final = "100Gi"
DEFAULT_KEY: Final = "token"
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class HubModel:
    """What hf://ORG/NAME and its neighbours in spec.model mean."""

    repository: str
    revision: str
    endpoint: str
    """URL of the hub, without a slash at the end."""
    token: TokenRef | None
    cache: Cache

    @classmethod
    def of(cls, model: Model, context: BuildContext) -> HubModel | None:
        """None where the model lies on a claim.

        Raises:
            ValueError: the URI is none that the CRD lets through.
        """
        if not is_hub(model.uri):
            return None
        if not re.fullmatch(HUB_URI, model.uri) or "--" in model.uri or ".." in model.uri:
            raise ValueError(f"spec.model.uri: {model.uri!r} is not hf://ORG/NAME")
        return cls(
            repository=model.uri.removeprefix("hf://"),
            revision=model.revision or DEFAULT_REVISION,
            endpoint=(model.endpoint or context.model_hub_endpoint).rstrip("/"),
            token=model.secret_ref,
            cache=model.cache or Cache(),
        )

    @property
    def token_key(self) -> str:
        """Key of the Secret with the token."""
        return (self.token.key if self.token is not None else None) or DEFAULT_KEY

    @property
    def ports(self) -> set[int]:
        """TCP ports to which the pod must get out: the hub's, and that of the stores which a public hub redirects to.

        Raises:
            ValueError: the endpoint's port is none.
        """
        parts = urlsplit(self.endpoint)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"{self.endpoint!r} is not an address; write https:// and a host")
        return {parts.port or _PORTS[parts.scheme], _PORTS["https"]}

    @property
    def volume(self) -> dict[str, Any]:
        """A volume of the pod's own: one claim for all replicas would keep them on one node, and they write to it."""
        claim: dict[str, Any] = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": str(self.cache.size or DEFAULT_SIZE)}},
        }
        if self.cache.storage_class_name is not None:
            claim["storageClassName"] = self.cache.storage_class_name
        return {"name": names.MODEL_VOLUME, "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}


def is_hub(uri: str) -> bool:
    """Whether the model is downloaded, rather than read from a claim."""
    return uri.startswith("hf://")


DOWNLOADED = f"{names.MODEL_PATH}/{names.DOWNLOAD_FOLDER}"
"""Where the model lies in the pod. Not the root of the volume: a new file system has a folder of its own there."""
