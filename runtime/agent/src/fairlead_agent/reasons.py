"""Phases and reasons that the agent tells.

People write alerts on them: add, never rename. docs/health.md says what to do about each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """How far the container has come."""

    DOWNLOADING = "Downloading"
    WAITING_FOR_MODEL = "WaitingForModel"
    WAITING_FOR_GPU_MEMORY = "WaitingForGPUMemory"
    STARTING_ENGINE = "StartingEngine"
    WARMING_UP = "WarmingUp"
    READY = "Ready"
    NOT_READY = "NotReady"
    DRAINING = "Draining"


class Reason(StrEnum):
    """Why the phase is what it is."""

    MODEL_DOWNLOADING = "ModelDownloading"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_REVISION_NOT_FOUND = "ModelRevisionNotFound"
    MODEL_WITHOUT_SAFETENSORS = "ModelWithoutSafetensors"
    MODEL_VOLUME_FULL = "ModelVolumeFull"
    HUB_TOKEN_MISSING = "HubTokenMissing"  # noqa: S105  a word for a condition
    HUB_TOKEN_REQUIRED = "HubTokenRequired"  # noqa: S105
    HUB_TOKEN_REFUSED = "HubTokenRefused"  # noqa: S105
    HUB_ACCESS_DENIED = "HubAccessDenied"
    HUB_UNREACHABLE = "HubUnreachable"
    DOWNLOAD_INTERRUPTED = "DownloadInterrupted"
    DOWNLOAD_FAILED = "DownloadFailed"
    MODEL_PATH_NOT_FOUND = "ModelPathNotFound"
    GPU_MEMORY_INSUFFICIENT = "GPUMemoryInsufficient"
    GPU_NOT_FOUND = "GPUNotFound"
    NVML_UNAVAILABLE = "NVMLUnavailable"
    NVML_HUNG = "NVMLHung"
    ECC_UNCORRECTED = "ECCUncorrected"
    XID_FATAL = "XidFatal"
    GPU_MEMORY_BELOW_FLOOR = "GPUMemoryBelowFloor"
    ENGINE_ALLOCATION_MISSING = "EngineAllocationMissing"
    ENGINE_STARTING = "EngineStarting"
    WARMUP_RUNNING = "WarmupRunning"
    WARMUP_FAILED = "WarmupFailed"
    ENGINE_UNREACHABLE = "EngineUnreachable"
    ENGINE_STALLED = "EngineStalled"
    ENGINE_EXITED = "EngineExited"
    STARTUP_DEADLINE_EXCEEDED = "StartupDeadlineExceeded"
    DRAINING = "Draining"
    READY = "Ready"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, as a constant for machines and a sentence for people."""

    reason: Reason
    message: str
