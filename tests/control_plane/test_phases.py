"""Each phase of a ModelDeployment's life: the operator leaves the object as it was recorded for the verdicts of GitOps tools.

`make record` writes the recordings anew; read the diff.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fairlead.reconciler.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE
from tests.control_plane.agents import agent
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.gitops.phases import PHASES, TIME, plain, read, write
from tests.objects import RESOURCE_QUOTA, Object
from tests.ports import free_address
from tests.tenant import soon

RECORD_SECONDS = 12.0
"""Longer than the 10 s for which the operator puts off a write that turns no condition."""
HOLD = "example.com/hold"

Drive = Callable[[World, OperatorProcess, ExitStack], None]


def chat(world: World, replicas: int = 1, **spec: object) -> None:
    world.create("chat", {"replicas": replicas, **spec})


def says(world: World, kind: str, status: str, reason: str) -> None:
    world.wait_condition("chat", kind, status=status, reason=reason)


def told_by_agent(world: World, pod: Object, reason: str, message: str, until_end: ExitStack) -> None:
    """Have the pod's agent say so."""
    address = free_address()
    until_end.enter_context(agent(address, json.dumps({"phase": "x", "reason": reason, "message": message}).encode()))
    world.run(pod, ready=False, address=address)


def container(world: World, reason: str, message: str) -> None:
    """Have the kubelet say so of the engine's container."""
    waiting = {"waiting": {"reason": reason, "message": message}}
    status = {"name": "engine", "ready": False, "restartCount": 0, "image": "", "imageID": "", "state": waiting}
    scheduled = {"type": "PodScheduled", "status": "True"}
    for pod in world.wait_pods("chat", 1):
        world.pod_status(pod, {"phase": "Pending", "containerStatuses": [status], "conditions": [scheduled]})


def unschedulable(world: World, pod: Object) -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    world.pod_status(pod, {"conditions": [condition]})


def unseen(world: World, operator: OperatorProcess, _: ExitStack) -> None:
    assert operator.stop() == 0
    chat(world)


def starting(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world)
    world.wait_pods("chat", 1)


def fetching(world: World, reason: str, message: str, until_end: ExitStack) -> None:
    """Have the container that downloads the model say so."""
    chat(world, model={"uri": "hf://org/tiny"})
    (pod,) = world.wait_pods("chat", 1)
    address = free_address()
    until_end.enter_context(agent(address, json.dumps({"phase": "x", "reason": reason, "message": message}).encode()))
    made = {"restartCount": 0, "image": "", "imageID": ""}
    running = {"running": {"startedAt": TIME}}
    status = {
        "phase": "Pending",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "initContainerStatuses": [{**made, "name": name, "ready": False, "state": running} for name in ("sidecar", "fetch")],
        "containerStatuses": [{**made, "name": "engine", "ready": False, "state": {"waiting": {"reason": "PodInitializing"}}}],
        "conditions": [{"type": "PodScheduled", "status": "True"}],
    }
    world.pod_status(pod, status)
    says(world, "ModelAvailable", "False", reason)


def model_downloading(world: World, _: OperatorProcess, until_end: ExitStack) -> None:
    fetching(world, "ModelDownloading", "1000 of 5000 bytes", until_end)


def model_not_found(world: World, _: OperatorProcess, until_end: ExitStack) -> None:
    fetching(world, "ModelNotFound", "the hub has no model org/tiny", until_end)


def engine_starting(world: World, _: OperatorProcess, until_end: ExitStack) -> None:
    chat(world)
    (pod,) = world.wait_pods("chat", 1)
    told_by_agent(world, pod, "EngineStarting", "it loads the model", until_end)


def ready(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world)
    world.make_ready("chat", 1)


def scaled_to_zero(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world, 0)
    says(world, "Ready", "True", "ScaledToZero")


def changed_and_unseen(world: World, operator: OperatorProcess, _: ExitStack) -> None:
    chat(world)
    world.make_ready("chat", 1)
    world.settled()
    assert operator.stop() == 0
    world.change("chat", {"engine": {"maxModelLen": 1024}})


def rolling_out(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world)
    world.make_ready("chat", 1)
    world.change("chat", {"engine": {"maxModelLen": 1024}})
    world.wait_pods("chat", 2)


def no_spare_gpu(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world)
    world.make_ready("chat", 1)
    old = {pod["metadata"]["name"] for pod in world.pods("chat")}
    world.change("chat", {"engine": {"maxModelLen": 1024}})
    (new,) = (pod for pod in world.wait_pods("chat", 2) if pod["metadata"]["name"] not in old)
    unschedulable(world, new)
    says(world, "Stalled", "True", "NoSpareGPU")


