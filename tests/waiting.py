"""Wait on a condition with a deadline: the only place where a test lets time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CONVERGED_SECONDS = 120.0
"""For what merely converges, within seconds on a quiet machine: processes of tests share its cores."""


class DeadlineError(AssertionError):
    """What was waited for did not happen in time; the message says what, how long, and what was last seen."""


def always(what: str, probe: Callable[[], object], *, seconds: float, every: float = 0.5) -> int:
    """Call probe again and again for so long, and return how often. The first time that it raises or is falsy ends it.

    Raises:
        AssertionError: it did not hold; or whatever the probe raised.
    """
    start = time.monotonic()
    looks = 0
    while time.monotonic() - start <= seconds:
        assert probe(), f"after {time.monotonic() - start:.1f} s: not {what}"
        looks += 1
        time.sleep(every)
    return looks


def until(
    what: str,
    probe: Callable[[], T | None],
    *,
    seconds: float = CONVERGED_SECONDS,
    every: float = 0.5,
    describe: Callable[[], str] | None = None,
) -> T:
    """Call probe until it returns something truthy and return that.

    Args:
        what: the condition in words, for the failure.
        probe: looks; may raise, which counts as "not yet" and is shown in the failure.
        seconds: the deadline.
        every: pause between two looks, in seconds.
        describe: called once on failure, for the state at hand.

    Raises:
        DeadlineError: the deadline passed.
    """
    start = time.monotonic()
    seen: object = None
    while True:
        try:
            result = probe()
        except (AssertionError, OSError, ValueError, KeyError, LookupError, RuntimeError) as error:
            seen = f"{type(error).__name__}: {error}"
        else:
            if result:
                return result
            seen = result
        if time.monotonic() - start > seconds:
            more = f"\n{describe()}" if describe else ""
            raise DeadlineError(f"not within {seconds:.0f} s: {what}; last seen: {seen!r}{more}")
        time.sleep(every)
