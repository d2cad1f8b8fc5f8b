"""What a builder must know besides the ModelDeployment: the operator's own settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fairlead.api.engine import Engine


DEFAULT_HUB: Final = "https://huggingface.co"


@dataclass(frozen=True)
class Images:
    """Images that the operator fills in."""

    sidecar: str
    """Image whose entrypoint is Envoy >= 1.40."""
    engines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Engine name -> version -> image whose entrypoint is the agent."""


@dataclass(frozen=True)
class BuildContext:
    """The operator's settings as far as manifests depend on them."""

    images: Images
    operator_namespace: str
    """Namespace of the operator: its pods may read the agents' status and metrics."""
    allowed_engine_flags: frozenset[str] = frozenset()
    """Flags that a cluster admin lets through although the table of the engine version does not list or refuses them."""
    scrape_from: tuple[Mapping[str, Any], ...] = ()
    """NetworkPolicy peers that may read the metrics ports, as Kubernetes writes them."""
    model_hub_endpoint: str = DEFAULT_HUB
    """Where models of hf:// come from, unless spec.model.endpoint says otherwise. Pods ask there, the operator never does."""
    ipv6: bool = False
    """Whether pods of this cluster have IPv6 addresses, alone or beside those of IPv4."""

    def engine_image(self, engine: Engine) -> str | None:
        """The image of the engine container; None where neither the user nor the operator names one."""
        return engine.image or self.images.engines.get(engine.name, {}).get(engine.version)
