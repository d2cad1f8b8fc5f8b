"""What a pod tells: whether it serves, and if not, why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.api.conditions import Reason
from fairlead.reconciler.words import bounded
from fairlead.resources.engine_flags.validate import Problem
from fairlead.resources.names import ENGINE_CONTAINER, SIDECAR_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TEMPLATE_HASH_LABEL = "pod-template-hash"

_PULL = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ImageInspectError",
        "SignatureValidationFailed",
    }
)
_IMAGE = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class PodView:
    """One pod, in the few facts that a decision needs."""

    name: str
    template: str
    """Hash of the pod template that it was made from."""
    ready: bool
    terminating: bool
    problem: Problem | None
    """Why it does not serve, as far as Kubernetes knows."""
    address: str
    """Where its agent can be asked, or empty: only a running pod that is not ready has anything to say."""
    running_since: str
    """When its engine container was started (RFC 3339), or empty."""


def belongs(pod: Mapping[str, Any], deployment: str) -> bool:
    """Whether the pod is one of the Deployment's own: made by a ReplicaSet called after it. The label alone anyone may copy."""
    meta = pod["metadata"]
    template = (meta.get("labels") or {}).get(TEMPLATE_HASH_LABEL)
    owners = meta.get("ownerReferences") or []
    return any(
        owner.get("controller") and owner["kind"] == "ReplicaSet" and owner["name"] == f"{deployment}-{template}"
        for owner in owners
    )


def view(pod: Mapping[str, Any]) -> PodView:
    """The facts of one pod."""
    meta, status = pod["metadata"], pod.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    ready = (conditions.get("Ready") or {}).get("status") == "True"
    terminating = "deletionTimestamp" in meta
    problem = None if ready or terminating else _problem(status, conditions)
    running = status.get("phase") == "Running" and not ready and not terminating and problem is None
    return PodView(
        name=meta["name"],
        template=(meta.get("labels") or {}).get(TEMPLATE_HASH_LABEL, ""),
        ready=ready,
        terminating=terminating,
        problem=problem,
        address=status.get("podIP", "") if running else "",
        running_since=_running_since(status) if running else "",
    )


def short_of(pod: PodView, resource: str) -> bool:
    """Whether the pod waits because no node has one of that resource free."""
    return (
        pod.problem is not None
        and pod.problem.reason is Reason.UNSCHEDULABLE
        and f"Insufficient {resource}" in pod.problem.message
    )


def _problem(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> Problem | None:
    """Why a pod that should serve does not; None where only its agent can know."""
    if status.get("phase") == "Failed":
        words = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
        return Problem(Reason.POD_FAILED, bounded(words) or "its containers have ended")
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return _unscheduled(bounded(scheduled.get("message") or scheduled.get("reason") or "not scheduled"))
    starting: Problem | None = None
    for container, state, last in _containers(status):
        told = _container(container, state, last)
        if told and told.reason is not Reason.POD_STARTING:
            return told
        starting = starting or told
    if starting is None and status.get("phase") != "Running":
        return Problem(Reason.POD_STARTING, "waits for the node to start it")
    return starting


def _running_since(status: Mapping[str, Any]) -> str:
    starts = [state.get("running", {}).get("startedAt", "") for name, state, _ in _containers(status) if name == ENGINE_CONTAINER]
    return starts[0] if starts else ""


def _unscheduled(message: str) -> Problem:
    """The scheduler knows more than that it cannot place the pod: claims are checked by it, too."""
    if "persistentvolumeclaim" in message and "not found" in message:
        return Problem(Reason.CLAIM_NOT_FOUND, message)
    if "unbound immediate PersistentVolumeClaims" in message:
        return Problem(Reason.CLAIM_NOT_BOUND, message)
    return Problem(Reason.UNSCHEDULABLE, message)


def _containers(status: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Name, state and last state of each container, those that start first in front."""
    statuses: Sequence[Mapping[str, Any]] = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    for each in statuses:
        yield each["name"], each.get("state") or {}, each.get("lastState") or {}


def _container(name: str, state: Mapping[str, Any], last: Mapping[str, Any]) -> Problem | None:
    """What is wrong with one container; None if it runs."""
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), bounded(waiting.get("message", ""))
    # Between an end and the restart there is a moment without back-off: the same story.
    ended = (last.get("terminated") or {}) if reason == "CrashLoopBackOff" else state.get("terminated")
    if ended is not None:
        return _ended(name, ended)
    if not waiting:
        return None
    if reason in _PULL | _IMAGE:
        told = Reason.IMAGE_PULL_FAILED if reason in _PULL else Reason.IMAGE_INVALID
        return Problem(told, f"container {name}: {reason}: {message}")
    if reason in _CONFIG:
        return Problem(Reason.CONTAINER_CONFIG_INVALID, f"container {name}: {message or reason}")
    if reason in _STARTING or not reason:
        return Problem(Reason.POD_STARTING, f"container {name} is being created")
    return Problem(Reason.REPLICAS_UNAVAILABLE, f"container {name}: {reason}: {message}")


def _ended(name: str, terminated: Mapping[str, Any]) -> Problem:
    """Why a container that should run on has ended, with its last words."""
    code, why = terminated.get("exitCode"), terminated.get("reason", "")
    words = bounded(terminated.get("message", ""))
    told = f"container {name} ended" + (f" with exit code {code}" if code is not None else "") + (f": {words}" if words else "")
    if name == SIDECAR_CONTAINER:
        return Problem(Reason.SIDECAR_FAILED, told)
    if why == "OOMKilled":
        return Problem(Reason.ENGINE_OUT_OF_MEMORY, f"{told}; raise spec.pod.resources.limits.memory")
    return Problem(Reason.ENGINE_CRASH_LOOPING, told)
