"""Reads the GPUs through NVML in one thread of its own, because a call into NVML can hang for as long as the driver likes."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pynvml  # type: ignore[import-untyped]  # NVIDIA ships no types

from fairlead_agent.reasons import Problem, Reason

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as the container sees it, memory in bytes.

    `ecc_uncorrected` counts since the driver was loaded; it and `utilization_percent` are None where the device does not tell.
    """

    uuid: str
    total: int
    used: int
    free: int
    ecc_uncorrected: int | None
    utilization_percent: int | None


class GpuError(Exception):
    """The GPUs could not be read; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Nvml:
    """NVML, kept initialised between readings (without persistence mode every other way would power the GPU up and down)."""

    def __init__(self) -> None:
        self._initialised = False

    def read(self) -> tuple[Device, ...]:
        """Asks NVML once. Blocks for as long as NVML does: call it only from a thread that may be lost.

        Raises:
            GpuError: NVML is missing or refuses, or there is no GPU. The next call starts NVML anew.
        """
        try:
            if not self._initialised:
                pynvml.nvmlInit()
                self._initialised = True
            count = pynvml.nvmlDeviceGetCount()
            devices = tuple(_read_device(pynvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count))
        except pynvml.NVMLError as error:
            self._forget()
            raise GpuError(Problem(Reason.NVML_UNAVAILABLE, f"NVML: {error}")) from error
        if not devices:
            self._forget()
            raise GpuError(Problem(Reason.GPU_NOT_FOUND, "NVML answers and shows no GPU in this container"))
        return devices

    def _forget(self) -> None:
        if self._initialised:
            self._initialised = False
            with contextlib.suppress(pynvml.NVMLError):  # it already said what is wrong
                pynvml.nvmlShutdown()


def _read_device(handle: object) -> Device:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Device(
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        total=int(memory.total),
        used=int(memory.used),
        free=int(memory.free),
        ecc_uncorrected=_optional(
            lambda: pynvml.nvmlDeviceGetTotalEccErrors(
                handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
            )
        ),
        utilization_percent=_optional(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
    )


def _optional(call: Callable[[], int]) -> int | None:
    """What not every device has: consumer GPUs have no ECC, MIG slices no utilization."""
    try:
        return int(call())
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
        return None


class GpuReader:
    """Asks in a thread of its own and never starts a second one: while NVML hangs, exactly one thread hangs with it."""

    def __init__(self, read: Callable[[], tuple[Device, ...]], deadline: float) -> None:
        """`deadline`: seconds that one reading may take; it takes milliseconds when all is well."""
        self._read = read
        self._deadline = deadline
        self._questions: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[tuple[Device, ...]]] | None]
        self._questions = queue.SimpleQueue()
        self._pending: asyncio.Future[tuple[Device, ...]] | None = None
        self._thread: threading.Thread | None = None

    async def read(self) -> tuple[Device, ...]:
        """The GPUs now.

        Raises:
            GpuError: as Nvml.read, or NVMLHung when no answer came within the deadline. The question stays open then, and
                its answer, if it comes, is the answer to a later call. Calls at the same time share one answer.
        """
        pending = self._pending
        if pending is None:
            loop = asyncio.get_running_loop()
            self._pending = pending = loop.create_future()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="nvml", daemon=True)
                self._thread.start()
            self._questions.put((loop, pending))
        done, _ = await asyncio.wait([pending], timeout=self._deadline)
        if not done:
            raise GpuError(Problem(Reason.NVML_HUNG, f"NVML has not answered for {self._deadline:.0f} s"))
        if self._pending is pending:  # two callers may wait for one answer
            self._pending = None
        return pending.result()

    def close(self) -> None:
        """Lets the thread end, if it is not lost in NVML."""
        self._questions.put(None)

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            loop, answer = question
            try:
                devices = self._read()
            except GpuError as error:
                _post(loop, answer, error)
            else:
                _post(loop, answer, devices)


def _post(
    loop: asyncio.AbstractEventLoop, answer: asyncio.Future[tuple[Device, ...]], outcome: tuple[Device, ...] | GpuError
) -> None:
    def put() -> None:
        if not answer.done():
            if isinstance(outcome, GpuError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(put)
