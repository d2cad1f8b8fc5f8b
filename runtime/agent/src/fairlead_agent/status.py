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
class EngineLoad:
    """What the engine does.

    `tokens` are those generated for clients since its start; `deferred` of the `waiting` do not wait for room but for something
    of their own, such as an adapter.
    """

    running: int
    waiting: int
    deferred: int
    kv_cache_percent: int
    tokens: int
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """What the engine and its GPU do, as far as it is known: what is not known is left out, for 0 would say that all is idle."""

    engine: EngineLoad | None = None
    duty_cycle_percent: int | None = None
    duty_age_seconds: float = 0.0

    def told(self) -> dict[str, int]:
        """The fields of /status. Ages are in milliseconds: rates are taken from what is counted between two answers."""
        engine, duty = self.engine, self.duty_cycle_percent
        told = {} if duty is None else {"dutyCyclePercent": duty, "dutyAgeMs": _age(self.duty_age_seconds)}
        if engine is None:
            return told
        return {
            "running": min(engine.running, _MOST_COUNT),
            "waiting": min(engine.waiting, _MOST_COUNT),
            "deferred": min(engine.deferred, _MOST_COUNT),
            "kvCachePercent": engine.kv_cache_percent,
            "tokens": min(engine.tokens, _MOST_TOKENS),
            "loadAgeMs": _age(engine.age_seconds),
            **told,
        }


def render(phase: Phase, problem: Problem, load: Load) -> bytes:
    """The JSON of /status, at most MOST_BYTES; the message gives way."""
    message = _printable(problem.message).encode()[:MOST_MESSAGE_BYTES].decode(errors="ignore")
    while True:
        body = json.dumps(
            {
                "phase": phase,
                "reason": problem.reason,
                "message": message,
                **load.told(),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        excess = len(body) - MOST_BYTES
        if excess <= 0:
            return body
        message = message[: -min(excess, len(message))] if len(message) > excess else message[: len(message) // 2]


def _age(seconds: float) -> int:
    return min(round(1000 * max(seconds, 0.0)), _MOST_COUNT)


def _printable(message: str) -> str:
    """One line of characters that JSON does not have to spell out in six bytes each; lone surrogates have no UTF-8."""
    return "".join(each if each.isprintable() else " " for each in message)
