"""What one ModelDeployment becomes: its children, and the conventions that its status keeps."""

import pytest

from fairlead.api.conditions import ConditionType
from fairlead.reconciler.kinds import DEPLOYMENT, EVENT, MODEL_DEPLOYMENT, SERVICE_ACCOUNT
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.tenant import soon

pytestmark = pytest.mark.usefixtures("operator")


def test_children_belong_to_their_model_deployment(world: World) -> None:
    mdep = world.create("chat")
    children = world.wait_children("chat")
    assert set(children) == {"ServiceAccount", "ConfigMap", "NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment"}
    for child in children.values():
        assert child["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "serving.fairlead.dev/v1alpha1",
                "kind": "ModelDeployment",
                "name": "chat",
                "uid": mdep["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        applied = {each["manager"] for each in child["metadata"]["managedFields"] if each["operation"] == "Apply"}
        assert applied == {"fairlead"}, child["kind"]


def test_status_keeps_the_conventions(world: World) -> None:
    world.create("chat")
    first = world.wait_condition("chat", "ConfigurationValid", status="True", reason="ConfigurationValid")
    world.make_ready("chat")
    mdep = world.mdep("chat")
    status = mdep["status"]
    # Nothing is downloaded, as the model lies on a claim, and the spec has no autoscaling: of either there is nothing to tell.
    untold = {ConditionType.MODEL_AVAILABLE, ConditionType.AUTOSCALED}
    wanted = [each.value for each in ConditionType if each not in untold]
    assert [each["type"] for each in status["conditions"]] == wanted
    for each in status["conditions"]:
        assert set(each) == {"type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"}
        assert each["observedGeneration"] == mdep["metadata"]["generation"]
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
        "terminatingReplicas": 0,
        "availability": "2/2",
        "selector": "serving.fairlead.dev/model-deployment=chat",
        "url": f"http://chat.{world.namespace}.svc",
        "servedName": "chat",
    }
    managers = {(each["manager"], each.get("subresource", "")) for each in mdep["metadata"]["managedFields"]}
    assert managers == {("tests", ""), ("fairlead", "status")}, "the operator writes nothing but the status"
    assert "finalizers" not in mdep["metadata"]
    assert "annotations" not in mdep["metadata"]
    # A condition that has not turned keeps its time through a new generation.
    world.change("chat", {"rollout": {"maxStreamSeconds": 120}})
    again = world.wait_condition("chat", "ConfigurationValid", status="True", reason="ConfigurationValid")
    assert again["observedGeneration"] == 2
    assert again["lastTransitionTime"] == first["lastTransitionTime"]


def test_turns_of_conditions_become_events_once(world: World, operator: OperatorProcess) -> None:
    world.create("chat")
    world.make_ready("chat")
    for pod in world.pods("chat"):
        world.run(pod, ready=False)
    world.wait_condition("chat", "Ready", status="False", reason="AgentUnreachable")
    world.make_ready("chat")
    world.settled()
    told = [
        each["reason"] for each in world.objects.list(EVENT, world.namespace) if each["regarding"]["kind"] == "ModelDeployment"
    ]
    assert sorted(told) == ["AgentUnreachable", "Ready"], "flapping is told once in five minutes"
    assert operator.metric('fairlead_api_writes_total{kind="Event",verb="create"}') >= len(told)


def test_a_child_that_is_no_longer_wanted_goes(world: World) -> None:
    """Once no replica runs as it: one that is evicted in the middle of a rollout must find it."""
    world.objects.create(SERVICE_ACCOUNT, world.namespace, {"metadata": {"name": "mine"}})
    world.create("chat", {"replicas": 1})
    world.make_ready("chat", 1)
    world.change("chat", {"pod": {"serviceAccountName": "mine"}})
    (new,) = (pod for pod in world.wait_pods("chat", 2) if pod["spec"]["serviceAccountName"] == "mine")
    world.settled()
    assert world.child(SERVICE_ACCOUNT, "chat") is not None
    world.run(new, ready=True)
    soon("the ServiceAccount is gone", lambda: world.child(SERVICE_ACCOUNT, "chat") is None)
    world.change("chat", {"pod": {"serviceAccountName": None}})
    soon("it is back", lambda: world.child(SERVICE_ACCOUNT, "chat"))


def test_a_field_that_is_no_longer_wanted_goes(world: World) -> None:
    world.create("chat", {"accelerator": {"nodeSelector": {"gpu": "h100"}}, "pod": {"priorityClassName": "high"}})
    children = world.wait_children("chat")
    assert children["Deployment"]["spec"]["template"]["spec"]["priorityClassName"] == "high"
    world.change("chat", {"accelerator": {"nodeSelector": None}, "pod": {"priorityClassName": None}})

    def gone() -> bool:
        pod = world.must_child(DEPLOYMENT, "chat")["spec"]["template"]["spec"]
        return "nodeSelector" not in pod and "priorityClassName" not in pod

    soon("both fields are gone", gone)


def test_the_last_of_quick_changes_wins(world: World) -> None:
    world.create("chat", {"replicas": 1})
    for replicas in (2, 3, 1, 4, 2, 5):
        last = world.change("chat", {"replicas": replicas})
    generation = last["metadata"]["generation"]
    assert generation == 7
    soon("the last spec is seen", lambda: world.mdep("chat")["status"]["observedGeneration"] == generation)
    assert world.must_child(DEPLOYMENT, "chat")["spec"]["replicas"] == 5
    world.make_ready("chat", 5)
    assert world.mdep("chat")["status"]["availability"] == "5/5"


def test_scale_subresource(world: World) -> None:
    world.create("chat", {"replicas": 1})
    world.make_ready("chat", 1)
    path = MODEL_DEPLOYMENT.path(world.namespace, "chat", "scale")
    scale = world.objects.request("GET", path)
    assert scale["status"] == {"replicas": 1, "selector": "serving.fairlead.dev/model-deployment=chat"}
    scale["spec"]["replicas"] = 0
    world.objects.request("PUT", path, scale)
    world.wait_condition("chat", "Ready", status="True", reason="ScaledToZero")
