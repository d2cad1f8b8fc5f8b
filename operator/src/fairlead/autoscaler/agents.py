"""The load of replicas, as their agents tell it: GET http://POD_IP:8002/status.

The answers come out of tenants' pods: bounded in size and time, no redirect followed, numbers and nothing else taken from them.
What an agent leaves out is not known, and no 0.
"""

from __future__ import annotations

import asyncio
import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from fairlead.autoscaler.line import Line
from fairlead.autoscaler.observation import MOST_DUTY_PERCENT, MOST_KV_PERCENT, Reading
from fairlead.autoscaler.value import value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fairlead.autoscaler.place import Place

ALL_SECONDS = 1.5
"""How long a look waits for answers, for the loop comes round every 2 s: an agent answers from memory, in about a millisecond."""
CONNECT_SECONDS = 1.0
"""Longest that a connection may take to be made."""
CONNECTIONS_AT_A_TIME = 64
"""That are being made; once made they are kept."""
GIVEN_UP_SECONDS = 5.0
"""After so long without an answer the connection is made anew: a pod that was cut off says no goodbye."""
_MOST = 10**6
_MOST_TOKENS = 10**15
"""No count is greater, and no age in milliseconds: the agent itself cuts them there."""


@value(frozen=True, slots=True)
class Told:
    """What one agent has told, each with the time for which it was true."""

    running: Reading | None = None
    waiting: Reading | None = None
    """Requests that wait for room; those that wait for something of their own are not among them."""
    tokens: Reading | None = None
    kv_cache_percent: Reading | None = None
    duty_cycle_percent: Reading | None = None


def read(answer: bytes, at: float) -> Told | None:
    """An answer that was given at that time; None for what is not an agent's."""
    try:
        said: Any = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("phase"), str):
        return None
    of_engine, of_gpu = _time(said.get("loadAgeMs"), at), _time(said.get("dutyAgeMs"), at)
    waiting, deferred = _reading(said, "waiting", of_engine), _reading(said, "deferred", of_engine)
    if waiting is not None and deferred is not None:
        waiting = Reading(waiting.value - deferred.value, waiting.time)
    return Told(
        running=_reading(said, "running", of_engine),
        waiting=waiting,
        tokens=_reading(said, "tokens", of_engine, _MOST_TOKENS),
        kv_cache_percent=_reading(said, "kvCachePercent", of_engine, MOST_KV_PERCENT),
        duty_cycle_percent=_reading(said, "dutyCyclePercent", of_gpu, MOST_DUTY_PERCENT),
    )


def _time(age: Any, at: float) -> float | None:
    """When it was true, from its age in milliseconds. Without an age it is as good as untold: it may be of any time."""
    return None if age is None else at - _number(age) / 1000


def _reading(said: Mapping[str, Any], name: str, time: float | None, most: float = _MOST) -> Reading | None:
    if time is None or said.get(name) is None:
        return None
    return Reading(_number(said[name], most), time)


def _number(value: Any, most: float = _MOST) -> float:
    """Not a number for whatever is none, so that it is told apart from what is missing."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
    return float(value) if known else math.nan


class Agents:
    """Asks all agents at once over kept connections, and remembers what each has told last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the clock that readings are timed by."""
        self._clock = clock
        self._lines: dict[Place, tuple[str, Line]] = {}
        self._last: dict[Place, Told] = {}
        self._silent: dict[Place, int] = {}
        self._pending: set[Line] = set()
        """Those that were asked at this look and have not answered."""
        self._all_answered = asyncio.Event()

    async def ask(self, addresses: Mapping[Place, str]) -> Mapping[Place, Told]:
        """What each replica has told last; takes the replicas' addresses.

        Who does not answer now keeps what it told before, with the time that it had: it becomes stale by itself.
        """
        self._forget(addresses)
        self._pending.clear()
        now = self._clock()
        for _, line in self._lines.values():
            if line.asked is None:
                self._question(line, now)
            elif now - line.asked > GIVEN_UP_SECONDS:
                line.close()
        # Those that were silent come last, so that they do not keep the others from being connected to in time.
        new = sorted(addresses.keys() - self._lines.keys(), key=lambda place: (self._silent.get(place, 0), place))
        queue = iter(new)
        workers = [asyncio.create_task(self._connect(queue, addresses)) for _ in range(min(CONNECTIONS_AT_A_TIME, len(new)))]
        try:
            async with asyncio.timeout(ALL_SECONDS):
                await asyncio.gather(*workers)
                if self._pending:
                    await self._all_answered.wait()
        except TimeoutError:
            pass
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return self._last

    def close(self) -> None:
        """Hang up everywhere."""
        for _, line in self._lines.values():
            line.close()

    def _forget(self, addresses: Mapping[Place, str]) -> None:
        """Replicas that are gone, and connections that are closed or lead elsewhere."""
        for place, (address, line) in list(self._lines.items()):
            if addresses.get(place) != address or not line.is_open:
                line.close()
                del self._lines[place]
        for known in (self._last, self._silent):
            for gone in known.keys() - addresses.keys():
                del known[gone]

    async def _connect(self, queue: Iterator[Place], addresses: Mapping[Place, str]) -> None:
        for place in queue:
            # Counted before it has answered: one that is cut off at the end of all has been silent as well.
            self._silent[place] = self._silent.get(place, 0) + 1
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    line = await Line.open(addresses[place], partial(self._heard, place))
            except (OSError, ValueError):  # the latter for what is no address at all
                continue
            self._lines[place] = (addresses[place], line)
            self._question(line, self._clock())

    def _question(self, line: Line, now: float) -> None:
        self._pending.add(line)
        self._all_answered.clear()
        line.ask(now)

    def _heard(self, place: Place, line: Line, body: bytes | None) -> None:
        self._pending.discard(line)
        if not self._pending:
            self._all_answered.set()
        if place not in self._lines or self._lines[place][1] is not line:
            return  # it was given up, or the replica is gone
        told = read(body, line.asked) if body is not None and line.asked is not None else None
        if told is not None:
            self._last[place] = told
            self._silent.pop(place, None)
