"""Condition types and reasons of a ModelDeployment, each with its meaning. docs/reference/conditions.md is made from this file.

A reason is a promise: people write alerts on it. Rename none; add new ones here, with a meaning, before they are used.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Documented(StrEnum):
    """A string that knows what it means."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class ConditionType(_Documented):
    """The conditions of a ModelDeployment, in the order in which status.conditions lists them."""

    READY = "Ready", "Every replica that the spec asks for serves, and all of them run the present spec."
    CONFIGURATION_VALID = "ConfigurationValid", "The spec can be turned into pods."
    MODEL_AVAILABLE = "ModelAvailable", "Replicas have downloaded the model; this condition is there with hf:// only."
    REPLICAS_AVAILABLE = "ReplicasAvailable", "As many replicas serve as the spec asks for, whichever spec they run."
    PROGRESSING = "Progressing", "A rollout, a change of scale or a first start is under way."
    AUTOSCALED = (
        "Autoscaled",
        "The number of replicas follows the demand; there with spec.autoscaling in mode Auto or Recommend only.",
    )
    STALLED = "Stalled", "Nothing will move until somebody changes something; the message says what."


class Reason(_Documented):
    """Why a condition has the status that it has."""

    # Everything is as it should be.
    READY = "Ready", "Every wanted replica serves and runs the present spec."
    CONFIGURATION_VALID = "ConfigurationValid", "The spec was checked and nothing is wrong with it."
    REPLICAS_AVAILABLE = "ReplicasAvailable", "As many replicas serve as are wanted."
    SCALED_TO_ZERO = "ScaledToZero", "spec.replicas is 0: nothing serves, and nothing should."
    ROLLOUT_COMPLETE = "RolloutComplete", "Every replica runs the present spec; nothing is under way."
    NOT_STALLED = "NotStalled", "Nothing waits for a person."

    MODEL_DOWNLOADED = "ModelDownloaded", "The replicas have the model; the message names the commit."
    DEMAND_FOLLOWED = "DemandFollowed", "The operator sets the number of replicas, and nothing keeps it from doing so."
    RECOMMENDED_ONLY = "RecommendedOnly", "spec.autoscaling.mode is Recommend: status.autoscaling says what would be set."

    # Something is under way.
    ROLLOUT_IN_PROGRESS = (
        "RolloutInProgress",
        "Replicas with the present spec take over; streams on the old ones end by themselves.",
    )
    SCALING = "Scaling", "Replicas are being added or taken away."
    MODEL_DOWNLOADING = "ModelDownloading", "A replica downloads the model; the message says how many bytes of how many it has."
    TERMINATING = "Terminating", "The ModelDeployment is being deleted; its replicas finish their streams."

    # The spec cannot be turned into pods.
    UNKNOWN_ENGINE_FLAG = "UnknownEngineFlag", "spec.engine.args has a flag that this engine version does not have."
    INVALID_ENGINE_FLAG_VALUE = "InvalidEngineFlagValue", "A value in spec.engine is not one that the engine's flag takes."
    REFUSED_ENGINE_FLAG = "RefusedEngineFlag", "spec.engine.args has a flag that is unsafe, or that a field sets."
    UNSUPPORTED_ENGINE_VERSION = "UnsupportedEngineVersion", "Fairlead has no table of flags for spec.engine.version."
    NO_ENGINE_IMAGE = "NoEngineImage", "Neither spec.engine.image nor the operator's settings name an image."
    INVALID_KEY_SET = (
        "InvalidKeySet",
        "spec.access.jwt.jwks cannot be used: not a key set, no public key for signatures in it, or a private one.",
    )
    INVALID_SPEC = "InvalidSpec", "The operator cannot read the spec: operator and CRD are of different releases."
    NAME_CONFLICT = "NameConflict", "An object that Fairlead would create exists already and belongs to something else."
    CLAIM_NOT_FOUND = (
        "ClaimNotFound",
        "The PersistentVolumeClaim that spec.model.uri or spec.engine.compileCache names does not exist in this namespace.",
    )
    CLAIM_NOT_BOUND = (
        "ClaimNotBound",
        "The PersistentVolumeClaim of spec.model or of spec.engine.compileCache has no volume yet.",
    )
    INVALID_HUB_ENDPOINT = "InvalidHubEndpoint", "The address of the hub, of spec.model.endpoint or of the chart, is not one."
    APPLY_FAILED = "ApplyFailed", "The API server refused a child object: a quota, an admission policy, or missing rights."

    # Replicas are missing, seen by Kubernetes.
    REPLICAS_UNAVAILABLE = "ReplicasUnavailable", "Fewer replicas serve than are wanted; the message says why, if known."
    POD_STARTING = "PodStarting", "A replica's containers are being created."
    UNSCHEDULABLE = "Unschedulable", "No node takes the pod: the scheduler's words are in the message."
    NO_SPARE_GPU = "NoSpareGPU", "A rollout needs a GPU that is not free; rollout.maxSurge: 0 with maxUnavailable: 1 needs none."
    IMAGE_INVALID = "ImageInvalid", "The name of an image is not one, or no node may pull it: trying again does not help."
    IMAGE_PULL_FAILED = "ImagePullFailed", "A node cannot pull an image of the pod; it goes on trying."
    CONTAINER_CONFIG_INVALID = (
        "ContainerConfigInvalid",
        "A container cannot be made; mostly a Secret or ConfigMap that env names is missing.",
    )
    ENGINE_CRASH_LOOPING = "EngineCrashLooping", "The engine container keeps ending soon after its start."
    ENGINE_OUT_OF_MEMORY = "EngineOutOfMemory", "The kernel killed the engine at its memory limit (host memory, not the GPU's)."
    SIDECAR_FAILED = "SidecarFailed", "The proxy in the pod does not start or keeps ending."
    POD_FAILED = "PodFailed", "A replica's pod ended or was evicted; another takes its place."
    QUOTA_EXCEEDED = "QuotaExceeded", "A ResourceQuota of the namespace refuses the pods."
    POD_REFUSED = "PodRefused", "An admission policy of the cluster refuses the pods."
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded", "No new replica became ready in the time that a start may take."
    AGENT_UNREACHABLE = "AgentUnreachable", "The pod runs, and its agent does not answer the operator."

    KEY_SET_NOT_FOUND = (
        "KeySetNotFound",
        "The ConfigMap that spec.access.jwt.jwks names, or the key in it, does not exist: no new replica can start.",
    )

    # The number of replicas does not follow the demand.
    NO_CAPACITY = "NoCapacity", "No node takes a replica that the autoscaler asked for; it asks for no more until one does."
    AT_MAXIMUM = "AtMaximum", "More replicas are needed than spec.autoscaling.maxReplicas allows."
    QUEUE_WITHOUT_WORK = "QueueWithoutWork", "Requests wait on a replica whose GPU does nothing: it is broken, not busy."
    METRICS_MISSING = "MetricsMissing", "No replica that serves tells its load: their number stays."
    METRICS_STALE = "MetricsStale", "What the replicas told last is too old: their number stays."
    METRICS_INVALID = "MetricsInvalid", "What the replicas tell is not a number: theirs stays."
    METRICS_PARTIAL = "MetricsPartial", "Some replicas do not tell their load, or some GPUs their duty cycle: none is taken away."

    # The model is not there, told by the container that downloads it.
    MODEL_NOT_FOUND = "ModelNotFound", "The hub has no such model, or does not show it to whoever asks."
    MODEL_REVISION_NOT_FOUND = "ModelRevisionNotFound", "The model has no such branch, tag or commit."
    MODEL_WITHOUT_SAFETENSORS = "ModelWithoutSafetensors", "The model has weights in other forms only, which may hold code."
    MODEL_VOLUME_FULL = "ModelVolumeFull", "The model does not fit on the volume of spec.model.cache."
    HUB_TOKEN_MISSING = "HubTokenMissing", "There is no Secret as spec.model.secretRef says, or no such key in it."
    HUB_TOKEN_REQUIRED = "HubTokenRequired", "The hub gives the model to known accounts only."
    HUB_TOKEN_REFUSED = "HubTokenRefused", "The hub does not take the token."
    HUB_ACCESS_DENIED = "HubAccessDenied", "The hub takes the token, and its account may not have this model."
    HUB_UNREACHABLE = "HubUnreachable", "The hub does not answer, or with an error of its own; it is asked again."
    DOWNLOAD_INTERRUPTED = "DownloadInterrupted", "The download was cut off; it goes on from where it was."
    DOWNLOAD_FAILED = "DownloadFailed", "The download failed in another way; the message has the error."
    MODEL_REVISIONS_DIFFER = (
        "ModelRevisionsDiffer",
        "Replicas of one spec have different commits, as spec.model.revision stands for another one now.",
    )

    # Replicas are missing, told by the agent in the pod.
    MODEL_PATH_NOT_FOUND = (
        "ModelPathNotFound",
        "The model's folder is not there, or has no config.json: the engine's start waits until the files come.",
    )
    GPU_MEMORY_INSUFFICIENT = "GPUMemoryInsufficient", "Less GPU memory is free than the engine will take: its start waits."
    GPU_NOT_FOUND = "GPUNotFound", "The container sees no GPU."
    NVML_UNAVAILABLE = "NVMLUnavailable", "The NVIDIA management library is missing or answers with an error."
    NVML_HUNG = "NVMLHung", "The NVIDIA management library does not come back from a call."
    ECC_UNCORRECTED = "ECCUncorrected", "The GPU has counted new memory errors that ECC could not correct."
    XID_FATAL = "XidFatal", "The driver reported an Xid that an application does not survive."
    GPU_MEMORY_BELOW_FLOOR = "GPUMemoryBelowFloor", "Less GPU memory is free than health.gpuMemoryFloor while the engine runs."
    ENGINE_ALLOCATION_MISSING = "EngineAllocationMissing", "The engine runs without the GPU memory that it should hold."
    ENGINE_STARTING = "EngineStarting", "The engine process runs and does not answer yet: it loads the model."
    WARMUP_RUNNING = "WarmupRunning", "The warm-up requests run."
    WARMUP_FAILED = "WarmupFailed", "A warm-up request failed; it is tried again until health.startupTimeoutSeconds is over."
    ENGINE_UNREACHABLE = "EngineUnreachable", "The engine has not answered three health requests in a row."
    ENGINE_STALLED = (
        "EngineStalled",
        "The engine has work and makes no token, or is idle and does not answer a one-token request.",
    )
    ENGINE_EXITED = "EngineExited", "The engine process ended."
    STARTUP_DEADLINE_EXCEEDED = "StartupDeadlineExceeded", "The engine was not warmed up within health.startupTimeoutSeconds."
    DRAINING = "Draining", "The replica is ending: it takes no new request and finishes its streams."


OF_DOWNLOADS = frozenset(
    {
        Reason.MODEL_DOWNLOADING,
        Reason.MODEL_NOT_FOUND,
        Reason.MODEL_REVISION_NOT_FOUND,
        Reason.MODEL_WITHOUT_SAFETENSORS,
        Reason.MODEL_VOLUME_FULL,
        Reason.HUB_TOKEN_MISSING,
        Reason.HUB_TOKEN_REQUIRED,
        Reason.HUB_TOKEN_REFUSED,
        Reason.HUB_ACCESS_DENIED,
        Reason.HUB_UNREACHABLE,
        Reason.DOWNLOAD_INTERRUPTED,
        Reason.DOWNLOAD_FAILED,
    }
)
"""Told by the container that downloads a model."""
