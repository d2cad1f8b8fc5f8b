"""What the operator reads every few seconds: small, and always under 300 bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairlead_agent.reasons import Phase, Problem

#: Bytes. The operator reads no more of it.
MOST_BYTES = 299
#: Bytes of the message.
MOST_MESSAGE_BYTES = 140
#: Counts are cut here, so that the rest always fits: 10**15 tokens are 30 years at a million a second.
_MOST_COUNT = 999_999
_MOST_TOKENS = 10**15


@dataclass(frozen=True, slots=True)
class Load:
    """What the engine and its GPU do. `tokens` are those generated for clients since the engine's start."""

    running: int = 0
    waiting: int = 0
    kv_cache_percent: int = 0
    duty_cycle_percent: int = 0
    tokens: int = 0


def render(phase: Phase, problem: Problem, load: Load) -> bytes:
    """The JSON of /status, at most MOST_BYTES; the message gives way."""
    message = _printable(problem.message).encode()[:MOST_MESSAGE_BYTES].decode(errors="ignore")
    while True:
        body = json.dumps(
            {
                "phase": phase,
                "reason": problem.reason,
                "message": message,
                "running": min(load.running, _MOST_COUNT),
                "waiting": min(load.waiting, _MOST_COUNT),
                "kvCachePercent": load.kv_cache_percent,
                "dutyCyclePercent": load.duty_cycle_percent,
                "tokens": min(load.tokens, _MOST_TOKENS),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        excess = len(body) - MOST_BYTES
        if excess <= 0:
            return body
        message = message[: -min(excess, len(message))] if len(message) > excess else message[: len(message) // 2]


def _printable(message: str) -> str:
    """One line of characters that JSON does not have to spell out in six bytes each; lone surrogates have no UTF-8."""
    return "".join(each if each.isprintable() else " " for each in message)
