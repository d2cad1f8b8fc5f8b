"""When GPU memory is sound. Pure: readings in, a problem or none out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fairlead_agent.reasons import Problem, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fairlead_agent.gpu import Device

#: What an engine on a GPU holds at the very least: a CUDA context alone takes 250-600 MB. Below it the engine is not on the GPU.
LEAST_ALLOCATION_BYTES = 128 * 2**20
#: The allocation is gone when less than this share of what was seen after warm-up is left. An engine keeps its weights and KV
#: cache for life and only gives back workspaces, so half is far from both.
ALLOCATION_SHARE_PERCENT = 50


def needed_bytes(total: int, percent: int) -> int:
    """What the engine will take of a device: vLLM refuses to start with less than utilization x total free. Rounded up."""
    return -(-total * percent // 100)


def start_problem(devices: tuple[Device, ...], percent: int) -> Problem | None:
    """Why the engine cannot start yet: the first device with less than the engine will take."""
    for device in devices:
        needed = needed_bytes(device.total, percent)
        if device.free < needed:
            return Problem(Reason.GPU_MEMORY_INSUFFICIENT, f"{device.uuid}: {device.free} bytes free, the engine needs {needed}")
    return None


@dataclass(frozen=True, slots=True)
class GpuState:
    """What is remembered of the GPUs between readings; by UUID.

    `before`: bytes used just before the engine was started. `held`: bytes that the engine took, as seen after warm-up. `ecc`: the
    least count of uncorrected errors seen. `proven`: a reading since warm-up was sound. `bad` readings in a row; `problem` is
    what takes the replica out of the Service.
    """

    before: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    ecc: Mapping[str, int] = field(default_factory=dict)
    proven: bool = False
    bad: int = 0
    problem: Problem | None = None


def about_to_start(state: GpuState, devices: tuple[Device, ...]) -> GpuState:
    """Notes what others use, so that what the engine takes can be told from it."""
    return replace(state, before={device.uuid: device.used for device in devices})


def observe(state: GpuState, devices: tuple[Device, ...], *, floor: int, threshold: int, decoded: bool) -> GpuState:
    """Takes a reading in. `decoded`: the engine is warmed up, so its allocation is complete.

    A new uncorrected error counts at once and for as long as the counter stands above where it was. Memory counts after
    `threshold` readings in a row, and one good reading ends it; until a first one was good, it counts at once.
    """
    ecc = dict(state.ecc)
    for device in devices:
        if device.ecc_uncorrected is not None:
            ecc[device.uuid] = min(device.ecc_uncorrected, ecc.get(device.uuid, device.ecc_uncorrected))
    state = replace(state, ecc=ecc)
    worn = _ecc_problem(state, devices)
    if worn:
        return replace(state, problem=worn)
    if not decoded:
        return replace(state, bad=0, problem=None)
    state = _learn(state, devices)
    problem = _memory_problem(state, devices, floor)
    return _damped(replace(state, proven=state.proven or problem is None), problem, threshold)


def unreadable(state: GpuState, problem: Problem, threshold: int) -> GpuState:
    """Takes in that the GPUs could not be read. A hang has had its deadline and counts at once."""
    if problem.reason is Reason.NVML_HUNG:
        return replace(state, problem=problem)
    return _damped(state, problem, threshold)


def _damped(state: GpuState, problem: Problem | None, threshold: int) -> GpuState:
    if problem is None:
        return replace(state, bad=0, problem=None)
    bad = state.bad + 1
    return replace(state, bad=bad, problem=problem if bad >= threshold or not state.proven else state.problem)


def _learn(state: GpuState, devices: tuple[Device, ...]) -> GpuState:
    """The first allocation seen after warm-up is the one that must stay.

    utilization x total would be no measure for it: a user may fix the size of the KV cache.
    """
    held = dict(state.held)
    for device in devices:
        taken = device.used - state.before.get(device.uuid, 0)
        if device.uuid not in held and taken >= LEAST_ALLOCATION_BYTES:
            held[device.uuid] = taken
    return replace(state, held=held)


def _ecc_problem(state: GpuState, devices: tuple[Device, ...]) -> Problem | None:
    for device in devices:
        if device.ecc_uncorrected is not None and device.ecc_uncorrected > state.ecc[device.uuid]:
            new = device.ecc_uncorrected - state.ecc[device.uuid]
            return Problem(Reason.ECC_UNCORRECTED, f"{device.uuid}: {new} new uncorrected ECC errors, replace the GPU")
    return None


def _memory_problem(state: GpuState, devices: tuple[Device, ...], floor: int) -> Problem | None:
    for device in devices:
        least = max(LEAST_ALLOCATION_BYTES, state.held.get(device.uuid, 0) * ALLOCATION_SHARE_PERCENT // 100)
        taken = device.used - state.before.get(device.uuid, 0)
        if taken < least:
            return Problem(
                Reason.ENGINE_ALLOCATION_MISSING, f"{device.uuid}: the engine holds {max(taken, 0)} bytes, less than {least}"
            )
        if device.free < floor:
            return Problem(Reason.GPU_MEMORY_BELOW_FLOOR, f"{device.uuid}: {device.free} bytes free, the floor is {floor}")
    return None
