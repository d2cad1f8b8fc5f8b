"""Ready and live, combined from what the watchers know. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead_agent.reasons import Phase, Problem, Reason

if TYPE_CHECKING:
    from fairlead_agent.progress import Verdict


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The engine's health page, asked through the sidecar as a client would. `misses` in a row; `answered` since start."""

    answered: bool = False
    misses: int = 0
    why: str = "not asked yet"


def endpoint_answered(_: Endpoint) -> Endpoint:
    """One good answer ends all misses."""
    return Endpoint(answered=True)


def endpoint_missed(state: Endpoint, why: str, *, excused: bool) -> Endpoint:
    """A bad answer or none. It is excused when the engine is merely slow: its tokens flow (see `slow_is_excused`)."""
    return state if excused else Endpoint(state.answered, state.misses + 1, why)


def slow_is_excused(verdict: Verdict, *, metrics_slow: bool, timed_out: bool) -> bool:
    """A health page that is late is no news while the metrics page is late too and the engine still makes progress: it is busy.

    Taking a busy replica out would only load its neighbours more. A late health page beside a prompt metrics page is a miss:
    then it is the sidecar that hangs.
    """
    return timed_out and metrics_slow and verdict.ready


@dataclass(frozen=True, slots=True)
class Facts:
    """All that readiness and liveness depend on.

    `decoded`: a real request has made a token since the engine's start. `past_deadline`: it had not when startupTimeoutSeconds
    were over. `accepting`: the engine has not been told to end. `progress` is None until `decoded`.
    """

    phase: Phase
    start_problem: Problem
    decoded: bool
    past_deadline: bool
    accepting: bool
    draining: bool
    endpoint: Endpoint
    progress: Verdict | None
    gpu: Problem | None
    xid: Problem | None


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes answer, and why."""

    phase: Phase
    started: bool
    ready: bool
    live: bool
    problem: Problem


_READY = Problem(Reason.READY, "")
_DRAINING = Problem(Reason.DRAINING, "finishing the streams that are open")
_ENDING = Problem(Reason.DRAINING, "the engine is being stopped")


def combine(facts: Facts, failure_threshold: int) -> Health:
    """The pod's health from all facts; the first thing wrong in the order of how much it explains is the reason."""
    if not facts.decoded:
        return _starting(facts)
    live = facts.progress is None or facts.progress.live
    wrong = _wrong(facts, failure_threshold)
    if facts.draining:
        # While it accepts, a draining replica stays ready: when all of a Service end, kube-proxy uses those that serve.
        ready = wrong is None and facts.endpoint.answered and facts.accepting
        return Health(
            Phase.DRAINING, started=True, ready=ready, live=live, problem=wrong or (_DRAINING if facts.accepting else _ENDING)
        )
    if wrong is None and not facts.endpoint.answered:
        # The start is over with the first answer through the sidecar; that none has come yet is no fault.
        unasked = Problem(Reason.WARMUP_RUNNING, f"warm; health page through the sidecar: {facts.endpoint.why}")
        return Health(Phase.WARMING_UP, started=True, ready=False, live=live, problem=unasked)
    phase = Phase.READY if wrong is None else Phase.NOT_READY
    return Health(phase, started=True, ready=wrong is None, live=live, problem=wrong or _READY)


def _starting(facts: Facts) -> Health:
    waiting = facts.phase in {Phase.WAITING_FOR_MODEL, Phase.WAITING_FOR_GPU_MEMORY}
    problem = _ENDING if facts.draining else facts.start_problem
    if facts.past_deadline:
        problem = Problem(Reason.STARTUP_DEADLINE_EXCEEDED, f"{facts.start_problem.reason}: {facts.start_problem.message}")
    phase = Phase.DRAINING if facts.draining else facts.phase
    return Health(phase, started=waiting, ready=False, live=not facts.past_deadline, problem=problem)


def _wrong(facts: Facts, failure_threshold: int) -> Problem | None:
    """A broken GPU explains a stalled engine, and a stalled engine explains an endpoint that does not answer."""
    if facts.xid or facts.gpu:
        return facts.xid or facts.gpu
    if facts.progress is not None and not facts.progress.ready:
        return facts.progress.problem
    if facts.endpoint.misses >= failure_threshold:
        return Problem(Reason.ENGINE_UNREACHABLE, f"health page through the sidecar: {facts.endpoint.why}")
    return None
