"""Thousands of requests, each with another token."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.unit.sidecar.http1 import Connection

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTIONS = 50
"""Requests under way at a time. (Behind each other on one connection, Envoy answers two that it refuses, and no third.)"""


def statuses(port: int, tokens: Sequence[str]) -> list[int]:
    """What the sidecar says to each token, in their order."""
    found = []
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(port)) for _ in range(CONNECTIONS)]
        for start in range(0, len(tokens), CONNECTIONS):
            asked = list(zip(connections, tokens[start : start + CONNECTIONS], strict=False))
            for connection, token in asked:
                connection.request("GET", "/v1/models", {"authorization": f"Bearer {token}"})
            found += [connection.status() for connection, _ in asked]
    return found
