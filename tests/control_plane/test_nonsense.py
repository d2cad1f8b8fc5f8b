"""Specs that the schema lets through and that make no sense: told by a condition, while what served goes on serving.

With the real scheduler. The test plays the kubelet of the one node.
"""

from collections.abc import Iterator

import pytest

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT, POD, Kind
from tests.cluster.controlplane import ControlPlane
from tests.control_plane.end_state import unlike
from tests.control_plane.field_children import may_change
from tests.control_plane.node import one_node
from tests.control_plane.nonsense_cases import NO_START, NONSENSE, REFUSED
from tests.control_plane.process import OperatorProcess
from tests.control_plane.subject import NAME, Subject
from tests.control_plane.world import World
from tests.objects import Object
from tests.waiting import until

VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes")
CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
SECONDS = 120.0

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def node(plane: ControlPlane) -> Iterator[None]:
    with one_node(plane):
        yield


@pytest.fixture
def subject(world: World, operator: OperatorProcess) -> Iterator[Subject]:
    """A ModelDeployment that serves, on a claim that is bound."""
    volume = {
        "metadata": {"name": world.namespace},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadOnlyMany"],
            "hostPath": {"path": "/models"},
            "claimRef": {"namespace": world.namespace, "name": "models"},
        },
    }
    claim = {"accessModes": ["ReadOnlyMany"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    world.objects.create(VOLUME, None, volume)
    world.objects.create(
        CLAIM, world.namespace, {"metadata": {"name": "models"}, "spec": {**claim, "volumeName": world.namespace}}
    )
    said = operator.log.stat().st_size
    world.create(NAME, {"replicas": 1})
    (pod,) = placed(world, 1)
    world.run(pod, ready=True)
    world.wait_condition(NAME, "Ready", status="True", reason="Ready")
    world.settled()
    yield Subject(world)
    assert operator.running
    assert operator.tracebacks(said) == []
    world.objects.delete(MODEL_DEPLOYMENT, world.namespace, NAME)
    until("its pods are gone", lambda: not ended(world), seconds=SECONDS)
    world.objects.delete(VOLUME, None, world.namespace)


def placed(world: World, count: int) -> list[Object]:
    """So many pods, all of them on the node."""

    def on_node() -> bool:
        pods = world.pods(NAME)
        return len(pods) == count and all("nodeName" in pod["spec"] for pod in pods)

    until(f"{count} pods are on the node", on_node, seconds=SECONDS, every=0.1, describe=lambda: str(world.pods(NAME)))
    return world.pods(NAME)


def ended(world: World) -> list[Object]:
    """The pods that are there after those which were told to end have done so."""
    for pod in world.pods(NAME):
        if "deletionTimestamp" in pod["metadata"]:
            world.objects.delete(POD, world.namespace, pod["metadata"]["name"], gracePeriodSeconds=0)
    return world.pods(NAME)


def leave(world: World, pod: Object, container: Object) -> None:
    """Have the engine's container in that state."""
    status = {"name": "engine", "ready": False, "restartCount": 0, "image": "", "imageID": "", **container}
    scheduled = {"type": "PodScheduled", "status": "True"}
    world.pod_status(pod, {"phase": "Pending", "containerStatuses": [status], "conditions": [scheduled]})


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_told_and_what_served_goes_on_serving(subject: Subject, name: str) -> None:
    case, world = NONSENSE[name], subject.world
    good, spec = subject.state(), subject.spec
    (pod,) = world.pods(NAME)

    world.change(NAME, case.spec)
    if name in NO_START:
        (new,) = (each for each in placed(world, 2) if each["metadata"]["uid"] != pod["metadata"]["uid"])
        leave(world, new, case.state)
    told = world.wait_condition(NAME, "Ready", status="False", reason=case.reason, seconds=SECONDS)
    assert case.words in told["message"]
    assert subject.valid == (name not in REFUSED)
    assert world.condition(NAME, "ReplicasAvailable")["message"] == "1/1 ready"

    world.settled()
    now = subject.state()
    # What pods of the last good spec need to start again stays: their ConfigMap has a name of its own.
    told_to = set() if name in REFUSED else may_change(spec, subject.spec) - {"ConfigMap", "ServiceAccount"}
    stays = good.keys() - {f"{kind} {NAME}" for kind in told_to}
    assert unlike({key: good[key] for key in stays}, {key: now.get(key) for key in stays}) == ""
    assert {each["metadata"]["uid"]: ready(each) for each in world.pods(NAME)}[pod["metadata"]["uid"]]

    assert subject.offer(spec, dry_run=False) is None
    until("it is ready again", lambda: back(world), seconds=SECONDS, every=0.1, describe=lambda: str(subject.live["status"]))
    world.settled()
    assert unlike(good, subject.state()) == ""
    assert [each["metadata"]["uid"] for each in ended(world)] == [pod["metadata"]["uid"]]


def ready(pod: Object) -> bool:
    told = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return told.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def back(world: World) -> bool:
    """Whether the present spec is ready; pods that are told to end do so."""
    ended(world)
    mdep = world.mdep(NAME)
    seen = mdep["status"]["observedGeneration"] == mdep["metadata"]["generation"]
    return bool(seen and world.condition(NAME, "Ready")["status"] == "True")
