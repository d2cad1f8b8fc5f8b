"""Specs that the schema lets through and that make no sense: rows of test_nonsense.py."""

from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Nonsense:
    """What the user writes, the reason of the condition that tells of it, and a piece of its message that names what is wrong."""

    spec: Object
    reason: str
    words: str
    state: Object = field(default_factory=dict)
    """As a kubelet leaves the engine's container, where none but a kubelet sees what is wrong."""


def affinity(*terms: Object) -> Object:
    required = {"nodeSelectorTerms": [{"matchExpressions": list(terms)}]}
    return {"pod": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}}


def spread(**constraint: Any) -> Object:
    return {"pod": {"topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname", **constraint}]}}


def requests(**quantities: int | str) -> Object:
    return {"pod": {"resources": {"requests": {"cpu": "1", "memory": "4Gi", **quantities}}}}


def extended(name: str, quantity: int | str) -> Object:
    return {"pod": {"resources": {"requests": {"cpu": "1", "memory": "4Gi", name: quantity}, "limits": {name: quantity}}}}


def env(**source: Object) -> Object:
    return {"engine": {"env": [{"name": "A", "valueFrom": source}]}}


def waits(reason: str, message: str) -> Object:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


REFUSED: dict[str, Nonsense] = {
    "a field of affinity that there is none": Nonsense(
        {"pod": {"affinity": {"nodeAffinity": {"prefered": [{"weight": 1}]}}}},
        "ApplyFailed",
        "affinity.nodeAffinity.prefered: field not declared in schema",
    ),
    "an operator of affinity that there is none": Nonsense(
        affinity({"key": "gpu", "operator": "Equals", "values": ["h100"]}), "ApplyFailed", 'operator: Invalid value: "Equals"'
    ),
    "affinity to a value that is a list": Nonsense(
        affinity({"key": "gpu", "operator": "In", "values": "h100"}), "ApplyFailed", "values"
    ),
    "a toleration for a time of what is not evicted": Nonsense(
        {"accelerator": {"tolerations": [{"key": "gpu", "effect": "NoSchedule", "tolerationSeconds": 5}]}},
        "ApplyFailed",
        "tolerations[0].effect",
    ),
    "a toleration of any value and of one": Nonsense(
        {"accelerator": {"tolerations": [{"key": "gpu", "operator": "Exists", "value": "h100"}]}},
        "ApplyFailed",
        "value must be empty when `operator` is 'Exists'",
    ),
    "a spread over no value": Nonsense(
        spread(labelSelector={"matchExpressions": [{"key": "team", "operator": "In"}]}), "ApplyFailed", "values: Required value"
    ),
    "a fewest of domains that does not count": Nonsense(spread(minDomains=2), "ApplyFailed", "minDomains"),
    "a resource without a name": Nonsense(requests(gpu=1), "ApplyFailed", "must be a standard resource"),
    "half of a device": Nonsense(extended("example.com/nic", "500m"), "ApplyFailed", "must be an integer"),
    "a device that is asked for and not limited": Nonsense(
        requests(**{"example.com/nic": 1}), "ApplyFailed", "Limit must be set for non overcommitable resources"
    ),
    "a key of a Secret with a slash": Nonsense(env(secretKeyRef={"name": "s", "key": "a/b"}), "ApplyFailed", "secretKeyRef.key"),
    "a Secret with a name that none has": Nonsense(
        env(secretKeyRef={"name": "A b", "key": "a"}), "ApplyFailed", "secretKeyRef.name"
    ),
    "a PriorityClass with a name that none has": Nonsense(
        {"pod": {"priorityClassName": "Very High"}}, "ApplyFailed", "priorityClassName"
    ),
    "a RuntimeClass with a name that none has": Nonsense(
        {"pod": {"runtimeClassName": "NVIDIA"}}, "ApplyFailed", "runtimeClassName"
    ),
    "a ServiceAccount with a name that none has": Nonsense(
        {"pod": {"serviceAccountName": "a b"}}, "ApplyFailed", "serviceAccountName"
    ),
}
"""What the API server says to the Deployment."""
NO_POD: dict[str, Nonsense] = {
    "a PriorityClass that there is none": Nonsense(
        {"pod": {"priorityClassName": "urgent"}}, "PodRefused", "no PriorityClass with name urgent was found"
    ),
    "a RuntimeClass that there is none": Nonsense(
        {"pod": {"runtimeClassName": "kata"}}, "PodRefused", 'RuntimeClass "kata" not found'
    ),
    "a ServiceAccount that there is none": Nonsense(
        {"pod": {"serviceAccountName": "trainer"}}, "PodRefused", 'serviceaccount "trainer" not found'
    ),
}
"""What admission says to the pods."""
NO_NODE: dict[str, Nonsense] = {
    "an affinity that no node meets": Nonsense(
        affinity({"key": "gpu", "operator": "In", "values": ["h900"]}),
        "Unschedulable",
        "didn't match Pod's node affinity/selector",
    ),
    "an affinity that contradicts itself": Nonsense(
        affinity({"key": "gpu", "operator": "Exists"}, {"key": "gpu", "operator": "DoesNotExist"}),
        "Unschedulable",
        "didn't match Pod's node affinity/selector",
    ),
    "labels that no node has": Nonsense(
        {"accelerator": {"nodeSelector": {"gpu": "h900"}}}, "Unschedulable", "didn't match Pod's node affinity/selector"
    ),
    "a spread over a label that no node has": Nonsense(
        spread(topologyKey="example.com/rack", whenUnsatisfiable="DoNotSchedule"),
        "Unschedulable",
        "didn't match pod topology spread constraints (missing required label)",
    ),
    "more memory than there is": Nonsense(requests(memory="1Ei"), "Unschedulable", "Insufficient memory"),
    "more processors than there are": Nonsense(requests(cpu=100_000), "Unschedulable", "Insufficient cpu"),
    "a device that no node has": Nonsense(extended("example.com/nic", 1), "Unschedulable", "Insufficient example.com/nic"),
    "a GPU that no node has": Nonsense(
        {"accelerator": {"resourceName": "example.com/gpu"}},
        "NoSpareGPU",
        "needs one example.com/gpu more than the cluster has free",
    ),
    "a claim that there is none": Nonsense(
        {"model": {"uri": "pvc://modles/tiny"}}, "ClaimNotFound", 'persistentvolumeclaim "modles" not found'
    ),
    "a compile cache that there is none": Nonsense(
        {"engine": {"compileCache": {"claimName": "cache"}}}, "ClaimNotFound", 'persistentvolumeclaim "cache" not found'
    ),
    "a volume of a class that there is none": Nonsense(
        {"model": {"uri": "hf://org/tiny", "cache": {"storageClassName": "fast"}}},
        "ClaimNotBound",
        "is there a StorageClass fast, and does its provisioner run?",
    ),
}
"""What the scheduler says."""
NO_START: dict[str, Nonsense] = {
    "a Secret that there is none": Nonsense(
        env(secretKeyRef={"name": "hub", "key": "token"}),
        "ContainerConfigInvalid",
        'secret "hub" not found',
        waits("CreateContainerConfigError", 'secret "hub" not found'),
    ),
    "a key that the ConfigMap has not": Nonsense(
        env(configMapKeyRef={"name": "settings", "key": "nccl"}),
        "ContainerConfigInvalid",
        "couldn't find key nccl in ConfigMap",
        waits("CreateContainerConfigError", "couldn't find key nccl in ConfigMap ns/settings"),
    ),
    "an image that there is none": Nonsense(
        {"engine": {"image": "registry.example.com/vlm:1"}},
        "ImagePullFailed",
        "registry.example.com/vlm:1: not found",
        waits(
            "ErrImagePull", 'failed to pull and unpack image "registry.example.com/vlm:1": registry.example.com/vlm:1: not found'
        ),
    ),
    "an image that may not be pulled": Nonsense(
        {"pod": {"imagePullSecrets": [{"name": "nobody"}]}, "engine": {"image": "registry.example.com/own/vllm:1"}},
        "ImagePullFailed",
        "authorization failed",
        waits("ErrImagePull", "pull access denied, repository does not exist or may require authorization: authorization failed"),
    ),
    "a name that is no image's": Nonsense(
        {"engine": {"image": "Registry.example.com/vLLM:1"}},
        "ImageInvalid",
        "couldn't parse image name",
        waits("InvalidImageName", 'Failed to apply default image tag "Registry.example.com/vLLM:1": couldn\'t parse image name'),
    ),
    "keys in a ConfigMap that there is none": Nonsense(
        {"access": {"jwt": {"issuer": "i", "audiences": ["a"], "jwks": {"configMapKeyRef": {"name": "issuer", "key": "keys"}}}}},
        "KeySetNotFound",
        "there is no ConfigMap issuer, which spec.access.jwt.jwks names",
        waits("ContainerCreating", ""),
    ),
}
"""What the kubelet says."""
NONSENSE = {**REFUSED, **NO_POD, **NO_NODE, **NO_START}