def unknown_flag(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world, engine={"args": {"nosuchflag": "1"}})
    says(world, "Stalled", "True", "UnknownEngineFlag")


def name_conflict(world: World, _: OperatorProcess, __: ExitStack) -> None:
    world.objects.create(SERVICE, world.namespace, {"metadata": {"name": "chat"}, "spec": {"ports": [{"port": 80}]}})
    chat(world)
    says(world, "Stalled", "True", "NameConflict")


def image_name_wrong(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world)
    container(world, "InvalidImageName", "couldn't parse image name")
    says(world, "Stalled", "True", "ImageInvalid")


def image_not_pulled(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world)
    container(world, "ImagePullBackOff", "no such image")
    says(world, "Ready", "False", "ImagePullFailed")


def without_gpus(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world)
    (pod,) = world.wait_pods("chat", 1)
    unschedulable(world, pod)
    says(world, "Ready", "False", "Unschedulable")


def quota_exceeded(world: World, _: OperatorProcess, __: ExitStack) -> None:
    world.objects.create(RESOURCE_QUOTA, world.namespace, {"metadata": {"name": "tight"}, "spec": {"hard": {"pods": "0"}}})
    soon("the quota is in force", lambda: world.objects.must_get(RESOURCE_QUOTA, world.namespace, "tight")["status"].get("hard"))
    chat(world)
    says(world, "Ready", "False", "QuotaExceeded")


def gpu_failed(world: World, _: OperatorProcess, until_end: ExitStack) -> None:
    chat(world, 2)
    world.make_ready("chat")
    pod = world.pods("chat")[0]
    told_by_agent(world, pod, "XidFatal", "Xid 79 from the driver, drain the node and reset or replace the GPU", until_end)
    says(world, "Ready", "False", "XidFatal")


def overdue(world: World, _: OperatorProcess, __: ExitStack) -> None:
    chat(world)
    (pod,) = world.wait_pods("chat", 1)
    unschedulable(world, pod)
    says(world, "Ready", "False", "Unschedulable")
    # The Deployment's controller would say so after a quarter of an hour, and holds on to it.
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    world.objects.merge(DEPLOYMENT, world.namespace, "chat", {"status": {"conditions": [late]}}, "status")
    says(world, "Stalled", "True", "ProgressDeadlineExceeded")


def deleting(world: World, _: OperatorProcess, until_end: ExitStack) -> None:
    world.create("chat", {"replicas": 1}, finalizers=[HOLD])
    without = {"metadata": {"finalizers": None}}
    until_end.callback(lambda: world.objects.merge(MODEL_DEPLOYMENT, world.namespace, "chat", without))
    world.make_ready("chat", 1)
    world.objects.delete(MODEL_DEPLOYMENT, world.namespace, "chat")
    soon("it is told", lambda: world.condition("chat", "Ready")["reason"] == "Terminating")


DRIVES: dict[str, Drive] = {
    "unseen": unseen,
    "starting": starting,
    "model-downloading": model_downloading,
    "model-not-found": model_not_found,
    "engine-starting": engine_starting,
    "ready": ready,
    "scaled-to-zero": scaled_to_zero,
    "changed-and-unseen": changed_and_unseen,
    "rolling-out": rolling_out,
    "no-spare-gpu": no_spare_gpu,
    "unknown-flag": unknown_flag,
    "name-conflict": name_conflict,
    "image-name-wrong": image_name_wrong,
    "image-not-pulled": image_not_pulled,
    "unschedulable": without_gpus,
    "quota-exceeded": quota_exceeded,
    "gpu-failed": gpu_failed,
    "overdue": overdue,
    "deleting": deleting,
}


@pytest.fixture
def until_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_there_is_a_way_into_each_phase() -> None:
    assert DRIVES.keys() == PHASES.keys()


@pytest.mark.parametrize("phase", PHASES)
def test_the_operator_leaves_it_as_recorded(world: World, operator: OperatorProcess, until_end: ExitStack, phase: str) -> None:
    DRIVES[phase](world, operator, until_end)
    if os.environ.get("FAIRLEAD_RECORD"):
        world.settled(RECORD_SECONDS)
        write(phase, plain(world.mdep("chat")))
    recorded = read(phase)
    soon(f"{phase} as in its recording", lambda: plain(world.mdep("chat")) == recorded)
