"""What a pod tells: whether it serves, and if not, why. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.api.conditions import Reason
from fairlead.reconciler.words import bounded, ends_of
from fairlead.resources.engine_flags.validate import Problem
from fairlead.resources.names import ENGINE_CONTAINER, FETCH_CONTAINER, MODEL_PATH, MODEL_VOLUME, SIDECAR_CONTAINER

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

_COMMIT = re.compile("[0-9a-f]{7,64}")
_EXPLAINED_BY_A_CRASH = frozenset(
    {
        Reason.POD_STARTING,
        Reason.ENGINE_STARTING,
        Reason.WARMUP_RUNNING,
        Reason.ENGINE_EXITED,
        Reason.AGENT_UNREACHABLE,
    }
)
"""What a replica says on its way to the next crash."""


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
    """Where its agent can be asked, or empty: only a pod that runs or downloads and is not ready has anything to say."""
    running_since: str
    """When the container of its agent was started (RFC 3339), or empty."""
    commit: str = ""
    """The commit of the model that it has downloaded, as far as it has."""
    crash: Problem | None = None
    """Why its engine ended last, if that was a failure and it has not been ready since."""
    claim: str = ""
    """The PersistentVolumeClaim that its model lies on, or empty."""


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
    if problem is not None and problem.reason is Reason.CLAIM_NOT_BOUND and _cache(pod) is not None:
        problem = Problem(problem.reason, f"{problem.message}; {_without_a_volume(pod)}")
    fetching = _fetching(status) and problem is not None and problem.reason is Reason.POD_STARTING
    if fetching:
        problem = None  # the container that downloads knows more
    running = fetching or (status.get("phase") == "Running" and not ready and not terminating and problem is None)
    return PodView(
        name=meta["name"],
        template=(meta.get("labels") or {}).get(TEMPLATE_HASH_LABEL, ""),
        ready=ready,
        terminating=terminating,
        problem=problem,
        address=status.get("podIP", "") if running else "",
        running_since=_running_since(status, FETCH_CONTAINER if fetching else ENGINE_CONTAINER) if running else "",
        commit=_commit(status),
        crash=None if ready or terminating else _crash(status, conditions),
        claim=_claim(pod),
    )


def hindrance(pod: PodView, answer: Problem | None) -> Problem | None:
    """Why a pod does not serve, of what its agent answered and what Kubernetes knows."""
    problem = answer or pod.problem
    if pod.crash is not None and (problem is None or problem.reason in _EXPLAINED_BY_A_CRASH):
        return pod.crash
    if problem is not None and problem.reason is Reason.READY:
        return Problem(Reason.POD_STARTING, "the agent is ready; the kubelet has not asked it again yet")
    if problem is not None and problem.reason is Reason.MODEL_PATH_NOT_FOUND and pod.claim:
        where = f"{MODEL_PATH} is claim {pod.claim}: is the path in spec.model.uri right?"
        return Problem(problem.reason, f"{problem.message}; {where}")
    return problem


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
    for container in _containers(status):
        problem = _container(container)
        if problem and problem.reason is not Reason.POD_STARTING:
            return problem
        starting = starting or problem
    if starting is None and status.get("phase") != "Running":
        return Problem(Reason.POD_STARTING, "waits for the node to start it")
    return starting


def _running_since(status: Mapping[str, Any], container: str) -> str:
    starts = [_running(each).get("startedAt") or "" for each in _containers(status) if each["name"] == container]
    return starts[0] if starts else ""


def _fetching(status: Mapping[str, Any]) -> bool:
    """Whether the container that downloads the model is at it."""
    return any(each["name"] == FETCH_CONTAINER and _running(each) for each in _containers(status))


def _crash(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> Problem | None:
    """Why the engine's container ended last, if it failed; None once the pod has been ready in what runs now.

    Between two crashes an engine loads for minutes: a reason that changed with each would be a Warning each time.
    """
    engine = next((each for each in _containers(status) if each["name"] == ENGINE_CONTAINER), {})
    ended = (engine.get("lastState") or {}).get("terminated") or {}
    if not engine.get("restartCount") or not ended.get("exitCode"):
        return None
    # The condition turned before what runs now was started (both in whole seconds), or it turned true and false again since.
    # An API server shows a time that was not given as null.
    turned = (conditions.get("Ready") or {}).get("lastTransitionTime") or ""
    if turned > (_running(engine).get("startedAt") or turned):
        return None
    return _ended(engine, ended)


def _commit(status: Mapping[str, Any]) -> str:
    """What the container that downloads has left as its last words: they come out of a tenant's pod."""
    for each in status.get("initContainerStatuses") or []:
        ended = (each.get("state") or {}).get("terminated") or {}
        if each["name"] == FETCH_CONTAINER and ended.get("exitCode") == 0:
            try:
                said = json.loads(ended.get("message") or "{}")
            except (ValueError, RecursionError):
                return ""
            commit = said.get("commit") if isinstance(said, dict) else None
            return commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else ""
    return ""


