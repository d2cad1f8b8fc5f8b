"""Replicas of a continuous-batching engine, step by step.

One step decodes a token for every running request and prefills up to `step_tokens` in all, running requests first, then waiting
ones in their order, as vLLM's scheduler does (docs.vllm.ai, "Optimization and Tuning", chunked prefill). It takes
step_base + step_prefill * prefilled + step_decode * decoded seconds. A request is admitted while fewer than `max_running` run and
the KV cache has room for its prompt; when the cache is full, the youngest is put back and computed again. Runs of steps that
nothing changes are done in one go, which changes no result.

Time is in seconds, memory in tokens of KV cache. The benchmark plays the same in C, to the last bit (tests/bench/autoscaler).
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple


@dataclass(frozen=True)
class Model:
    """How long an engine's step takes (seconds), and what it holds."""

    name: str
    step_base: float
    step_prefill: float
    """Per token of prompt that the step computes."""
    step_decode: float
    """Per request that the step decodes a token for."""
    overhead_base: float
    """Between the arrival and the engine's queue, and between the step and the client."""
    overhead_prompt: float
    """The same, per token of prompt: tokenizing."""
    kv_tokens: int
    max_running: int = 256
    """vLLM's --max-num-seqs on GPUs below the H100 (vllm/engine/arg_utils.py)."""
    step_tokens: int = 2048
    """vLLM's --max-num-batched-tokens of the API server on those GPUs (the same file)."""


class Reading(NamedTuple):
    """What an agent reads of a replica."""

    running: float
    waiting: float
    kv: float
    """Share of the KV cache in use, 0 to 1."""
    busy: float
    """Seconds spent in steps since it opened."""
    tokens: float
    """Generated since it opened."""


class _Requests:
    """What came, and what became of it."""

    def __init__(self, arrival: array[float], prompt: array[int], output: array[int]) -> None:
        self.arrival, self.prompt, self.output = arrival, prompt, output
        self.decoded = array("i", bytes(4 * len(arrival)))
        """Tokens that a request got before it was put back."""
        self.first = array("f", [-1.0]) * len(arrival)


class _Replica:
    """One engine."""

    def __init__(self, model: Model, requests: _Requests, now: float) -> None:
        self.model, self.requests = model, requests
        self.open = True
        self.boundary = now
        """The end of the step that is under way."""
        self.busy = 0.0
        self.kv_used = self.generated = 0
        self.waiting: deque[int] = deque()
        self.running: dict[int, int] = {}
        """In the order of admission: the value of `steps` at which it has its last token, or 0 while its prompt is computed."""
        self.prefilling: dict[int, int] = {}
        """Tokens of a running request's prompt that are not computed yet."""
        self.steps = 0
        """Steps in which it decoded: each running request gets a token in each."""
        self.ends: list[tuple[int, int]] = []
        """A heap of the values of `running`; those of requests that were put back are found out at the top."""

    def advance(self, until: float) -> None:
        """All steps that begin before `until`: one that would begin then waits for what arrives then."""
        while self.boundary < until:
            if not self._step(until):
                self.boundary = until  # Idle: the next arrival finds it waiting.
                return

    def _step(self, until: float) -> bool:
        """One or more steps from `boundary`, none beyond the first end from `until` on; False: there is nothing to do."""
        model, running, prefilling = self.model, self.running, self.prefilling
        while len(running) > 1 and self.kv_used + len(running) - len(prefilling) > model.kv_tokens:
            self._put_back()
        decoding = len(running) - len(prefilling)
        left = model.step_tokens - decoding
        done, left = self._prefill(left)
        if self.waiting and left > 0:
            left = self._admit(decoding, left, done)
        if not running:
            return False
        prefilled = model.step_tokens - decoding - left
        took = model.step_base + model.step_prefill * prefilled + model.step_decode * decoding
        steps = 1 if prefilled else self._same(decoding, (until - self.boundary) / took)
        self.boundary += took * steps
        self.busy += took * steps
        for request in done:
            self._first(request)
        self.steps += steps
        tokens = steps * (len(running) - len(prefilling))
        self.kv_used += tokens
        self.generated += tokens
        self._finish()
        return True

    def _prefill(self, left: int) -> tuple[list[int], int]:
        """Prompts that are under way: those that are done, and what is left of the step."""
        done = []
        for request, tokens in self.prefilling.items():
            if left <= 0:
                break
            chunk = min(tokens, left)
            left -= chunk
            self.prefilling[request] = tokens - chunk
            if chunk == tokens:
                done.append(request)
        return done, left

    def _admit(self, decoding: int, left: int, done: list[int]) -> int:
        """Waiting requests: adds those whose prompt is done at once, and returns what is left of the step."""
        requests, model = self.requests, self.model
        while self.waiting and left > 0 and len(self.running) < model.max_running:
            request = self.waiting[0]
            whole = requests.prompt[request] + requests.decoded[request]
            if self.running and self.kv_used + decoding + whole > model.kv_tokens:
                break
            self.waiting.popleft()
            self.kv_used += whole
            chunk = min(whole, left)
            left -= chunk
            self.running[request] = 0
            self.prefilling[request] = whole - chunk
            if chunk == whole:
                done.append(request)
        return left

    def _same(self, decoding: int, most: float) -> int:
        """For so many steps nothing changes."""
        while self.ends and self.running.get(self.ends[0][1]) != self.ends[0][0]:
            heappop(self.ends)
        room = (self.model.kv_tokens - self.kv_used) // decoding if decoding else 1
        least = self.ends[0][0] - self.steps if self.ends else 1
        return max(min(math.ceil(most), least, room), 1)

    def _first(self, request: int) -> None:
        """The step that is done computed the last of its prompt, and with it a token."""
        requests, model = self.requests, self.model
        del self.prefilling[request]
        if requests.first[request] < 0:
            waited = self.boundary - requests.arrival[request]
            requests.first[request] = waited + model.overhead_base + model.overhead_prompt * requests.prompt[request]
        end = self.steps + requests.output[request] - requests.decoded[request]
        self.running[request] = end
        heappush(self.ends, (end, request))

    def _finish(self) -> None:
        """Those that have their last token go."""
        ends, running, requests = self.ends, self.running, self.requests
        while ends and ends[0][0] <= self.steps:
            end, request = heappop(ends)
            if running.get(request) == end:
                del running[request]
                self.kv_used -= requests.prompt[request] + requests.output[request]

    def _put_back(self) -> None:
        """The youngest goes to the head of the queue; what it had decoded becomes part of its prompt."""
        requests = self.requests
        request, end = self.running.popitem()
        whole = requests.prompt[request] + requests.decoded[request]
        if self.prefilling.pop(request, None) is None:
            tokens = requests.output[request] - (end - self.steps)
            self.kv_used -= tokens - requests.decoded[request]
            requests.decoded[request] = tokens
        self.kv_used -= whole
        self.waiting.appendleft(request)


