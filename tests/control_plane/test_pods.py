"""Why replicas are missing: from the pods' own status, and from the agents in them."""

import json

import pytest

from fairlead.reconciler.kinds import DEPLOYMENT
from tests.control_plane.agents import agent
from tests.control_plane.world import World
from tests.objects import Object
from tests.ports import free_address
from tests.tenant import soon

pytestmark = pytest.mark.usefixtures("operator")


def test_the_condition_says_what_the_agent_says(world: World) -> None:
    world.create("chat")
    first, second = world.wait_pods("chat", 2)
    world.run(first, ready=True)
    address = free_address()
    answer = {
        "phase": "WaitingForGPUMemory",
        "reason": "GPUMemoryInsufficient",
        "message": "free 1000 bytes, needed 2000 bytes",
        "running": 0,
        "waiting": 0,
        "kvCachePercent": 0,
        "dutyCyclePercent": 0,
        "tokens": 0,
    }
    with agent(address, json.dumps(answer).encode()) as seen:
        world.run(second, ready=False, address=address)
        world.wait_condition("chat", "ReplicasAvailable", status="False", reason="GPUMemoryInsufficient")
        message = f"1/2 ready; {second['metadata']['name']}: GPUMemoryInsufficient: free 1000 bytes, needed 2000 bytes"
        # What changes without a turn of the condition is written at most once in 10 s.
        soon("the message is whole", lambda: world.condition("chat", "ReplicasAvailable")["message"] == message)
    assert set(seen) == {"/status None"}, "no credentials go into a pod"
    assert world.condition("chat", "Ready")["reason"] == "GPUMemoryInsufficient"
    # Nobody answers any more.
    world.wait_condition("chat", "ReplicasAvailable", status="False", reason="AgentUnreachable")


def test_a_pod_cannot_lie_its_way_into_anything(world: World) -> None:
    world.create("chat", {"replicas": 1})
    (pod,) = world.wait_pods("chat", 1)
    address = free_address()
    with agent(address, json.dumps({"reason": "Fantasy", "message": "x" * 3000 + "\n\x00"}).encode()):
        world.run(pod, ready=False, address=address)
        told = world.wait_condition("chat", "ReplicasAvailable", status="False", reason="ReplicasUnavailable")
        soon("its word is shown", lambda: "Fantasy" in world.condition("chat", "ReplicasAvailable")["message"])
    assert len(told["message"]) < 1000


@pytest.mark.parametrize(
    ("state", "reason", "words", "stalled"),
    [
        ({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}, "ImagePullFailed", "no such image", False),
        ({"waiting": {"reason": "InvalidImageName", "message": "a b"}}, "ImageInvalid", "a b", True),
        (
            {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}},
            "ContainerConfigInvalid",
            'secret "s" not found',
            False,
        ),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "EngineCrashLooping", "exit code 3, restarted once: last words", False),
        ({"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "EngineCrashLooping", "restarted once: last words", False),
    ],
    ids=["image", "image name", "config", "crash", "between crashes"],
)
def test_the_condition_says_what_the_kubelet_says(world: World, state: Object, reason: str, words: str, stalled: bool) -> None:  # noqa: FBT001
    world.create("chat")
    for pod in world.wait_pods("chat", 2):
        last = {"terminated": {"exitCode": 3, "message": "last words"}} if "Crash" in reason else {}
        status = {
            "name": "engine",
            "ready": False,
            "restartCount": 1,
            "image": "",
            "imageID": "",
            "state": state,
            "lastState": last,
        }
        world.pod_status(
            pod, {"phase": "Pending", "containerStatuses": [status], "conditions": [{"type": "PodScheduled", "status": "True"}]}
        )
    told = world.wait_condition("chat", "ReplicasAvailable", status="False", reason=reason)
    assert words in told["message"]
    assert world.condition("chat", "Stalled")["status"] == str(stalled)


def unschedulable(world: World, pod: Object) -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    world.pod_status(pod, {"conditions": [condition]})


def test_a_rollout_without_a_spare_gpu(world: World) -> None:
    world.create("chat")
    world.make_ready("chat")
    old = {pod["metadata"]["name"] for pod in world.pods("chat")}
    world.change("chat", {"engine": {"maxModelLen": 1024}})
    new = [pod for pod in world.wait_pods("chat", 3) if pod["metadata"]["name"] not in old]
    unschedulable(world, new[0])
    told = world.wait_condition("chat", "Stalled", status="True", reason="NoSpareGPU")
    assert "maxSurge: 0" in told["message"]
    assert world.condition("chat", "ReplicasAvailable")["status"] == "True", "the old replicas serve on"
    assert world.condition("chat", "Ready")["reason"] == "NoSpareGPU"
    # Doing what the message says makes it move: an old replica goes first.
    world.change("chat", {"rollout": {"maxSurge": 0, "maxUnavailable": 1}})
    soon("it is unstalled", lambda: world.condition("chat", "Stalled")["status"] == "False")


def test_too_few_gpus_from_the_beginning(world: World) -> None:
    world.create("chat")
    first, second = world.wait_pods("chat", 2)
    world.run(first, ready=True)
    unschedulable(world, second)
    told = world.wait_condition("chat", "ReplicasAvailable", status="False", reason="Unschedulable")
    assert "Insufficient nvidia.com/gpu" in told["message"]
    assert world.condition("chat", "Stalled")["status"] == "False", "an autoscaler may bring a node"


def test_a_rollout_shows_and_ends(world: World) -> None:
    world.create("chat")
    world.make_ready("chat")
    world.change("chat", {"engine": {"maxModelLen": 1024}})
    told = world.wait_condition("chat", "Progressing", status="True", reason="RolloutInProgress")
    assert "replicas run the present spec" in told["message"] or "just been written" in told["message"]
    assert world.condition("chat", "Ready")["status"] == "False"

    def all_new() -> bool:
        for pod in world.pods("chat"):
            conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
            if conditions.get("Ready") != "True":
                world.run(pod, ready=True)
        return bool(world.condition("chat", "Ready")["status"] == "True")

    soon("both are new", all_new)
    assert world.condition("chat", "Ready")["observedGeneration"] == 2
    assert world.condition("chat", "Progressing")["reason"] == "RolloutComplete"


def test_a_foreign_pod_with_our_label_is_not_counted(world: World) -> None:
    world.create("chat")
    world.make_ready("chat")
    spec = {"containers": [{"name": "engine", "image": "x"}]}
    labels = {"serving.fairlead.dev/model-deployment": "chat", "pod-template-hash": "x"}
    world.objects.request(
        "POST", f"/api/v1/namespaces/{world.namespace}/pods", {"metadata": {"name": "foreign", "labels": labels}, "spec": spec}
    )
    world.settled()
    assert world.condition("chat", "Ready")["status"] == "True"
    assert world.must_child(DEPLOYMENT, "chat")["spec"]["replicas"] == 2
