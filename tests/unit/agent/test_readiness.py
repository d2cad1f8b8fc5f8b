"""What the probes answer, by the facts."""

from dataclasses import replace

import pytest

from fairlead_agent.progress import Verdict
from fairlead_agent.readiness import Endpoint, Facts, combine, endpoint_answered, endpoint_missed, slow_is_excused
from fairlead_agent.reasons import Phase, Problem, Reason

FINE = Verdict(live=True, ready=True, suspect_seconds=0, problem=None)
SUSPECT = Verdict(live=True, ready=False, suspect_seconds=16, problem=Problem(Reason.ENGINE_STALLED, "no progress for 16 s"))
STALLED = replace(SUSPECT, live=False)
GPU = Problem(Reason.ECC_UNCORRECTED, "GPU-1")
XID = Problem(Reason.XID_FATAL, "GPU-1")
GOOD = Facts(
    phase=Phase.NOT_READY,
    start_problem=Problem(Reason.WARMUP_RUNNING, "x"),
    decoded=True,
    past_deadline=False,
    accepting=True,
    draining=False,
    endpoint=Endpoint(answered=True),
    progress=FINE,
    gpu=None,
    xid=None,
)
WAITING = replace(
    GOOD,
    phase=Phase.WAITING_FOR_GPU_MEMORY,
    start_problem=Problem(Reason.GPU_MEMORY_INSUFFICIENT, "1 2"),
    decoded=False,
    progress=None,
    endpoint=Endpoint(),
)
LACKING = replace(WAITING, phase=Phase.WAITING_FOR_MODEL, start_problem=Problem(Reason.MODEL_PATH_NOT_FOUND, "x"))
STARTING = replace(WAITING, phase=Phase.STARTING_ENGINE, start_problem=Problem(Reason.ENGINE_STARTING, "x"))
WARMING = replace(WAITING, phase=Phase.WARMING_UP, start_problem=Problem(Reason.WARMUP_FAILED, "x"))
LATE = replace(WARMING, past_deadline=True)
MISSED = replace(GOOD, endpoint=Endpoint(answered=True, misses=3, why="HTTP 503"))
DRAINING = replace(GOOD, draining=True)


@pytest.mark.parametrize(
    ("facts", "answers", "phase", "reason"),
    [
        pytest.param(WAITING, "200/503/200", Phase.WAITING_FOR_GPU_MEMORY, Reason.GPU_MEMORY_INSUFFICIENT, id="waiting"),
        pytest.param(LACKING, "200/503/200", Phase.WAITING_FOR_MODEL, Reason.MODEL_PATH_NOT_FOUND, id="waiting for the model"),
        pytest.param(STARTING, "503/503/200", Phase.STARTING_ENGINE, Reason.ENGINE_STARTING, id="starting"),
        pytest.param(WARMING, "503/503/200", Phase.WARMING_UP, Reason.WARMUP_FAILED, id="warming"),
        pytest.param(LATE, "503/503/503", Phase.WARMING_UP, Reason.STARTUP_DEADLINE_EXCEEDED, id="too late"),
        pytest.param(GOOD, "200/200/200", Phase.READY, Reason.READY, id="ready"),
        pytest.param(replace(GOOD, gpu=GPU), "200/503/200", Phase.NOT_READY, Reason.ECC_UNCORRECTED, id="gpu"),
        pytest.param(replace(GOOD, xid=XID, gpu=GPU), "200/503/200", Phase.NOT_READY, Reason.XID_FATAL, id="xid first"),
        pytest.param(replace(GOOD, progress=SUSPECT), "200/503/200", Phase.NOT_READY, Reason.ENGINE_STALLED, id="suspect"),
        pytest.param(replace(GOOD, progress=STALLED), "200/503/503", Phase.NOT_READY, Reason.ENGINE_STALLED, id="stalled"),
        pytest.param(
            replace(GOOD, progress=STALLED, gpu=GPU),
            "200/503/503",
            Phase.NOT_READY,
            Reason.ECC_UNCORRECTED,
            id="gpu explains",
        ),
        pytest.param(MISSED, "200/503/200", Phase.NOT_READY, Reason.ENGINE_UNREACHABLE, id="three misses"),
        pytest.param(
            replace(GOOD, endpoint=Endpoint(answered=True, misses=2)),
            "200/200/200",
            Phase.READY,
            Reason.READY,
            id="two misses",
        ),
        pytest.param(replace(GOOD, endpoint=Endpoint()), "200/503/200", Phase.WARMING_UP, Reason.WARMUP_RUNNING, id="not asked"),
        pytest.param(
            replace(GOOD, endpoint=Endpoint(misses=2, why="HTTP 503")),
            "200/503/200",
            Phase.WARMING_UP,
            Reason.WARMUP_RUNNING,
            id="two misses and no answer yet",
        ),
        pytest.param(
            replace(GOOD, endpoint=Endpoint(misses=3, why="HTTP 503")),
            "200/503/200",
            Phase.NOT_READY,
            Reason.ENGINE_UNREACHABLE,
            id="three misses and no answer yet",
        ),
        pytest.param(
            replace(GOOD, endpoint=Endpoint(), gpu=GPU),
            "200/503/200",
            Phase.NOT_READY,
            Reason.ECC_UNCORRECTED,
            id="not asked, broken",
        ),
        pytest.param(DRAINING, "200/200/200", Phase.DRAINING, Reason.DRAINING, id="draining accepts"),
        pytest.param(
            replace(DRAINING, endpoint=Endpoint()), "200/503/200", Phase.DRAINING, Reason.DRAINING, id="draining, not asked"
        ),
        pytest.param(replace(DRAINING, accepting=False), "200/503/200", Phase.DRAINING, Reason.DRAINING, id="ending"),
        pytest.param(replace(DRAINING, gpu=GPU), "200/503/200", Phase.DRAINING, Reason.ECC_UNCORRECTED, id="draining, broken"),
        pytest.param(replace(WARMING, draining=True), "503/503/200", Phase.DRAINING, Reason.DRAINING, id="ends unserved"),
    ],
)
def test_probes(facts: Facts, answers: str, phase: Phase, reason: Reason) -> None:
    """`answers`: of /startupz, /readyz and /livez."""
    health = combine(facts, 3)
    assert "/".join("200" if each else "503" for each in (health.started, health.ready, health.live)) == answers
    assert (health.phase, health.problem.reason) == (phase, reason)


def test_the_deadline_s_message_keeps_what_it_was_waiting_for() -> None:
    assert combine(LATE, 3).problem.message == "WarmupFailed: x"


def test_misses_in_a_row() -> None:
    state = endpoint_missed(endpoint_missed(Endpoint(answered=True), "HTTP 503", excused=False), "HTTP 502", excused=False)
    assert (state.misses, state.why) == (2, "HTTP 502")
    assert endpoint_missed(state, "no answer in 5 s", excused=True) == state
    assert endpoint_answered(state).misses == 0


@pytest.mark.parametrize(
    ("verdict", "metrics_slow", "timed_out", "excused"),
    [
        (FINE, True, True, True),
        (FINE, True, False, False),  # refused, or an error: not slow
        (FINE, False, True, False),  # only the way through the sidecar is slow
        (SUSPECT, True, True, False),  # nothing moves: not busy
    ],
)
def test_slow_is_excused_only_while_tokens_flow(verdict: Verdict, metrics_slow: bool, timed_out: bool, excused: bool) -> None:  # noqa: FBT001
    assert slow_is_excused(verdict, metrics_slow=metrics_slow, timed_out=timed_out) is excused
