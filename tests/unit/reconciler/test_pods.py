"""What a pod tells."""

from typing import Any

import pytest

from fairlead.api.conditions import Reason
from fairlead.reconciler.pods import belongs, short_of, view

Object = dict[str, Any]


def pod(status: Object, **metadata: Any) -> Object:
    return {"metadata": {"name": "chat-abc-1", "labels": {"pod-template-hash": "abc"}, **metadata}, "status": status}


def waiting(reason: str, message: str = "", name: str = "engine", last: Object | None = None) -> Object:
    each = {"name": name, "state": {"waiting": {"reason": reason, "message": message}}, "lastState": last or {}}
    return {"phase": "Pending", "containerStatuses": [each]}


def unscheduled(message: str) -> Object:
    return {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
    }


PROBLEMS: dict[str, tuple[Object, Reason, str]] = {
    "new": ({}, Reason.POD_STARTING, "waits for the node"),
    "no node": (unscheduled("0/3 nodes are available"), Reason.UNSCHEDULABLE, "0/3 nodes are available"),
    "no claim": (unscheduled('persistentvolumeclaim "models" not found'), Reason.CLAIM_NOT_FOUND, "models"),
    "claim without a volume": (
        unscheduled("pod has unbound immediate PersistentVolumeClaims"),
        Reason.CLAIM_NOT_BOUND,
        "unbound",
    ),
    "creating": (waiting("ContainerCreating"), Reason.POD_STARTING, "engine is being created"),
    "pull back-off": (
        waiting("ImagePullBackOff", "no such image"),
        Reason.IMAGE_PULL_FAILED,
        "engine: ImagePullBackOff: no such image",
    ),
    "pull": (waiting("ErrImagePull", "x"), Reason.IMAGE_PULL_FAILED, "ErrImagePull"),
    "bad image name": (waiting("InvalidImageName", "x"), Reason.IMAGE_INVALID, "InvalidImageName"),
    "an image that may not be pulled": (waiting("ErrImageNeverPull", "x"), Reason.IMAGE_INVALID, "ErrImageNeverPull"),
    "missing secret": (
        waiting("CreateContainerConfigError", 'secret "s" not found'),
        Reason.CONTAINER_CONFIG_INVALID,
        'secret "s" not found',
    ),
    "crash": (
        waiting("CrashLoopBackOff", "back-off", last={"terminated": {"exitCode": 3, "message": "last\nwords"}}),
        Reason.ENGINE_CRASH_LOOPING,
        "container engine ended with exit code 3: last words",
    ),
    "crash without a word": (waiting("CrashLoopBackOff"), Reason.ENGINE_CRASH_LOOPING, "container engine ended"),
    "out of memory": (
        waiting("CrashLoopBackOff", last={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        Reason.ENGINE_OUT_OF_MEMORY,
        "spec.pod.resources.limits.memory",
    ),
    "sidecar": (
        waiting("CrashLoopBackOff", name="sidecar", last={"terminated": {"exitCode": 1, "message": "bad config"}}),
        Reason.SIDECAR_FAILED,
        "container sidecar ended with exit code 1: bad config",
    ),
    "just ended": (
        {"phase": "Running", "containerStatuses": [{"name": "engine", "state": {"terminated": {"exitCode": 1}}}]},
        Reason.ENGINE_CRASH_LOOPING,
        "exit code 1",
    ),
    "unknown word": (waiting("SomethingNew", "of 2030"), Reason.REPLICAS_UNAVAILABLE, "SomethingNew: of 2030"),
    "evicted": (
        {"phase": "Failed", "reason": "Evicted", "message": "node was low on memory"},
        Reason.POD_FAILED,
        "Evicted: node was low on memory",
    ),
    "ended": ({"phase": "Failed"}, Reason.POD_FAILED, "its containers have ended"),
    "a fault beats a start": (
        {
            "phase": "Pending",
            "initContainerStatuses": [{"name": "sidecar", "state": {"waiting": {"reason": "PodInitializing"}}}],
            "containerStatuses": [{"name": "engine", "state": {"waiting": {"reason": "ErrImagePull"}}}],
        },
        Reason.IMAGE_PULL_FAILED,
        "engine",
    ),
}


@pytest.mark.parametrize(("status", "reason", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_why_it_does_not_serve(status: Object, reason: Reason, words: str) -> None:
    seen = view(pod(status))
    assert seen.problem is not None
    assert (seen.problem.reason, seen.ready, seen.address) == (reason, False, "")
    assert words in seen.problem.message
    assert len(seen.problem.message) < 600


RUNNING: Object = {
    "phase": "Running",
    "podIP": "10.0.0.1",
    "containerStatuses": [{"name": "engine", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
}


def test_one_that_runs_and_is_not_ready_is_asked() -> None:
    seen = view(pod(RUNNING))
    assert (seen.problem, seen.address, seen.running_since) == (None, "10.0.0.1", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "seen",
    [
        pod({**RUNNING, "conditions": [{"type": "Ready", "status": "True"}]}),
        pod(RUNNING, deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
    ids=["ready", "ending"],
)
def test_one_that_is_ready_or_ending_is_not_asked(seen: Object) -> None:
    assert (view(seen).problem, view(seen).address, view(seen).running_since) == (None, "", "")


def test_long_words_are_cut() -> None:
    seen = view(pod(waiting("ErrImagePull", "x" * 5000)))
    assert seen.problem is not None
    assert len(seen.problem.message) < 500


def test_short_of_a_gpu() -> None:
    assert short_of(view(pod(unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."))), "nvidia.com/gpu")
    assert not short_of(view(pod(unscheduled("0/1 nodes are available: 1 Insufficient cpu."))), "nvidia.com/gpu")
    assert not short_of(view(pod(RUNNING)), "nvidia.com/gpu")


def owned_by(kind: str, name: str, *, controller: bool = True) -> Object:
    return pod({}, ownerReferences=[{"kind": kind, "name": name, "controller": controller}])


@pytest.mark.parametrize(
    ("seen", "ours"),
    [
        (owned_by("ReplicaSet", "chat-abc"), True),
        (owned_by("ReplicaSet", "other-abc"), False),
        (owned_by("ReplicaSet", "chat-abd"), False),
        (owned_by("ReplicaSet", "chat-abc", controller=False), False),
        (owned_by("Job", "chat-abc"), False),
        (pod({}), False),
    ],
)
def test_whose_it_is(seen: Object, ours: bool) -> None:  # noqa: FBT001
    assert belongs(seen, "chat") is ours
