"""The course of a download: attempts in a child process, what they tell, and when to try again. The clock is the event loop's."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fairlead_agent.fetch import words
from fairlead_agent.reasons import Problem, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fairlead_agent.fetch.config import FetchConfig

LOOK_SECONDS = 1.0
STALL_SECONDS = 120.0
"""Without one byte more, a download hangs and is killed. The library's own patience is 10 s, and five times that with retries."""
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0
"""Between two attempts, of what may pass and of what lasts alike: somebody may have asked for access, or put a token right."""

logger = logging.getLogger(__name__)


class Attempt(Protocol):
    """A running download."""

    def lines(self) -> AsyncIterator[bytes]:
        """What it tells, line by line, until it ends."""

    def kill(self) -> None:
        """Ends it, and all that it started."""


class World(Protocol):
    """What the course needs of the world."""

    async def start(self, commit: str) -> Attempt:
        """Begins an attempt; `commit` is empty where none is known. Raises OSError."""

    def token(self) -> str:
        """The token as it is now; empty: there is none."""

    def bytes_there(self) -> int:
        """Of the model's files, whole or not."""

    def remember(self, snapshot: Snapshot) -> None:
        """For the next container in the same pod. Raises OSError."""

    def remembered(self) -> Snapshot | None:
        """What an earlier one has come to."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a volume holds, or is going to hold: a commit, whole or not."""

    commit: str
    size: int
    whole: bool


class Course:
    """One download. `run` it once; read `problem`, `commit` and `done` at any time."""

    def __init__(self, config: FetchConfig, world: World) -> None:
        """Begins with what an earlier container in this pod has come to."""
        self._config = config
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._was = world.remembered()
        self._total = self._was.size if self._was else 0
        self._failure: Problem | None = None
        self._moved_at = self._loop.time()
        self._done = 0

    @property
    def commit(self) -> str:
        """The commit that is downloaded; empty until it is known."""
        return self._was.commit if self._was else ""

    @property
    def problem(self) -> Problem:
        """What keeps the engine from being started."""
        if self._failure is not None:
            return self._failure
        config = self._config
        if not self.commit:
            return Problem(Reason.MODEL_DOWNLOADING, f"asking {config.endpoint} for {config.repository} at {config.revision}")
        percent = 100 * self._done // self._total if self._total else 100
        return Problem(
            Reason.MODEL_DOWNLOADING,
            f"{self._done} of {self._total} bytes ({percent} %) of {config.repository} at {self.commit[:12]}",
        )

    async def run(self) -> Snapshot:
        """Downloads until it is there, however long that takes; a cancelled one leaves what it has for the next."""
        pause = FIRST_PAUSE_SECONDS
        while self._was is None or not self._was.whole:
            before, token = self._done, self._world.token()
            failure = words.token_problem(self._config, token) or await self._attempt()
            if failure is None:
                continue
            if failure != self._failure:
                logger.warning("%s: %s", failure.reason, failure.message)
            self._failure = failure
            if self._done > before:
                pause = FIRST_PAUSE_SECONDS
            if failure.reason in words.LASTING:
                pause = LONGEST_PAUSE_SECONDS
            await self._until(pause, token)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return self._was

    async def _until(self, seconds: float, token: str) -> None:
        """Waits, though no longer than until there is another token."""
        end = self._loop.time() + seconds
        while self._loop.time() < end and self._world.token() == token:  # noqa: ASYNC110  a file tells nobody that it changed
            await asyncio.sleep(LOOK_SECONDS)

    async def _attempt(self) -> Problem | None:
        """One child, from its start to its end; what went wrong, if anything did."""
        try:
            attempt = await self._world.start(self.commit)
        except OSError as error:
            return words.problem("failed", f"{error.filename}: {error.strerror}", self._config, done=0, total=0)
        self._moved_at = self._loop.time()
        watching = asyncio.create_task(self._watch(attempt))
        failed: tuple[str, str] | None = None
        try:
            async for line in attempt.lines():
                event = _event(line)
                if "commit" in event:
                    self._found(event)
                elif "failed" in event:
                    failed = str(event["failed"]), str(event.get("detail", ""))
                elif "whole" in event:
                    self._whole()
        finally:
            watching.cancel()
            attempt.kill()
            await asyncio.gather(watching, return_exceptions=True)
        if self._was is not None and self._was.whole:
            return None
        stalled = self._stalled()
        self._measure()
        if failed is None:
            why = f"nothing came for {STALL_SECONDS:.0f} s" if stalled else "the downloading process was ended"
            failed = "interrupted" if self.commit else "unreachable", why
        return words.problem(*failed, self._config, done=self._done, total=self._total)

    def _found(self, event: dict[str, Any]) -> None:
        """There is such a model, and this is what is downloaded, by this attempt and by those that follow."""
        self._was = Snapshot(str(event["commit"]), int(event["bytes"]), whole=False)
        self._total = self._was.size
        self._moved_at = self._loop.time()
        logger.info("downloading %d bytes of %s at %s", self._total, self._config.repository, self.commit)
        self._keep()

    def _whole(self) -> None:
        if self._was is not None:
            self._was = Snapshot(self._was.commit, self._was.size, whole=True)
            self._done = self._total
            self._failure = None
            self._keep()

    def _keep(self) -> None:
        """Without it the next container asks again what the revision stands for."""
        assert self._was is not None  # noqa: S101  there is something to keep
        try:
            self._world.remember(self._was)
        except OSError as error:
            logger.warning("the next container in this pod will not know of the download: %s", error.strerror)

    async def _watch(self, attempt: Attempt) -> None:
        """Measures, and kills what hangs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._measure()
            if self._stalled():
                attempt.kill()

    def _measure(self) -> None:
        """Bytes only count up: a file that is just being moved to its place is in neither."""
        if not self.commit:
            return
        there = min(self._world.bytes_there(), self._total)
        if there > self._done:
            self._done = there
            self._moved_at = self._loop.time()
            self._failure = None

    def _stalled(self) -> bool:
        return self._loop.time() - self._moved_at >= STALL_SECONDS


def _event(line: bytes) -> dict[str, Any]:
    """What a line tells; nothing where something else wrote to stdout."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
