"""A fetch.json as the operator renders it, to be changed by each test."""

import json
from typing import Any

from fairlead_agent.fetch.config import FetchConfig, parse

FETCH_JSON: dict[str, Any] = {
    "version": 1,
    "bind": {"host": "127.0.0.1", "port": 8002},
    "engine": "vllm",
    "repository": "org/tiny",
    "revision": "main",
    "endpoint": "https://hub.example.com",
    "folder": "/models/model",
    "token": None,
}
TOKEN = {"file": "/etc/fairlead-hub/token", "secret": "hub", "key": "token"}


def config(**changes: Any) -> FetchConfig:
    return parse(json.dumps(FETCH_JSON | changes))
