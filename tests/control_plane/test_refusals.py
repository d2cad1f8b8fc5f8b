"""What cannot be done becomes a condition, and the last good children stay as they are."""

from http.client import FORBIDDEN
from typing import Any

import pytest

from fairlead.reconciler.kinds import CONFIG_MAP, DEPLOYMENT, MODEL_DEPLOYMENT, POD, SERVICE, SERVICE_ACCOUNT
from tests.audit import WRITES
from tests.control_plane.process import OperatorProcess
from tests.control_plane.world import World
from tests.objects import NAMESPACE, RESOURCE_QUOTA, Object
from tests.tenant import soon

pytestmark = pytest.mark.usefixtures("operator")

SECONDS_WITHOUT_A_LOOP = 8.0
"""Longer than the pause after which a replica that is not ready is looked at again."""


def frozen(world: World, name: str) -> dict[str, Any]:
    """The children, by what would change if any were written."""
    return {kind: child["metadata"]["resourceVersion"] for kind, child in world.children(name).items()}


WITH_A_SECRET: Object = {
    "jwt": {"issuer": "i", "audiences": ["a"], "jwks": {"inline": '{"keys": [{"kty": "\\u006fct", "\\u006b": "c2VjcmV0"}]}'}}
}
"""In letters that no rule of the CRD sees through."""


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"engine": {"args": {"max-num-batched-token": 1}}}, "UnknownEngineFlag", "max-num-batched-tokens"),
        ({"engine": {"args": {"max-num-batched-tokens": "many"}}}, "InvalidEngineFlagValue", "max-num-batched-tokens"),
        ({"engine": {"version": "0.1.0"}}, "UnsupportedEngineVersion", "0.1.0"),
        ({"engine": {"kvCacheDtype": "sorcery"}}, "InvalidEngineFlagValue", "kvCacheDtype"),
        ({"access": WITH_A_SECRET}, "InvalidKeySet", "keys[0] is a shared secret"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[0].isupper() else "",
)
def test_a_bad_change_leaves_the_last_good_children(world: World, spec: Object, reason: str, words: str) -> None:
    world.create("chat")
    world.make_ready("chat")
    world.settled()
    before = frozen(world, "chat")
    world.change("chat", {**spec, "replicas": 1})
    told = world.wait_condition("chat", "ConfigurationValid", status="False", reason=reason)
    assert words in told["message"]
    assert world.condition("chat", "Stalled")["status"] == "True"
    assert (world.condition("chat", "Ready")["status"], world.condition("chat", "Ready")["reason"]) == ("False", reason)
    assert world.condition("chat", "ReplicasAvailable")["message"] == "2/2 ready", "the replicas of the last good spec count"
    assert frozen(world, "chat") == before
    world.change("chat", dict.fromkeys(spec))
    world.wait_condition("chat", "ConfigurationValid", status="True", reason="ConfigurationValid")
    soon("the change that was valid is made", lambda: world.must_child(DEPLOYMENT, "chat")["spec"]["replicas"] == 1)


def test_a_bad_beginning_makes_nothing(world: World) -> None:
    world.create("chat", {"engine": {"args": {"nosuchflag": 1}}})
    world.wait_condition("chat", "ConfigurationValid", status="False", reason="UnknownEngineFlag")
    assert world.children("chat") == {}
    assert world.mdep("chat")["status"]["availability"] == "0/2"


@pytest.mark.parametrize("labelled", [False, True], ids=["", "with our label"])
def test_a_foreign_object_of_the_name_is_never_touched(world: World, labelled: bool) -> None:  # noqa: FBT001
    labels = {"serving.fairlead.dev/model-deployment": "chat"} if labelled else {}
    spec = {"ports": [{"port": 1}], "selector": {"app": "other"}}
    foreign = world.objects.create(SERVICE, world.namespace, {"metadata": {"name": "chat", "labels": labels}, "spec": spec})
    world.create("chat")
    told = world.wait_condition("chat", "ConfigurationValid", status="False", reason="NameConflict")
    assert "Service chat" in told["message"]
    assert set(world.children("chat")) == {"Service"}, "nothing else is made"
    world.settled()
    assert world.must_child(SERVICE, "chat") == foreign
    world.objects.delete(SERVICE, world.namespace, "chat")
    # No event tells of the end of an object without our label: the next look comes within 10 s.
    world.wait_condition("chat", "ConfigurationValid", status="True", reason="ConfigurationValid")
    world.wait_children("chat")


def test_a_child_of_something_else_is_a_conflict(world: World) -> None:
    owner = world.objects.create(CONFIG_MAP, world.namespace, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "controller": True}
    account = {"metadata": {"name": "chat", "ownerReferences": [reference]}}
    world.objects.create(SERVICE_ACCOUNT, world.namespace, account)
    world.create("chat")
    told = world.wait_condition("chat", "ConfigurationValid", status="False", reason="NameConflict")
    assert "ServiceAccount chat" in told["message"]
    assert "ConfigMap owner" in told["message"]


def test_a_field_that_kubernetes_does_not_have_is_told(world: World) -> None:
    """The CRD takes any affinity; the API server answers the Deployment's apply with status 500."""
    world.create("chat", {"pod": {"affinity": {"nodeAffinity": {"prefered": [{"weight": 1}]}}}})
    told = world.wait_condition("chat", "ConfigurationValid", status="False", reason="ApplyFailed")
    assert "affinity.nodeAffinity.prefered: field not declared" in told["message"]


