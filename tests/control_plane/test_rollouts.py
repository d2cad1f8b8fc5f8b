"""Replicas that do not come up, in a rollout and otherwise: what serves goes on serving, and the way back is short."""

import json

import pytest

from fairlead.reconciler.kinds import DEPLOYMENT
from tests.control_plane.agents import agent
from tests.control_plane.world import World
from tests.objects import Object
from tests.tenant import soon

pytestmark = pytest.mark.usefixtures("operator")

OUT_OF_MEMORY = {
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}},
    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
}
NO_IMAGE = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}}}
FAILURES: dict[str, tuple[Object, str, str]] = {
    "out of memory": (OUT_OF_MEMORY, "EngineOutOfMemory", "raise spec.pod.resources.limits.memory"),
    "image": (NO_IMAGE, "ImagePullFailed", "manifest unknown"),
}
"""How the container ends up, and the reason and the words of the condition."""
CRASHES = 6
FLAPS = 5


def fail(world: World, pod: Object, container: Object, restarts: int = 1) -> None:
    """As a kubelet tells of a container that it cannot keep running."""
    status = {"name": "engine", "ready": False, "restartCount": restarts, "image": "", "imageID": "", **container}
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]
    world.pod_status(pod, {"phase": "Running", "containerStatuses": [status], "conditions": conditions})


def uids(world: World) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in world.pods("chat")}


def other_than_status(writes: list[str]) -> list[str]:
    return [write for write in writes if "/status" not in write and "/events" not in write]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_rollout_that_fails_stops_there_and_the_way_back_replaces_nothing(world: World, failure: str) -> None:
    container, reason, words = FAILURES[failure]
    world.create("chat")
    world.make_ready("chat")
    old = uids(world)
    world.change("chat", {"engine": {"maxModelLen": 1024}})
    (new,) = [pod for pod in world.wait_pods("chat", len(old) + 1) if pod["metadata"]["name"] not in old]
    fail(world, new, container)
    told = world.wait_condition("chat", "Ready", status="False", reason=reason)
    assert words in told["message"]
    assert world.condition("chat", "ReplicasAvailable")["status"] == "True", "the old ones serve"
    since = world.settled()
    for restarts in range(2, CRASHES):
        fail(world, new, container, restarts)
    world.settled()
    assert other_than_status(world.audit.writes(since)) == [], "it is the kubelet that tries again, ever more seldom"
    assert uids(world) == {**old, new["metadata"]["name"]: new["metadata"]["uid"]}, "no further replica is tried"

    world.change("chat", {"engine": {"maxModelLen": None}})
    soon("the failed one is gone", lambda: uids(world) == old)
    world.wait_condition("chat", "Ready", status="True", reason="Ready")


def test_replicas_serve_once_their_image_can_be_pulled(world: World) -> None:
    world.create("chat")
    for pod in world.wait_pods("chat", 2):
        fail(world, pod, NO_IMAGE)
    told = world.wait_condition("chat", "ReplicasAvailable", status="False", reason="ImagePullFailed")
    assert "manifest unknown" in told["message"]
    assert world.condition("chat", "Stalled")["status"] == "False", "the kubelet tries again"
    since, pods = world.settled(), uids(world)
    world.make_ready("chat")
    assert uids(world) == pods
    world.settled()
    assert other_than_status(world.audit.writes(since)) == []


def test_a_replica_that_flaps_is_told_of_once_and_causes_no_other_write(world: World) -> None:
    """The damping itself is the agent's; whatever gets past it moves the status, and nothing else."""
    world.create("chat")
    world.make_ready("chat")
    since, pods = world.settled(), uids(world)
    pod = world.pods("chat")[0]
    address = pod["status"]["podIP"]
    with agent(address, json.dumps({"reason": "EngineUnreachable", "message": "HTTP 503"}).encode()):
        for _ in range(FLAPS):
            world.run(pod, ready=False, address=address)
            world.wait_condition("chat", "ReplicasAvailable", status="False", reason="EngineUnreachable")
            world.run(pod, ready=True, address=address)
            world.wait_condition("chat", "Ready", status="True", reason="Ready")
    world.settled()
    writes = world.audit.writes(since)
    assert other_than_status(writes) == []
    assert len([write for write in writes if "/status" in write]) >= 2 * FLAPS, "each turn is in the status at once"
    assert len([write for write in writes if "/events" in write]) <= 2, "one for the way down, one for the way up"
    assert uids(world) == pods
    assert world.must_child(DEPLOYMENT, "chat")["metadata"]["generation"] == 1
