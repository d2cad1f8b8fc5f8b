"""Does the engine make progress? A pure state machine: what was seen and when goes in, a verdict comes out.

Progress is proof that the engine's core did a step: one of its counters moved, a one-token request (the canary) came back, or
answers flow through the sidecar. Something is *expected* while requests run or wait, while a canary is out, while canaries fail,
or while the metrics page does not answer. The engine is suspect from the moment that something was expected and nothing moved
since. Slowness alone is no suspicion: whatever moves ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fairlead_agent.reasons import Problem, Reason

if TYPE_CHECKING:
    from fairlead_agent.engines.protocol import Sample


@dataclass(frozen=True, slots=True)
class Progress:
    """All times are seconds of one monotonic clock; None where nothing is under way."""

    #: The last proof of a step.
    moved_at: float
    counters: tuple[float, ...] | None = None
    running: int = 0
    waiting: int = 0
    #: Requests have been running or waiting since.
    busy_since: float | None = None
    #: The metrics page has been asked and has given nothing since: the question that is out, or the first of those that failed.
    unanswered_since: float | None = None
    #: Why it failed, in the words of the last failure.
    unanswered_why: str = "no answer"
    #: The canary that is out was sent then; and the last one, out or not.
    canary_since: float | None = None
    canary_at: float | None = None
    #: Canaries have been failing since, and why the last one did.
    canary_failing_since: float | None = None
    canary_why: str = ""


def asked(state: Progress, now: float) -> Progress:
    """The metrics page is being asked."""
    return state if state.unanswered_since is not None else replace(state, unanswered_since=now, unanswered_why="no answer")


def unanswered(state: Progress, why: str) -> Progress:
    """The question came back without metrics; it counts from when it was asked."""
    return replace(state, unanswered_why=why)


def read(state: Progress, now: float, sample: Sample) -> Progress:
    """The metrics page answered.

    An own canary does not make the engine look busy: its one step ends it, and a core that hangs reports no new request.
    """
    busy = sample.running + sample.waiting > 0
    state = replace(
        state,
        running=sample.running,
        waiting=sample.waiting,
        busy_since=(now if state.busy_since is None else state.busy_since) if busy else None,
        unanswered_since=None,
    )
    if sample.counters is not None and state.counters is not None and sample.counters != state.counters:
        state = moved(state, now)
    return replace(state, counters=sample.counters)


def moved(state: Progress, now: float) -> Progress:
    """Proof of a step, from wherever."""
    return replace(state, moved_at=max(now, state.moved_at), canary_failing_since=None)


def canary_sent(state: Progress, now: float) -> Progress:
    return replace(state, canary_since=now, canary_at=now)


def canary_returned(state: Progress, now: float) -> Progress:
    """With a token in it."""
    return moved(replace(state, canary_since=None), now)


def canary_failed(state: Progress, why: str) -> Progress:
    """The engine refused it or broke off; counts from when the first of the failing ones was sent."""
    since = state.canary_failing_since if state.canary_failing_since is not None else state.canary_since
    return replace(state, canary_since=None, canary_failing_since=since, canary_why=why)


def canary_dropped(state: Progress) -> Progress:
    """Taken back because others' requests proved what it should have proved."""
    return replace(state, canary_since=None)


def wants_canary(state: Progress, now: float, idle_seconds: float) -> bool:
    """Whether nothing has moved for so long that the engine must be asked; one canary at a time, failing ones as far apart."""
    last = state.moved_at if state.canary_at is None else max(state.moved_at, state.canary_at)
    return state.canary_since is None and now - last >= idle_seconds


def drops_canary(state: Progress) -> bool:
    """Whether the canary that is out has become needless: something else moved after it was sent."""
    return state.canary_since is not None and state.moved_at > state.canary_since


def blind(state: Progress, now: float, patience: float) -> bool:
    """Whether the engine's own counters tell nothing: they are not there, or there was no answer for `patience` seconds."""
    return state.counters is None or (state.unanswered_since is not None and now - state.unanswered_since >= patience)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`suspect_seconds` is 0 while all is well. Not live implies not ready."""

    live: bool
    ready: bool
    suspect_seconds: float
    problem: Problem | None


def verdict(state: Progress, now: float, *, not_ready_after: float, stall_seconds: float) -> Verdict:
    """What the state means now."""
    suspicions = _suspicions(state)
    if not suspicions:
        return Verdict(live=True, ready=True, suspect_seconds=0.0, problem=None)
    since, reason, what = min(suspicions)
    age = max(0.0, now - max(since, state.moved_at))
    if age < min(not_ready_after, stall_seconds):
        return Verdict(live=True, ready=True, suspect_seconds=age, problem=None)
    stalled = age >= stall_seconds
    # the limit that has passed and not the age: a message that changes every second would be news every second
    passed = stall_seconds if stalled else not_ready_after
    problem = Problem(Reason.ENGINE_STALLED if stalled else reason, f"no progress for {passed:.0f} s: {what}")
    return Verdict(live=not stalled, ready=False, suspect_seconds=age, problem=problem)


def _suspicions(state: Progress) -> list[tuple[float, Reason, str]]:
    """What is expected and since when."""
    found: list[tuple[float, Reason, str]] = []
    if state.busy_since is not None:
        work = f"{state.running} requests running, {state.waiting} waiting"
        found.append((state.busy_since, Reason.ENGINE_STALLED, work))
    if state.unanswered_since is not None:
        found.append((state.unanswered_since, Reason.ENGINE_UNREACHABLE, f"metrics: {state.unanswered_why}"))
    if state.canary_since is not None:
        found.append((state.canary_since, Reason.ENGINE_STALLED, "a one-token request does not come back"))
    if state.canary_failing_since is not None:
        found.append((state.canary_failing_since, Reason.ENGINE_STALLED, f"a one-token request fails: {state.canary_why}"))
    return found
