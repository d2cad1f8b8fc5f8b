"""The pods that keep engine images on nodes: off unless asked for, harmless, and none of them taken for an operator."""

from typing import Any

import pytest

from tests.unit.chart.helm import Helm, Manifest


def found(helm: Helm, kind: str, *args: str, values: str = "full.yaml") -> Manifest:
    (one,) = [
        each
        for each in helm.manifests(*args, values=values)
        if each["kind"] == kind and each["metadata"]["name"] == "fairlead-prepull"
    ]
    return one


def pod(helm: Helm) -> dict[str, Any]:
    spec: dict[str, Any] = found(helm, "DaemonSet")["spec"]["template"]["spec"]
    return spec


def test_it_is_off_unless_asked_for(helm: Helm) -> None:
    assert not [each for each in helm.manifests() if each["kind"] == "DaemonSet"]
    assert found(helm, "DaemonSet", "--set", "prePull.enabled=true", values="minimal.yaml")


def test_each_engine_image_is_held_by_a_container_that_sleeps(helm: Helm) -> None:
    spec = pod(helm)
    assert {each["name"]: each["image"] for each in spec["containers"]} == {
        "vllm-0-32-0": "registry.example.com/fairlead/vllm:0.32.0",
        "vllm-0-33-0": "registry.example.com/fairlead/vllm:0.33.0",
    }
    assert {tuple(each["args"]) for each in spec["containers"]} == {("pause",)}
    (sidecar,) = spec["initContainers"]
    assert (sidecar["image"], sidecar["args"]) == ("registry.example.com/envoy:v1.40.1", ["--version"])
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_the_pods_are_restricted_and_reach_nobody(helm: Helm) -> None:
    spec = pod(helm)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "volumes" not in spec
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "nvidia.com/gpu" not in container["resources"]["limits"]
    policy = found(helm, "NetworkPolicy")["spec"]
    assert set(policy) == {"podSelector", "policyTypes"}
    assert policy["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("kind", ["NetworkPolicy", "Deployment", "PodDisruptionBudget"])
def test_nothing_that_is_meant_for_the_operator_finds_them(helm: Helm, kind: str) -> None:
    labels = found(helm, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    for each in helm.manifests(values="full.yaml"):
        if each["kind"] == kind and each["metadata"]["name"] != "fairlead-prepull":
            selector = each["spec"].get("selector", each["spec"].get("podSelector"))["matchLabels"]
            assert not selector.items() <= labels.items(), each["metadata"]["name"]
    assert labels["app.kubernetes.io/name"] != "fairlead-operator", "agents admit pods of that name"


def test_the_network_policy_can_be_left_out(helm: Helm) -> None:
    manifests = helm.manifests("--set", "networkPolicy.enabled=false", values="full.yaml")
    assert not [each for each in manifests if each["kind"] == "NetworkPolicy"]
