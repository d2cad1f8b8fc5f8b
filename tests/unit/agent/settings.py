"""An agent.json as the operator renders it, to be changed by each test."""

import json
from typing import Any

from fairlead_agent.config import Config, parse

GIB = 2**30

AGENT_JSON: dict[str, Any] = {
    "version": 1,
    "engine": "vllm",
    "servedName": "tiny",
    "bind": {"host": "127.0.0.1", "port": 8002, "drainHost": "127.0.0.1", "drainPort": 8003},
    "engineUrl": "http://127.0.0.1:8001",
    "sidecarUrl": "http://127.0.0.1:8000",
    "sidecarAdminUrl": "http://127.0.0.1:9901",
    "gpu": {"memoryUtilizationPercent": 90, "memoryFloorBytes": 128 * 2**20},
    "warmup": {"enabled": True, "requests": 8, "promptTokens": 64, "maxTokens": 16},
    "health": {
        "stallSeconds": 60,
        "startupTimeoutSeconds": 900,
        "idleSeconds": 5,
        "probeTimeoutSeconds": 5,
        "failureThreshold": 3,
    },
    "drain": {"delaySeconds": 5, "maxStreamSeconds": 600, "engineShutdownSeconds": 45},
}


def agent_json(**changes: Any) -> dict[str, Any]:
    """A copy with keys replaced; `health__stallSeconds=15` reaches into a section."""
    copy: dict[str, Any] = json.loads(json.dumps(AGENT_JSON))
    for key, value in changes.items():
        *sections, last = key.split("__")
        target = copy
        for section in sections:
            target = target[section]
        target[last] = value
    return copy


def config(**changes: Any) -> Config:
    return parse(json.dumps(agent_json(**changes)))
