"""The environment of the engine container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.api.engine_env import FORCED_ENV
from fairlead.resources import names

if TYPE_CHECKING:
    from fairlead.api.engine import Engine, EnvVar


def engine_env(engine: Engine) -> list[dict[str, Any]]:
    """What Fairlead sets, then what the user sets, who may refer to it as $(NAME). A forced name is never the user's."""
    # vLLM keeps all that it compiles below this one: torch.compile's, Inductor's, Triton's and DeepGEMM's (vllm/envs.py).
    kept = {} if engine.compile_cache is None else {"VLLM_CACHE_ROOT": names.COMPILE_CACHE_PATH}
    forced = [{"name": name, "value": value} for name, value in (FORCED_ENV | kept).items()]
    return [*forced, *(_entry(variable) for variable in engine.env if variable.name not in FORCED_ENV)]


def _entry(variable: EnvVar) -> dict[str, Any]:
    entry = variable.to_wire()
    if not entry.get("value"):
        entry.pop("value", None)  # the API server drops an empty one
    return entry
