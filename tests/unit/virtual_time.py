"""An event loop whose clock jumps to the next timer: hours of timeouts pass in milliseconds, and always in the same order."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds of virtual time that no scenario needs: one that waits for what never comes would else run for ever.
LONGEST = 100_000


class _Selector(selectors.SelectSelector):
    """Never waits: what it would have waited is added to the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: no timer, and nothing that could wake the loop")
        if not ready and timeout is not None:
            self.now += timeout
        if self.now > LONGEST:
            raise RuntimeError(f"still not done after {LONGEST} s of virtual time")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Time starts at 0 and is known to `time()` only."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def stopped_for(self, seconds: float) -> None:
        """The process was stopped: time has passed, and nothing ran."""
        self._virtual.now += seconds


def run(work: Coroutine[Any, Any, T]) -> T:
    """asyncio.run in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


def in_virtual_time(scenario: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The scenario as a test."""

    def test() -> None:
        run(scenario())

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test