def _volumes(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those of them that hold the model."""
    return (each for each in (pod.get("spec") or {}).get("volumes") or [] if each["name"] == MODEL_VOLUME)


def _claim(pod: Mapping[str, Any]) -> str:
    """The claim that the model lies on."""
    return next((each["persistentVolumeClaim"]["claimName"] for each in _volumes(pod) if "persistentVolumeClaim" in each), "")


def _cache(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The claim that is made for the pod alone, to download the model to."""
    return next((each["ephemeral"]["volumeClaimTemplate"]["spec"] for each in _volumes(pod) if "ephemeral" in each), None)


def _without_a_volume(pod: Mapping[str, Any]) -> str:
    """What to do about the claim of spec.model.cache. The API server writes the default StorageClass into the claim, not here."""
    chosen = (_cache(pod) or {}).get("storageClassName")
    if chosen:
        return f"nothing makes a volume for spec.model.cache: is there a StorageClass {chosen}, and does its provisioner run?"
    return (
        "nothing makes a volume for spec.model.cache: set spec.model.cache.storageClassName, or give the cluster a default "
        "StorageClass"
    )


def _unscheduled(message: str) -> Problem:
    """The scheduler knows more than that it cannot place the pod: claims are checked by it, too."""
    if "persistentvolumeclaim" in message and "not found" in message:
        return Problem(Reason.CLAIM_NOT_FOUND, message)
    if "unbound immediate PersistentVolumeClaims" in message:
        # Behind the full stop comes what the scheduler says of pods that it might evict for this one.
        return Problem(Reason.CLAIM_NOT_BOUND, message.removesuffix(" not found").rstrip("."))
    return Problem(Reason.UNSCHEDULABLE, message)


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The status of each container that should run, those that start first in front."""
    statuses: Sequence[Mapping[str, Any]] = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    for each in statuses:
        if each["name"] == FETCH_CONTAINER and ((each.get("state") or {}).get("terminated") or {}).get("exitCode") == 0:
            continue
        yield each


def _running(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a container's status that is there while it runs."""
    return (container.get("state") or {}).get("running") or {}


def _container(container: Mapping[str, Any]) -> Problem | None:
    """What is wrong with one container; None if it runs."""
    name, state = container["name"], container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), bounded(waiting.get("message", ""))
    # Between an end and the restart there is a moment without back-off: the same story.
    last = (container.get("lastState") or {}).get("terminated") or {}
    ended = last if reason == "CrashLoopBackOff" else state.get("terminated")
    if ended is not None:
        return _ended(container, ended)
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


def _ended(container: Mapping[str, Any], terminated: Mapping[str, Any]) -> Problem:
    """Why a container that should run on has ended, with its last words."""
    name, code, why = container["name"], terminated.get("exitCode"), terminated.get("reason", "")
    words = ends_of(terminated.get("message", ""))
    story = f"container {name} ended" + (f" with exit code {code}" if code is not None else "")
    if restarts := container.get("restartCount", 0):
        story += ", restarted once" if restarts == 1 else f", restarted {restarts} times"
    story += f": {words}" if words else ""
    if name == SIDECAR_CONTAINER:
        return Problem(Reason.SIDECAR_FAILED, story)
    if name == FETCH_CONTAINER:
        return Problem(Reason.DOWNLOAD_FAILED, story)
    if why == "OOMKilled":
        return Problem(Reason.ENGINE_OUT_OF_MEMORY, f"{story}; raise spec.pod.resources.limits.memory")
    return Problem(Reason.ENGINE_CRASH_LOOPING, story)
