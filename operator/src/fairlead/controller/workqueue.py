"""The work queue: which key is reconciled next, and the workers that do it.

Many events about one object collapse into one visit; one key is never visited by two workers at a time; a failed visit is
repeated after a growing pause. `Schedule` decides and knows neither clock nor event loop; `WorkQueue` waits and runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

logger = logging.getLogger(__name__)

K = TypeVar("K", bound="Hashable")


@dataclass(frozen=True)
class Backoff:
    """Pauses between failed visits of one key, in seconds.

    0.2 s hides a conflict or a restarting API server; 60 s keeps a key that always fails at one call a minute, and is still
    short enough for the person who has just repaired the cause.
    """

    base: float = 0.2
    factor: float = 2.0
    longest: float = 60.0

    def pause(self, failures: int, roll: float) -> float:
        """The pause after so many failures in a row; `roll` in [0, 1) takes off up to half, lest keys march in step."""
        # The exponent is bounded before it is used: 2.0 ** 1024 does not fit a float.
        grown = min(self.longest, self.base * self.factor ** min(failures - 1, 32))
        return grown * (1 - roll / 2)


class Schedule(Generic[K]):
    """Keys and when they are due, in seconds of one monotonic clock that the caller reads."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._running: dict[K, float] = {}

    def add(self, key: K, due: float) -> None:
        """Have the key visited at that time; an earlier time that is already noted stays."""
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            if key not in self._running:
                heapq.heappush(self._heap, (due, next(self._order), key))

    def pop(self, now: float) -> K | None:
        """The key that has been due longest, now counted as running; None where none is due."""
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if key in self._running or self._due.get(key) != due:
                continue  # an entry that a later add() has overtaken
            del self._due[key]
            self._running[key] = now
            return key
        return None

    def done(self, key: K) -> None:
        """The visit is over; what was added meanwhile counts from here on."""
        del self._running[key]
        if key in self._due:
            heapq.heappush(self._heap, (self._due[key], next(self._order), key))

    def next_due(self) -> float | None:
        """When the next key is due; None where none waits."""
        return self._heap[0][0] if self._heap else None

    def waiting(self, now: float) -> int:
        """How many keys are due and not running: the queue's depth."""
        return sum(due <= now and key not in self._running for key, due in self._due.items())

    def oldest_wait(self, now: float) -> float:
        """How long the key that has been due longest has waited, in seconds."""
        return max((now - due for key, due in self._due.items() if key not in self._running), default=0.0)

    def longest_running(self, now: float) -> float:
        """How long the longest visit in hand has taken, in seconds."""
        return now - min(self._running.values(), default=now)


class WorkQueue(Generic[K]):
    """Runs `visit(key)` for each added key with so many workers, until stopped."""

    def __init__(
        self,
        visit: Callable[[K], Awaitable[float | None]],
        *,
        workers: int,
        clock: Callable[[], float],
        roll: Callable[[], float] = random.random,
        backoff: Backoff = Backoff(),
    ) -> None:
        """Take the visit of one key: it returns after how many seconds to come again (None: on the next event) or raises."""
        self._visit = visit
        self._workers = workers
        self._clock = clock
        self._roll = roll
        self._backoff = backoff
        self._failures: dict[K, int] = {}
        self._stopping = False
        self._wake = asyncio.Event()
        self.schedule: Schedule[K] = Schedule()

    def add(self, key: K, after: float = 0.0) -> None:
        """Have the key visited in that many seconds. From the event loop's thread only."""
        self.schedule.add(key, self._clock() + after)
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop()` is called and the visits in hand are finished."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"worker {number}")

    def stop(self) -> None:
        """Begin no further visit; `run()` returns once those in hand are finished."""
        self._stopping = True
        self._wake.set()

    async def _work(self) -> None:
        while not self._stopping:
            key = self.schedule.pop(self._clock())
            if key is None:
                await self._idle()
                continue
            try:
                await self._once(key)
            finally:
                self.schedule.done(key)
                self._wake.set()

    async def _once(self, key: K) -> None:
        try:
            after = await self._visit(key)
        except Exception as error:  # noqa: BLE001 - one key's failure is no other key's: it comes again after a pause
            self._failures[key] = self._failures.get(key, 0) + 1
            pause = self._backoff.pause(self._failures[key], self._roll())
            logger.warning("failed, again in %.1f s: %s", pause, str(error) or type(error).__name__, extra={"key": str(key)})
            self.schedule.add(key, self._clock() + pause)
        else:
            self._failures.pop(key, None)
            if after is not None:
                self.schedule.add(key, self._clock() + after)

    async def _idle(self) -> None:
        """Wait for an add() or for the next key to fall due."""
        self._wake.clear()
        due = self.schedule.next_due()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                await self._wake.wait()
