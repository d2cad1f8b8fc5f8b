"""The operator's settings: one JSON file, which the chart writes. A mistake in it is told in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from fairlead.resources.context import DEFAULT_HUB, BuildContext, Images

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

POD_IPS = "FAIRLEAD_POD_IPS"
"""The environment variable with the addresses of the operator's own pod, which the chart fills: one, or one of each family."""


class SettingsError(Exception):
    """The settings cannot be used; the message is for people."""


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)


class ImageSettings(_Part):
    """Images that the operator fills in."""

    sidecar: Annotated[str, Field(min_length=1)]
    engines: dict[str, dict[str, Annotated[str, Field(min_length=1)]]] = {}


class ModelHub(_Part):
    """Where models of hf:// come from."""

    endpoint: Annotated[str, Field(min_length=1)] = DEFAULT_HUB


class PrometheusSettings(_Part):
    """Where the autoscaler finds the GPUs' duty cycle, for ModelDeployments that ask for it."""

    url: Annotated[str, Field(pattern="^https?://[^/]+")]
    namespace_label: Annotated[str, Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$")] = "namespace"
    pod_label: Annotated[str, Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$")] = "pod"
    """The labels by which a series names its pod."""


class Settings(_Part):
    """What the operator is told at its start."""

    images: ImageSettings
    operator_namespace: Annotated[str, Field(min_length=1)]
    lease: Annotated[str, Field(min_length=1)] | None = None
    """Name of the Lease in the operator's namespace by which one of several operators leads; none: this one leads always."""
    allowed_engine_flags: list[str] = []
    model_hub: ModelHub = ModelHub()
    prometheus: PrometheusSettings | None = None
    scrape_from: list[dict[str, Any]] = []
    namespaces: list[str] = []
    """Namespaces to serve; empty: all of the cluster."""
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    resync_seconds: Annotated[int, Field(ge=10, le=86_400)] = 300
    """How often everything is listed again: what a cut watch has missed is found so, and nothing else."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    listen_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of /healthz, /readyz and /metrics; 0: any free one of 127.0.0.1, told in the log."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            SettingsError: it cannot be read or is not valid; the message names file and place.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise SettingsError(f"cannot read the settings {path}: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise SettingsError(f"the settings {path} are not valid: {place}: {first['msg']}") from None

    @property
    def context(self) -> BuildContext:
        """The part that manifests depend on."""
        return BuildContext(
            images=Images(sidecar=self.images.sidecar, engines=self.images.engines),
            operator_namespace=self.operator_namespace,
            allowed_engine_flags=frozenset(self.allowed_engine_flags),
            model_hub_endpoint=self.model_hub.endpoint,
            scrape_from=tuple(self.scrape_from),
        )


def pods_have_ipv6(environment: Mapping[str, str]) -> bool:
    """Whether pods of this cluster have IPv6 addresses: the operator's own has, or has not. Outside of a pod: no."""
    return ":" in environment.get(POD_IPS, "")
