"""Sound GPU memory: exact to the byte before the start, damped while the engine runs."""

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_agent.gpu import Device
from fairlead_agent.gpu_rules import GpuState, about_to_start, needed_bytes, observe, start_problem, unreadable
from fairlead_agent.reasons import Problem, Reason
from tests.unit.agent.settings import GIB

MIB = 2**20
FLOOR = 128 * MIB
TOTAL = 24 * GIB


def device(used: int = 0, *, uuid: str = "GPU-1", ecc: int | None = 0, total: int = TOTAL) -> Device:
    return Device(uuid, total, used, total - used, ecc, 0)


@given(st.integers(1, 2**60), st.integers(1, 100))
def test_needed_is_the_share_rounded_up(total: int, percent: int) -> None:
    needed = needed_bytes(total, percent)
    assert 100 * (needed - 1) < total * percent <= 100 * needed
    assert needed <= total


@given(st.integers(100, 2**60), st.integers(1, 100))
def test_exactly_enough_starts_and_one_byte_less_waits(total: int, percent: int) -> None:
    enough = total - needed_bytes(total, percent)
    assert start_problem((device(enough, total=total),), percent) is None
    problem = start_problem((device(enough + 1, total=total),), percent)
    assert problem is not None
    needed = needed_bytes(total, percent)
    assert problem == Problem(Reason.GPU_MEMORY_INSUFFICIENT, f"GPU-1: {needed - 1} bytes free, the engine needs {needed}")


def test_every_visible_gpu_must_have_room() -> None:
    problem = start_problem((device(), device(TOTAL // 2, uuid="GPU-2")), 90)
    assert problem is not None
    assert problem.message.startswith("GPU-2: ")


def after(
    readings: Sequence[tuple[Device, ...] | Problem], *, before: int = 0, decoded: bool = True, threshold: int = 3
) -> list[Reason | None]:
    """The reason after each reading, of an engine that was started with `before` bytes used by others."""
    state = about_to_start(
        observe(GpuState(), (device(before),), floor=FLOOR, threshold=threshold, decoded=False), (device(before),)
    )
    reasons = []
    for reading in readings:
        if isinstance(reading, Problem):
            state = unreadable(state, reading, threshold)
        else:
            state = observe(state, reading, floor=FLOOR, threshold=threshold, decoded=decoded)
        reasons.append(state.problem.reason if state.problem else None)
    return reasons


HELD = device(20 * GIB)
GONE = device(1 * GIB)
FULL = device(TOTAL - FLOOR + 1)
BRIM = device(TOTAL - FLOOR)
HUNG = Problem(Reason.NVML_HUNG, "")
REFUSED = Problem(Reason.NVML_UNAVAILABLE, "")
MISSING, BELOW, ECC = Reason.ENGINE_ALLOCATION_MISSING, Reason.GPU_MEMORY_BELOW_FLOOR, Reason.ECC_UNCORRECTED


@pytest.mark.parametrize(
    ("readings", "reasons"),
    [
        pytest.param([HELD] * 3, [None] * 3, id="sound"),
        pytest.param([BRIM] * 4, [None] * 4, id="exactly at the floor"),
        pytest.param([HELD] + [FULL] * 4, [None, None, None, BELOW, BELOW], id="one byte below the floor, damped"),
        pytest.param([HELD, FULL, FULL, HELD, FULL, FULL], [None] * 6, id="a dip is no fault"),
        pytest.param([HELD] + [FULL] * 3 + [HELD], [None, None, None, BELOW, None], id="it comes back at once"),
        pytest.param([FULL, HELD], [BELOW, None], id="never sound yet: at once"),
        pytest.param([HELD] + [GONE] * 3 + [HELD], [None, None, None, MISSING, None], id="the allocation goes and comes back"),
        pytest.param([HELD] + [device(10 * GIB)] * 4, [None] * 5, id="half of it is enough"),
        pytest.param([HELD] + [device(10 * GIB - 1)] * 4, [None, None, None, MISSING, MISSING], id="a byte less is not"),
        pytest.param([device()] * 2, [MISSING, MISSING], id="the engine never was on the GPU"),
        pytest.param([device(FLOOR - 1), device(FLOOR)], [MISSING, None], id="one byte less than the least"),
        pytest.param([device(FLOOR)] * 4, [None] * 4, id="a small engine is one"),
        pytest.param([HUNG, HELD], [Reason.NVML_HUNG, None], id="a hang counts at once and ends at once"),
        pytest.param([HELD, *[REFUSED] * 3, HELD], [None, None, None, Reason.NVML_UNAVAILABLE, None], id="refusals are damped"),
        pytest.param([REFUSED, HELD], [Reason.NVML_UNAVAILABLE, None], id="refused from the first"),
        pytest.param([(device(20 * GIB, ecc=1)), HELD], [ECC, None], id="ECC at once, and over when the counter is reset"),
        pytest.param([(device(20 * GIB, ecc=None))] * 4, [None] * 4, id="no ECC on this device"),
    ],
)
def test_while_it_runs(readings: list[Device | Problem], reasons: list[Reason | None]) -> None:
    assert after([each if isinstance(each, Problem) else (each,) for each in readings]) == reasons


def test_errors_from_before_the_start_do_not_count() -> None:
    state = observe(GpuState(), (device(ecc=7),), floor=FLOOR, threshold=3, decoded=False)
    assert state.problem is None
    state = observe(state, (device(ecc=8),), floor=FLOOR, threshold=3, decoded=False)
    assert state.problem == Problem(ECC, "GPU-1: 1 new uncorrected ECC errors, replace the GPU")


def test_memory_is_not_judged_before_the_engine_is_warm() -> None:
    assert after([(FULL,)] * 4, decoded=False) == [None] * 4


def test_what_others_hold_is_not_taken_for_the_engine() -> None:
    others = device(2 * GIB)
    assert after([(others,)], before=2 * GIB) == [MISSING]


def test_a_fault_of_one_of_two_gpus_names_it() -> None:
    two = (HELD, dataclasses.replace(HELD, uuid="GPU-2"))
    state = about_to_start(GpuState(), (device(), device(uuid="GPU-2")))
    for _ in range(3):
        state = observe(state, two, floor=FLOOR, threshold=3, decoded=True)
    assert state.problem is None
    for _ in range(3):
        state = observe(state, (HELD, device(uuid="GPU-2")), floor=FLOOR, threshold=3, decoded=True)
    assert state.problem is not None
    assert state.problem.message.startswith("GPU-2: the engine holds 0 bytes")
