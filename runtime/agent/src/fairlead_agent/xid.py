"""Xid errors. NVML tells them only through a blocking wait, so one thread does nothing but wait."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pynvml  # type: ignore[import-untyped]  # NVIDIA ships no types

from fairlead_agent.reasons import Problem, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

#: Xids of the application, after which the GPU is sound: the list that NVIDIA/k8s-device-plugin ignores (internal/rm/health.go).
#: 13 graphics engine exception, 31 memory page fault, 43 stopped processing, 45 preemptive cleanup, 68 video processor exception,
#: 109 context switch timeout. Every other one is fatal here: a GPU that may be broken serves nobody.
NON_FATAL = frozenset((13, 31, 43, 45, 68, 109))
#: Milliseconds of one wait: how long the thread takes to notice that it shall end.
_WAIT_MS = 1000
#: Seconds between attempts after NVML refused.
_RETRY_SECONDS = 5.0

logger = logging.getLogger(__name__)


def fatal(xid: int) -> bool:
    """Whether the GPU cannot be trusted after this Xid."""
    return xid not in NON_FATAL


def problem(uuid: str, xid: int) -> Problem:
    """The sentence for a fatal one."""
    return Problem(Reason.XID_FATAL, f"{uuid}: Xid {xid} from the driver, drain the node and reset or replace the GPU")


class XidWatcher:
    """Waits for Xids in its own thread and hands each to `on_xid(uuid, xid)`, called in that thread."""

    def __init__(self, on_xid: Callable[[str, int], None], retry_seconds: float = _RETRY_SECONDS) -> None:
        self._on_xid = on_xid
        self._retry_seconds = retry_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="xid", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Asks the thread to end; does not wait, because it may hang in NVML."""
        self._ended.set()

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                pynvml.nvmlInit()
                try:
                    self._watch()
                finally:
                    pynvml.nvmlShutdown()
            except pynvml.NVMLError as error:
                logger.debug("no Xids to be had: %s", error)
            self._ended.wait(self._retry_seconds)

    def _watch(self) -> None:
        """Raises NVMLError when NVML refuses."""
        events = pynvml.nvmlEventSetCreate()
        try:
            registered = 0
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                try:
                    pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
                    registered += 1
                except pynvml.NVMLError_NotSupported:
                    logger.warning("%s tells no Xids", pynvml.nvmlDeviceGetUUID(handle))
            while registered and not self._ended.is_set():
                try:
                    event = pynvml.nvmlEventSetWait_v2(events, _WAIT_MS)
                except pynvml.NVMLError_Timeout:
                    continue
                self._on_xid(pynvml.nvmlDeviceGetUUID(event.device), int(event.eventData))
        finally:
            pynvml.nvmlEventSetFree(events)
