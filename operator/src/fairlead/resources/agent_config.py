"""agent.json: what the agent in the engine container is told. Its parser refuses a key that it does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fairlead.api.quantity import to_bytes
from fairlead.resources import lifetimes, names

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment

VERSION: Final = 1
IDLE_SECONDS: Final = 5
"""How long an engine may be idle before one token is asked of it: an idle engine whose core hangs shows nothing else."""
PROBE_TIMEOUT_SECONDS: Final = 5
"""A probe with 2 s restarted a busy engine eight times a day (gonka#1421)."""
FAILURE_THRESHOLD: Final = 3
"""Misses in a row until a replica leaves the Service: 15 s with the timeout above, of the 30 s that are promised."""


def agent_config(mdep: ModelDeployment, *, ipv6: bool = False) -> dict[str, Any]:
    """What agent.json holds; with `ipv6` the agent listens on addresses of both families, for kubelet and operator."""
    spec = mdep.spec
    host = "::" if ipv6 else "0.0.0.0"  # noqa: S104 # nosec B104 # they come to the pod's address
    return {
        "version": VERSION,
        "engine": spec.engine.name,
        "servedName": mdep.served_name,
        "bind": {"host": host, "port": names.AGENT_PORT, "drainHost": "127.0.0.1", "drainPort": names.DRAIN_PORT},
        "engineUrl": f"http://127.0.0.1:{names.ENGINE_PORT}",
        "sidecarUrl": f"http://127.0.0.1:{names.HTTP_PORT}",
        "sidecarAdminUrl": f"http://127.0.0.1:{names.ADMIN_PORT}",
        "gpu": {
            "memoryUtilizationPercent": spec.engine.gpu_memory_utilization_percent,
            "memoryFloorBytes": to_bytes(spec.health.gpu_memory_floor),
        },
        "warmup": {
            "enabled": spec.warmup.enabled,
            "requests": spec.warmup.requests,
            "promptTokens": spec.warmup.prompt_tokens,
            "maxTokens": spec.warmup.max_tokens,
        },
        "health": {
            "stallSeconds": spec.health.stall_seconds,
            "startupTimeoutSeconds": spec.health.startup_timeout_seconds,
            "idleSeconds": IDLE_SECONDS,
            "probeTimeoutSeconds": PROBE_TIMEOUT_SECONDS,
            "failureThreshold": FAILURE_THRESHOLD,
        },
        "drain": {
            "delaySeconds": lifetimes.DRAIN_DELAY,
            "maxStreamSeconds": spec.rollout.max_stream_seconds,
            "engineShutdownSeconds": lifetimes.ENGINE_SHUTDOWN,
        },
    }