def test_a_denial_of_admission_is_told_in_its_own_words(world: World) -> None:
    policies = "/apis/admissionregistration.k8s.io/v1"
    policy: Object = {
        "metadata": {"name": world.namespace},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments"],
                    }
                ],
            },
            "validations": [
                {"expression": "!has(object.spec.template.spec.priorityClassName)", "message": "no priority for anybody here"}
            ],
        },
    }
    binding = {"metadata": {"name": world.namespace}, "spec": {"policyName": world.namespace, "validationActions": ["Deny"]}}
    world.create("chat")
    world.make_ready("chat")
    world.objects.request("POST", f"{policies}/validatingadmissionpolicies", policy)
    world.objects.request("POST", f"{policies}/validatingadmissionpolicybindings", binding)
    try:
        before = world.must_child(DEPLOYMENT, "chat")["metadata"]["generation"]
        # The policy takes a moment to be in force: until then the change would go through.
        soon("the policy is in force", lambda: refused(world, {"spec": {"template": {"spec": {"priorityClassName": "high"}}}}))
        world.change("chat", {"pod": {"priorityClassName": "high"}})
        told = world.wait_condition("chat", "ConfigurationValid", status="False", reason="ApplyFailed")
        assert "no priority for anybody here" in told["message"]
        assert "Deployment" in told["message"]
        assert world.must_child(DEPLOYMENT, "chat")["metadata"]["generation"] == before
        assert world.condition("chat", "ReplicasAvailable")["status"] == "True"
    finally:
        world.objects.request("DELETE", f"{policies}/validatingadmissionpolicybindings/{world.namespace}")
        world.objects.request("DELETE", f"{policies}/validatingadmissionpolicies/{world.namespace}")


def refused(world: World, patch: Object) -> bool:
    try:
        world.objects.request(
            "PATCH", DEPLOYMENT.path(world.namespace, "chat") + "?dryRun=All", patch, "application/merge-patch+json"
        )
    except AssertionError:
        return True
    return False


def test_a_quota_on_pods_is_told(world: World) -> None:
    world.objects.create(RESOURCE_QUOTA, world.namespace, {"metadata": {"name": "tight"}, "spec": {"hard": {"pods": "1"}}})
    soon(
        "the quota is in force",
        lambda: world.objects.must_get(RESOURCE_QUOTA, world.namespace, "tight").get("status", {}).get("hard"),
    )
    world.create("chat")
    told = world.wait_condition("chat", "ReplicasAvailable", status="False", reason="QuotaExceeded")
    assert world.condition("chat", "Stalled")["status"] == "False", "a pod that goes makes room"
    assert "exceeded quota: tight" in told["message"]
    assert len(world.pods("chat")) == 1, "no storm of pods"


def test_a_quota_on_children_is_told(world: World) -> None:
    hard = {"count/deployments.apps": "0"}
    world.objects.create(RESOURCE_QUOTA, world.namespace, {"metadata": {"name": "none"}, "spec": {"hard": hard}})
    soon(
        "the quota is in force",
        lambda: world.objects.must_get(RESOURCE_QUOTA, world.namespace, "none").get("status", {}).get("hard"),
    )
    world.create("chat")
    told = world.wait_condition("chat", "ConfigurationValid", status="False", reason="ApplyFailed")
    assert "exceeded quota: none" in told["message"]


@pytest.mark.timeout(400)
def test_a_namespace_that_ends_is_left_alone(world: World, operator: OperatorProcess) -> None:
    """Pods go first. While one of them does not, all else is still there; what somebody deletes then is not made again."""
    world.create("chat")
    pod = world.wait_pods("chat", 2)[0]["metadata"]["name"]
    world.objects.merge(POD, world.namespace, pod, {"metadata": {"finalizers": ["example.com/hold"]}})
    since = world.settled()
    path = f"/api/v1/namespaces/{world.namespace}"
    world.objects.request("DELETE", path)
    soon("the other pod is gone", lambda: [each["metadata"]["name"] for each in world.pods("chat")] == [pod])
    world.objects.delete(SERVICE, world.namespace, "chat")

    def attempts() -> list[int]:
        written = [each for each in world.audit.requests(since) if each["verb"] in WRITES]
        return [each["responseStatus"]["code"] for each in written if each["objectRef"]["resource"] == "services"]

    soon("it tries to make it again", attempts)
    # The operator's own: the controller that empties namespaces tries again and again while the pod is there.
    world.audit.settled(SECONDS_WITHOUT_A_LOOP)
    assert set(attempts()) == {FORBIDDEN}
    # Each attempt was an answer to news, such as the status of the Deployment; none was the repetition of one that had failed.
    repeated = [line["message"] for line in operator.lines() if line["message"].startswith("failed, again in")]
    assert [each for each in repeated if world.namespace in each] == []
    assert world.condition("chat", "ConfigurationValid")["status"] == "True", "nobody need do anything"
    world.objects.merge(POD, world.namespace, pod, {"metadata": {"finalizers": None}})
    # Its controller comes back after half of the pod's time to end, which is minutes, or when the namespace changes.
    world.objects.request("PATCH", path, {"metadata": {"labels": {"example.com/look": "again"}}}, "application/merge-patch+json")
    soon("the namespace is gone", lambda: world.objects.get(NAMESPACE, None, world.namespace) is None)
    assert world.children("chat") == {}
    assert world.objects.get(MODEL_DEPLOYMENT, world.namespace, "chat") is None
