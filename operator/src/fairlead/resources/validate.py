"""Whether a ModelDeployment that the API server has let through can be turned into pods. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.api.conditions import Reason
from fairlead.resources import jwks
from fairlead.resources.engine_flags.validate import Problem, check_engine
from fairlead.resources.envoy_access import keys_port
from fairlead.resources.hub_model import HubModel
from fairlead.resources.model_volume import ModelVolume

if TYPE_CHECKING:
    from fairlead.api.access import Jwks
    from fairlead.api.model import Model
    from fairlead.api.model_deployment import ModelDeployment
    from fairlead.resources.context import BuildContext


def validate(mdep: ModelDeployment, context: BuildContext) -> list[Problem]:
    """What is wrong with the spec; `build` takes every spec of which this finds nothing."""
    engine = mdep.spec.engine
    problems = check_engine(engine, context.allowed_engine_flags)
    problems += _check_model(mdep.spec.model, context)
    if mdep.spec.jwks is not None:
        problems += _check_keys(mdep.spec.jwks)
    unsupported = any(problem.reason is Reason.UNSUPPORTED_ENGINE_VERSION for problem in problems)
    if context.engine_image(engine) is None and not unsupported:
        known = ", ".join(sorted(context.images.engines.get(engine.name, {}))) or "none"
        problems.append(
            Problem(
                Reason.NO_ENGINE_IMAGE,
                f"spec.engine.version: the operator has no image for {engine.name} {engine.version} (it has: {known}); set "
                "spec.engine.image, or have a cluster admin add the version to the chart's images.engines",
            )
        )
    return problems


def _check_model(model: Model, context: BuildContext) -> list[Problem]:
    try:
        found = HubModel.of(model, context)
        if found is None:
            ModelVolume.parse(model.uri)
            return []
    except ValueError as error:
        return [Problem(Reason.INVALID_SPEC, str(error))]
    try:
        found.ports  # noqa: B018  raises
    except ValueError as error:
        where = "spec.model.endpoint" if model.endpoint else "the chart's modelHub.endpoint"
        return [Problem(Reason.INVALID_HUB_ENDPOINT, f"{where}: {error}; a port is from 1 to 65535")]
    return []


def _check_keys(source: Jwks) -> list[Problem]:
    """Of a mounted or fetched key set the operator sees nothing: the sidecar refuses every token until it has good keys."""
    if source.inline is not None and (wrong := jwks.problem_with(source.inline)):
        return [Problem(Reason.INVALID_KEY_SET, f"spec.access.jwt.jwks.inline {wrong}")]
    try:
        keys_port(source)
    except ValueError as error:
        return [
            Problem(Reason.INVALID_KEY_SET, f"spec.access.jwt.jwks.url: {error}; write a port from 1 to 65535, or none for 443")
        ]
    return []