class Engines:
    """Replicas of one engine, the requests that they get, and a router.

    The router takes the replica with the fewest requests, or any, as a Service does.
    """

    def __init__(
        self,
        model: Model,
        arrival: array[float],
        prompt: array[int],
        output: array[int],
        *,
        any_replica: bool = False,
        seed: int = 1,
    ) -> None:
        """Arrivals in seconds and in order; prompt and output in tokens, at least 1."""
        self._model, self._any = model, any_replica
        self._requests = _Requests(arrival, prompt, output)
        self._replicas: dict[int, _Replica] = {}
        self._next = 0
        self._dice = seed

    def open(self, slot: int, now: float) -> None:
        """A replica begins to take requests."""
        self._replicas[slot] = _Replica(self._model, self._requests, now)
        self._replicas = dict(sorted(self._replicas.items()))

    def drain(self, slot: int) -> None:
        """It takes no more, and finishes those it has."""
        self._replicas[slot].open = False

    def remove(self, slot: int) -> None:
        """It is gone."""
        del self._replicas[slot]

    def advance(self, until: float) -> None:
        """All arrivals before `until`, and all steps that begin before it. With no open replica they wait in front of all."""
        arrival = self._requests.arrival
        while self._next < len(arrival) and arrival[self._next] < until:
            at = arrival[self._next]
            for each in self._replicas.values():
                if each.boundary < at:
                    each.advance(at)
            replica = self._route()
            if replica is None:
                break
            replica.boundary = max(replica.boundary, at)
            replica.waiting.append(self._next)
            self._next += 1
        for each in self._replicas.values():
            each.advance(until)

    def _route(self) -> _Replica | None:
        """The one with the fewest requests, or any; of several by a die (Knuth's linear congruential one, for it is quick)."""
        best, fewest, seen = None, math.inf, 0
        for replica in self._replicas.values():
            if not replica.open:
                continue
            self._dice = (self._dice * 6364136223846793005 + 1442695040888963407) % 2**64
            load = 0 if self._any else len(replica.running) + len(replica.waiting)
            if load < fewest:
                best, fewest, seen = replica, load, 1
            elif load == fewest:
                seen += 1
                if (self._dice >> 33) % seen == 0:
                    best = replica
        return best

    def read(self, slot: int) -> Reading:
        """What its agent would tell."""
        replica = self._replicas[slot]
        used = replica.kv_used / self._model.kv_tokens
        return Reading(len(replica.running), len(replica.waiting), used, replica.busy, replica.generated)

    def close(self) -> list[float]:
        """First-token time of each request in seconds; negative for those that never got one."""
        return list(self._requests.first)
