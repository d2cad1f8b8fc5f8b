"""The environment of the engine container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.api.engine_env import FORCED_ENV

if TYPE_CHECKING:
    from fairlead.api.engine import EnvVar


def engine_env(wanted: list[EnvVar]) -> list[dict[str, Any]]:
    """What Fairlead sets, then what the user sets, who may refer to it as $(NAME). A forced name is never the user's."""
    forced = [{"name": name, "value": value} for name, value in FORCED_ENV.items()]
    return [*forced, *(_entry(variable) for variable in wanted if variable.name not in FORCED_ENV)]


def _entry(variable: EnvVar) -> dict[str, Any]:
    entry = variable.to_wire()
    if not entry.get("value"):
        entry.pop("value", None)  # the API server drops an empty one
    return entry
