"""What the agent needs to know of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of the engine's own metrics, summed over its ranks.

    `counters` are numbers that only the engine's core moves, so that any change proves a step of it; None if the engine
    does not tell them, and then the other numbers mean nothing. `kv_cache_percent` is that of the fullest rank. `deferred` are
    those of `waiting` that do not wait for room.
    """

    running: int
    waiting: int
    deferred: int
    kv_cache_percent: int
    generated_tokens: int
    counters: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Request:
    """A POST to the engine."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """Where an engine will look for its model: a folder, and the files of which it needs one; none: it is told elsewhere."""

    folder: str
    configs: tuple[str, ...]


class Engine(Protocol):
    """One engine. All of it is pure."""

    health_path: str
    metrics_path: str

    def argv(self, arguments: Sequence[str]) -> list[str]:
        """The command line, from the arguments that the operator rendered."""

    def model(self, arguments: Sequence[str]) -> Model | None:
        """Its model; None where that is no folder of this container."""

    def headers(self, arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
        """Headers that the agent's own requests need."""

    def sample(self, metrics: str) -> Sample:
        """Reads the text of the metrics page; never raises."""

    def warmup(self, model: str, number: int, prompt_tokens: int, max_tokens: int) -> Request:
        """The `number`-th warm-up request: of about this length, making exactly `max_tokens` tokens where the engine can."""

    def canary(self, model: str) -> Request:
        """The smallest request that makes the engine's core work: one token."""

    def tokens(self, answer: Any) -> int:
        """Generated tokens as the answer's own usage counts them; 0 if it does not say."""

    def error(self, status: int, answer: Any) -> str:
        """The engine's own words for a refused request, for people."""

    def cause(self, last_lines: Sequence[str]) -> str:
        """Why it ended with an error, out of its last lines; empty if they do not say."""
