"""From what the watches told to what is decided on."""

from typing import Any

import pytest

from fairlead.autoscaler.fleet import Fleet, Pod
from fairlead.autoscaler.observation import Phase
from fairlead.reconciler.kinds import Key
from fairlead.reconciler.store import Store

Object = dict[str, Any]
INSUFFICIENT = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def model(name: str = "chat", *, generation: int = 1, version: int = 1, **autoscaling: Any) -> Object:
    spec = {
        "model": {"uri": "pvc://models/x"},
        "replicas": 2,
        "accelerator": {"resourceName": "nvidia.com/gpu", "nodeSelector": {"gpu": "h100"}},
        "autoscaling": {"maxReplicas": 4, **autoscaling},
        "engine": {"maxNumSeqs": 16},
    }
    meta = {"namespace": "ns", "name": name, "uid": "u1", "generation": generation, "resourceVersion": str(version)}
    return {"apiVersion": "serving.fairlead.dev/v1alpha1", "kind": "ModelDeployment", "metadata": meta, "spec": spec}


def deployment(asked: int = 3, *, uid: str = "u1", **status: int) -> Object:
    owner = {"controller": True, "uid": uid, "kind": "ModelDeployment", "name": "chat"}
    labels = {"serving.fairlead.dev/model-deployment": "chat"}
    meta = {"namespace": "ns", "name": "chat", "resourceVersion": "2", "labels": labels, "ownerReferences": [owner]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": asked}, "status": status}


def pod(name: str, status: Object, *, priority: int | None = None, owner: str = "chat-h", **metadata: Any) -> Object:
    labels = {"serving.fairlead.dev/model-deployment": "chat", "pod-template-hash": "h"}
    owners = [{"kind": "ReplicaSet", "name": owner, "controller": True}]
    meta = {"namespace": "ns", "name": name, "resourceVersion": "3", "labels": labels, "ownerReferences": owners, **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"priority": priority}, "status": status}


def running(address: str, ready: str = "True") -> Object:
    return {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": ready}]}


UNSCHEDULED = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": INSUFFICIENT}]}


def fleet(*objects: Object) -> Fleet:
    store = Store()
    for each in objects:
        store.put(each)
    return Fleet(store)


def test_one_as_a_whole() -> None:
    (found,) = fleet(
        model(minReplicas=2),
        deployment(3, replicas=3, updatedReplicas=2),
        pod("chat-1", running("10.0.0.1"), priority=7),
        pod("chat-2", running("10.0.0.2", "False"), priority=7),
        pod("chat-3", UNSCHEDULED, priority=7),
        pod("chat-4", running("10.0.0.4"), deletionTimestamp="2026-01-01T00:00:00Z"),
        pod("chat-5", {"phase": "Failed"}),
        pod("foreign", running("10.0.0.6"), owner="foreign-h"),
    ).subjects()
    assert (found.key, found.uid, found.asked, found.wanted) == (Key("ns", "chat"), "u1", 3, 2)
    assert (found.config.min_replicas, found.config.max_replicas) == (2, 4)
    assert (found.rolling, found.priority) == (True, 7)
    assert found.at_once == 16
    assert found.pool == ("nvidia.com/gpu", frozenset({("gpu", "h100")}))
    assert found.pods == (
        Pod("chat-1", Phase.READY, "10.0.0.1"),
        Pod("chat-2", Phase.STARTING, "10.0.0.2"),
        Pod("chat-3", Phase.STARTING, "", INSUFFICIENT, short=True),
        Pod("chat-4", Phase.TERMINATING, "10.0.0.4"),
    ), "a pod that failed has another in its place, and one of somebody else's is no replica"


@pytest.mark.parametrize(
    "objects",
    [
        (model(),),
        (model(), deployment(uid="another")),
        (model(mode="External"), deployment()),
        ({**model(), "spec": {"replicas": 2}}, deployment()),
        (model(mode="Sometimes"), deployment()),
        (model(maxReplicas="many"), deployment()),
        (model(minReplicas=5), deployment()),
    ],
    ids=[
        "without a Deployment",
        "somebody else's",
        "external",
        "not autoscaled",
        "of another CRD",
        "of another type",
        "contradicting bounds",
    ],
)
def test_nothing_to_decide(objects: tuple[Object, ...]) -> None:
    assert list(fleet(*objects).subjects()) == []


def test_one_that_is_being_deleted_is_left_alone() -> None:
    ending = model()
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert list(fleet(ending, deployment()).subjects()) == []


def test_a_new_generation_is_read_anew() -> None:
    store = Store()
    seen = Fleet(store)
    store.put(model())
    store.put(deployment())
    assert [each.config.max_replicas for each in seen.subjects()] == [4]
    store.put(model(generation=2, version=5, maxReplicas=9))
    assert [each.config.max_replicas for each in seen.subjects()] == [9]
    store.discard(model(version=6))
    assert list(seen.subjects()) == []


def test_a_rollout_that_is_done_is_none() -> None:
    (found,) = fleet(model(), deployment(2, replicas=2, updatedReplicas=2)).subjects()
    assert not found.rolling
