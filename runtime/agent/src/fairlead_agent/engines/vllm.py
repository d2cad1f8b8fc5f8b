"""vLLM: command, metric names, warm-up and canary requests.

Metric names are those of vLLM 0.32.0 under load. What moves them (vllm/v1/engine/async_llm.py, vllm/v1/metrics/loggers.py): the
API process writes them only when its EngineCore has sent the outcome of a step, so a change proves a living core. A step that
only prefills a chunk of a long prompt has no output: vllm:iteration_tokens_total and the token counters then stand still, while
the scheduler's gauges (vllm:kv_cache_usage_perc, prefix cache queries) move. So they are read as signs of life as well.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from fairlead_agent.engines import tracebacks
from fairlead_agent.engines.protocol import Model, Request, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RUNNING = "vllm:num_requests_running"
_WAITING = "vllm:num_requests_waiting"
#: Waiting for an adapter or a KV transfer, and not for room; with labels, as the engine writes them in this order or another.
_BY_REASON = "vllm:num_requests_waiting_by_reason"
_DEFERRED = 'reason="deferred"'
_KV_USAGE = "vllm:kv_cache_usage_perc"
_GENERATED = "vllm:generation_tokens_total"
#: Each moves only by a step of the engine's core. The first is the sign that the engine counts at all.
_SIGNS_OF_LIFE = (
    "vllm:iteration_tokens_total_count",
    "vllm:iteration_tokens_total_sum",
    _GENERATED,
    "vllm:prompt_tokens_total",
    "vllm:prefix_cache_queries_total",
    _KV_USAGE,
)
_WANTED = frozenset((_RUNNING, _WAITING, _BY_REASON, *_SIGNS_OF_LIFE))
_PREFIX = "vllm:"
#: Without one of them (the second is Mistral's) it takes the folder's name for that of a model on a hub, and complains of that.
_CONFIGS = ("config.json", "params.json")
_CONFIG_ELSEWHERE = "--hf-config-path"
#: A word that every tokenizer seen knows as one token when a space is before it.
_WORD = " a"


class _VLLM:
    health_path = "/health"
    metrics_path = "/metrics"

    def argv(self, arguments: Sequence[str]) -> list[str]:
        return ["vllm", "serve", *arguments]

    def model(self, arguments: Sequence[str]) -> Model | None:
        folder = arguments[0]
        if not folder.startswith("/"):
            return None
        elsewhere = any(argument.partition("=")[0] == _CONFIG_ELSEWHERE for argument in arguments)
        return Model(folder, () if elsewhere else _CONFIGS)

    def headers(self, arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
        key = environment.get("VLLM_API_KEY", "")
        for argument, following in itertools.pairwise((*arguments, "")):
            name, equals, value = argument.partition("=")
            if name == "--api-key":
                key = value if equals else following
        return {"Authorization": f"Bearer {key}"} if key else {}

    def sample(self, metrics: str) -> Sample:
        sums: dict[str, float] = {}
        fullest = 0.0
        for line in metrics.splitlines():
            name, value = _value(line)
            if name in _WANTED and (name != _BY_REASON or _DEFERRED in line):
                sums[name] = sums.get(name, 0.0) + value
                if name == _KV_USAGE:
                    fullest = max(fullest, value)
        counters = tuple(sums.get(name, 0.0) for name in _SIGNS_OF_LIFE) if _SIGNS_OF_LIFE[0] in sums else None
        return Sample(
            running=int(sums.get(_RUNNING, 0)),
            waiting=int(sums.get(_WAITING, 0)),
            deferred=int(sums.get(_BY_REASON, 0)),
            kv_cache_percent=round(100 * min(fullest, 1.0)),
            generated_tokens=int(sums.get(_GENERATED, 0)),
            counters=counters,
        )

    def warmup(self, model: str, number: int, prompt_tokens: int, max_tokens: int) -> Request:
        # Each prompt starts differently: the prefix cache would otherwise skip the prefill of all but the first. Every second
        # request is greedy, the others sample as most clients do: the two run different kernels. ignore_eos makes all of them
        # decode max_tokens.
        return Request(
            "/v1/chat/completions",
            {
                "model": model,
                "messages": [{"role": "user", "content": f"{number}" + _WORD * (prompt_tokens - 1)}],
                "max_tokens": max_tokens,
                "ignore_eos": True,
                "temperature": number % 2,
            },
        )

    def canary(self, model: str) -> Request:
        return Request("/v1/completions", {"model": model, "prompt": "a", "max_tokens": 1, "temperature": 0})

    def tokens(self, answer: Any) -> int:
        usage = answer.get("usage") if isinstance(answer, dict) else None
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        return tokens if isinstance(tokens, int) else 0

    def error(self, status: int, answer: Any) -> str:
        error = answer.get("error") if isinstance(answer, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        return f"HTTP {status}: {message if isinstance(message, str) else answer}"

    def cause(self, last_lines: Sequence[str]) -> str:
        return tracebacks.cause(last_lines)


def _value(line: str) -> tuple[str, float]:
    """Name and value of a line of the Prometheus text format; an empty name for what is not a finite sample of vLLM's."""
    if not line.startswith(_PREFIX):
        return "", 0.0
    end_of_labels = line.rfind("}")  # label values may hold any character; the value and a timestamp hold none of these
    head, tail = (
        (line[: line.index("{")], line[end_of_labels + 1 :]) if end_of_labels > 0 and "{" in line else line.partition(" ")[::2]
    )
    try:
        value = float(tail.split()[0])
    except (IndexError, ValueError):
        return "", 0.0
    return (head, value) if math.isfinite(value) else ("", 0.0)


VLLM = _VLLM()
