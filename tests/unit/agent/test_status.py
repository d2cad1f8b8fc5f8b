"""/status is under 300 bytes, whatever the engine says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_agent.reasons import Phase, Problem, Reason
from fairlead_agent.status import EngineLoad, Load, render

LOADS = st.builds(
    Load,
    st.none()
    | st.builds(
        EngineLoad,
        running=st.integers(0, 10**30),
        waiting=st.integers(0, 10**30),
        deferred=st.integers(0, 10**30),
        kv_cache_percent=st.integers(0, 100),
        tokens=st.integers(0, 10**30),
        age_seconds=st.floats(-10, 10**9),
    ),
    st.none() | st.integers(0, 100),
    st.floats(0, 10**9),
)
OF_ENGINE = {"running", "waiting", "deferred", "kvCachePercent", "tokens", "loadAgeMs"}
OF_GPU = {"dutyCyclePercent", "dutyAgeMs"}


@given(st.sampled_from(Phase), st.sampled_from(Reason), st.text(max_size=400), LOADS)
def test_always_under_300_bytes_and_always_json(phase: Phase, reason: Reason, message: str, load: Load) -> None:
    body = render(phase, Problem(reason, message), load)
    assert len(body) < 300
    read = json.loads(body)
    assert (read["phase"], read["reason"]) == (phase, reason)
    assert len(read["message"].encode()) <= 140
    told = (OF_ENGINE if load.engine else set()) | (OF_GPU if load.duty_cycle_percent is not None else set())
    assert {key for key in read if isinstance(read[key], int)} == told, "what is not known is not told as 0"


@given(st.text(alphabet='"\\\x00\u2028\x7f', min_size=300, max_size=400), LOADS)
def test_characters_that_json_spells_out_do_not_break_the_bound(message: str, load: Load) -> None:
    assert len(render(Phase.WAITING_FOR_GPU_MEMORY, Problem(Reason.ENGINE_ALLOCATION_MISSING, message), load)) < 300


@pytest.mark.parametrize("uuid", ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "MIG-8932f937-d72c-4106-c12f-20bd9faed9f6"])
def test_both_numbers_of_a_wait_for_memory_fit_whole(uuid: str) -> None:
    free, needed = 288 * 2**30 - 1, 288 * 2**30
    problem = Problem(Reason.GPU_MEMORY_INSUFFICIENT, f"{uuid}: {free} bytes free, the engine needs {needed}")
    assert json.loads(render(Phase.WAITING_FOR_GPU_MEMORY, problem, Load()))["message"] == problem.message


def test_a_short_message_is_told_whole_with_the_load() -> None:
    body = render(Phase.READY, Problem(Reason.READY, "fine"), Load(EngineLoad(1, 2, 1, 3, 5, 0.25), 4, 1.5))
    assert json.loads(body) == {
        "phase": "Ready",
        "reason": "Ready",
        "message": "fine",
        "running": 1,
        "waiting": 2,
        "deferred": 1,
        "kvCachePercent": 3,
        "tokens": 5,
        "loadAgeMs": 250,
        "dutyCyclePercent": 4,
        "dutyAgeMs": 1500,
    }
